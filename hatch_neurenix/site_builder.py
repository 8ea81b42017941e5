"""The builder `static-site`: `hatch build -t static-site` writes a folder that any web host can serve.

hatchling imports this in every project where the plugin is installed, so the work is imported when there
is some.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.plugin.interface import BuilderInterface


class SiteConfig(BuilderConfig):
    """Asks for what the site's own models need, whether or not the build hook is switched on."""

    @property
    def dynamic_dependencies(self) -> list[str]:
        from hatch_neurenix.site_steps import site_requirements

        return [*super().dynamic_dependencies, *site_requirements(self)]


# hatchling has changed the number of its base class's parameters: they are left out on purpose.
class StaticSiteBuilder(BuilderInterface):  # type: ignore[type-arg]
    """Builds the models for the web alone and puts them beside the project's pages."""

    PLUGIN_NAME = "static-site"

    @classmethod
    def get_config_class(cls) -> type[SiteConfig]:
        return SiteConfig

    def get_version_api(self) -> dict[str, Callable[..., str]]:
        return {"standard": self.build_standard}

    def get_default_versions(self) -> list[str]:
        return ["standard"]

    def clean(self, directory: str, versions: list[str]) -> None:
        from hatch_neurenix.site_steps import clean_sites

        clean_sites(self, Path(directory))

    def build_standard(self, directory: str, **build_data: Any) -> str:
        """Write the site below `directory` and return its path."""
        from hatch_neurenix.site_steps import write_site

        return str(write_site(self, Path(directory)))
