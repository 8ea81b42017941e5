"""The work of the static-site builder: reads its table, builds the models, writes the site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatch_neurenix.display import readable_errors, show_models, show_sizes, warn_of_environment
from hatch_neurenix.package_models import models_for_package
from hatch_neurenix.placement import HATCHLING_HOOK_KEYS
from hatch_neurenix.requirements import missing_requirements
from neurenix.config.validate import read_table
from neurenix.errors import ConfigError
from neurenix.project.staging import refuse_foreign, remove_ours
from neurenix.site import InputHints, Project, Site, SiteOptions, build_site
from neurenix.site.files import ASSETS
from neurenix.site.hosting import Headers

if TYPE_CHECKING:
    from hatch_neurenix.site_builder import SiteConfig, StaticSiteBuilder

_TARGET = "tool.hatch.build.targets.static-site"
_HATCHLING_KEYS = HATCHLING_HOOK_KEYS | {"directory", "hooks", "reproducible", "versions"}


@dataclass(frozen=True)
class SiteTable:
    """The table `[tool.hatch.build.targets.static-site]`."""

    models: tuple[str, ...] | None = field(
        default=None, metadata={"description": "The models to ship; all of them when absent."}
    )
    pages: str | None = field(default=None, metadata={"description": "The folder of the project's own pages."})
    headers: Headers = field(
        default="netlify",
        metadata={
            "description": "Who sends the headers that threads and a strict policy need: a file for 'netlify' (and "
            "Cloudflare Pages) or 'vercel', the 'service-worker' where the host sends none, or 'none'."
        },
    )
    offline: bool = field(
        default=True, metadata={"description": "Keep the whole site in the browser, for use without a network."}
    )
    inputs: Mapping[str, InputHints] = field(
        default_factory=dict, metadata={"description": "How a model's page makes its inputs, by the model's name."}
    )


def write_site(builder: StaticSiteBuilder, directory: Path) -> Path:
    """Build the models and write the site below `directory`. Returns its folder."""
    destination = directory / f"{builder.project_id}-site"
    with readable_errors(builder.app):
        warn_of_environment(builder.app)
        root = Path(builder.root)
        options = read_site_table(builder.target_config)
        pages = find_pages(root, options.pages, destination)
        refuse_foreign(destination)
        document, say, names = builder.metadata.config, builder.app.display_info, options.models
        models = models_for_package(
            document, root, say, "static-site", native=False, names=names, names_at=f"{_TARGET}.models"
        )
        show_models(builder.app, models)
        site_options = SiteOptions(options.headers, options.offline, options.inputs)
        site = build_site(models, pages, root, destination, described_project(builder), site_options, say)
        builder.app.display_info("")
        builder.app.display_mini_header("static site")
        show_sizes(builder.app, _scripts_as_one(site))
        shown = destination.relative_to(root) if destination.is_relative_to(root) else destination
        builder.app.display_info(f"  to see it: neurenix serve {shown}")
    return destination


def described_project(builder: StaticSiteBuilder) -> Project:
    """Return what the site says of the project, from its metadata and its licence files."""
    core = builder.metadata.core
    texts = []
    for name in core.license_files:
        path = Path(builder.root, name)
        texts.append((Path(name).as_posix(), path.read_text(encoding="utf-8", errors="replace")))
    licence = core.license_expression or core.license
    return Project(core.raw_name, builder.metadata.version, core.description, licence, tuple(texts))


def _scripts_as_one(site: Site) -> list[tuple[str, int, int]]:
    """Put the scripts that all pages share into one row."""
    rows = [(file.name, file.raw, file.gzip) for file in site.files if not file.name.startswith(f"{ASSETS}/")]
    shared = [file for file in site.files if file.name.startswith(f"{ASSETS}/")]
    return [*rows, (f"{ASSETS}/*", sum(file.raw for file in shared), sum(file.gzip for file in shared))]


def clean_sites(builder: StaticSiteBuilder, directory: Path) -> None:
    """Remove the sites of this project that we made, of any version. The cache stays."""
    name = builder.normalize_file_name_component(builder.metadata.core.name)
    with readable_errors(builder.app):
        for folder in directory.glob(f"{name}-*-site"):
            remove_ours(folder)


def site_requirements(config: SiteConfig) -> list[str]:
    """List what must be installed to build the site's models. Never raises."""
    app = config.builder.app
    try:
        names = read_site_table(config.target_config).models
    except ConfigError as error:
        app.display_debug(f"hatch-neurenix: requirements unknown: {error}")
        return []
    document = config.builder.metadata.config
    return missing_requirements(document, config.root, app, target="static-site", native=False, names=names)


def read_site_table(table: Mapping[str, Any]) -> SiteTable:
    """Read the target's own options. Raises ConfigError."""
    problems: list[str] = []
    own = {key: value for key, value in table.items() if key not in _HATCHLING_KEYS}
    options = read_table(SiteTable, own, _TARGET, problems)
    if options is None:
        raise ConfigError(problems)
    return options


def find_pages(root: Path, option: str | None, destination: Path) -> Path | None:
    """Return the folder of the project's pages, which must lie in the project and hold no site. Raises ConfigError."""
    if option is None:
        return None
    pages = root / option
    if not pages.is_dir():
        raise ConfigError([f"{_TARGET}.pages: {option!r} is no folder in {root}"])
    if not pages.resolve().is_relative_to(root.resolve()):
        raise ConfigError([f"{_TARGET}.pages: {option!r} leaves the project -- move the pages into it"])
    inside = root.resolve() if pages.resolve() == root.resolve() else destination.resolve()
    if inside.is_relative_to(pages.resolve()):
        raise ConfigError(
            [
                f"{_TARGET}.pages: {option!r} has {inside} in it, which would go on the web too -- "
                "move the pages into a folder of their own"
            ]
        )
    return pages
