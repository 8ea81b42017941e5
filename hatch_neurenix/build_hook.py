"""The build hook `neurenix`: compiled models in wheels and editable installs, their sources in sdists.

hatchling imports this in every project where the plugin is installed, so the work is imported when there
is some.
"""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


# hatchling has changed the number of its base class's parameters: they are left out on purpose.
class NeurenixBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Builds the models of `[tool.neurenix]` before hatchling packs the wheel."""

    PLUGIN_NAME = "neurenix"

    def dependencies(self) -> list[str]:
        # hatchling asks for every target; the static site's builder answers for itself.
        if self.target_name not in ("wheel", "sdist"):
            return []
        from hatch_neurenix.requirements import missing_requirements

        for_sdist = self.target_name == "sdist"
        document = self.metadata.config
        return missing_requirements(document, self.root, self.app, target="wheel", native=True, for_sdist=for_sdist)

    def clean(self, versions: list[str]) -> None:
        if self.target_name == "wheel":
            from hatch_neurenix.hook_steps import clean_package

            clean_package(self)

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name not in ("wheel", "sdist"):
            return
        from hatch_neurenix.display import readable_errors
        from hatch_neurenix.hook_steps import add_models, add_sources

        with readable_errors(self.app):
            if self.target_name == "wheel":
                add_models(self, version, build_data)
            else:
                add_sources(self, build_data)
