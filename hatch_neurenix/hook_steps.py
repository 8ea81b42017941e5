"""The work of the build hook: builds the models and tells hatchling what to pack.

An unchanged project gets as far as `recalled` and what that imports: whatever trains or compiles is imported
below it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatch_neurenix.display import readable_errors, show_models, warn_of_environment
from hatch_neurenix.package_models import models_for_package, models_for_sdist, stage_package
from hatch_neurenix.placement import FOLDER, find_package, package_files, read_hook_table, wheel_tag
from neurenix.errors import ConfigError
from neurenix.project.prebuilt import PREBUILT
from neurenix.project.staging import remove_ours

if TYPE_CHECKING:
    from hatch_neurenix.build_hook import NeurenixBuildHook


def add_models(hook: NeurenixBuildHook, version: str, build_data: dict[str, Any]) -> None:
    """Build every model and put it into the wheel, or into the sources of an editable install."""
    warn_of_environment(hook.app)
    root = Path(hook.root)
    target = "editable" if version == "editable" else "wheel"
    package = _package(hook)
    models = models_for_package(hook.metadata.config, root, hook.app.display_info, target)
    show_models(hook.app, models)
    if version == "editable":
        # Forced files would land in site-packages, beside the package that is really imported.
        stage_package(root / package / FOLDER, models)
        return
    _leave_out(hook, f"{FOLDER}/")
    files = package_files(models)
    build_data["force_include"].update({str(path): f"{package}/{FOLDER}/{name}" for name, path in files.items()})
    tag = wheel_tag(target for model in models for target in model.report["native_targets"])
    if tag is not None:
        build_data["pure_python"] = False
        # Another hook may have asked for a tag with an ABI, which is narrower than ours.
        if not build_data.get("infer_tag"):
            build_data.setdefault("tag", tag)


def add_sources(hook: NeurenixBuildHook, build_data: dict[str, Any]) -> None:
    """Put what every model is made of into the sdist, ignored by version control or not, and the finished models."""
    warn_of_environment(hook.app)
    _leave_out(hook, f"{FOLDER}/", f"{PREBUILT}/")
    files, models = models_for_sdist(hook.metadata.config, Path(hook.root), hook.app.display_info)
    show_models(hook.app, models)
    build_data["force_include"].update({str(path): name for path, name in files.items()})


def clean_package(hook: NeurenixBuildHook) -> None:
    """Remove what an editable install has put into the sources. The cache stays."""
    try:
        folder = Path(hook.root) / _package(hook) / FOLDER
    except ConfigError as error:
        # The build that follows says it; cleaning alone has nothing to remove then.
        hook.app.display_debug(f"hatch-neurenix: nothing cleaned: {error}")
        return
    with readable_errors(hook.app):
        if remove_ours(folder):
            hook.app.display_info(f"hatch-neurenix: removed {folder}")


def _package(hook: NeurenixBuildHook) -> str:
    options = read_hook_table(hook.config)
    included = [str(path) for path in hook.build_config.only_include.values()]
    return find_package(Path(hook.root), options.package, included, hook.metadata.core.name)


def _leave_out(hook: NeurenixBuildHook, *patterns: str) -> None:
    """Exclude what an earlier build has left in the sources: it may be older than this one."""
    config = hook.build_config
    inherited = config.build_config.get("exclude", config.default_exclude())
    config.target_config["exclude"] = [*config.target_config.get("exclude", inherited), *patterns]
    vars(config).pop("exclude_spec", None)
