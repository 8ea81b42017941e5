"""The work of the build hook: builds the models and tells hatchling what to pack."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatch_neurenix.display import readable_errors, show_models
from hatch_neurenix.placement import FOLDER, find_package, read_hook_table, wheel_files, wheel_tag
from neurenix.config import parse_config
from neurenix.errors import ConfigError
from neurenix.fingerprint import watched_files
from neurenix.pipeline import BuiltModel, build_models
from neurenix.staging import remove_ours, replacing
from neurenix.toolchain import TARGETS

if TYPE_CHECKING:
    from hatch_neurenix.build_hook import NeurenixBuildHook


def add_models(hook: NeurenixBuildHook, version: str, build_data: dict[str, Any]) -> None:
    """Build every model and put it into the wheel, or into the sources of an editable install."""
    root = Path(hook.root)
    config = parse_config(hook.metadata.config)
    package = _package(hook)
    models = build_models(config, root, say=hook.app.display_info)
    show_models(hook.app, models)
    if version == "editable":
        # Forced files would land in site-packages, beside the package that is really imported.
        _write_into_package(root / package / FOLDER, models)
        return
    _leave_out_staged(hook)
    build_data["force_include"].update(wheel_files(models, package))
    tag = wheel_tag(models, {name: target.wheel_tag for name, target in TARGETS.items()})
    if tag is not None:
        build_data["pure_python"] = False
        # Another hook may have asked for a tag with an ABI, which is narrower than ours.
        if not build_data.get("infer_tag"):
            build_data.setdefault("tag", tag)


def add_watched_files(hook: NeurenixBuildHook, build_data: dict[str, Any]) -> None:
    """Put the watched files of every model into the sdist, ignored by version control or not."""
    _leave_out_staged(hook)
    for name, model in parse_config(hook.metadata.config).models.items():
        files = watched_files(Path(hook.root), model.watch, f"tool.neurenix.models.{name}.watch")
        build_data["force_include"].update({str(path): relative for relative, path in files.items()})


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


def _leave_out_staged(hook: NeurenixBuildHook) -> None:
    """Exclude what an editable install has left in the sources: it may be older than this build."""
    config = hook.build_config
    inherited = config.build_config.get("exclude", config.default_exclude())
    config.target_config["exclude"] = [*config.target_config.get("exclude", inherited), f"{FOLDER}/"]
    vars(config).pop("exclude_spec", None)


def _write_into_package(folder: Path, models: tuple[BuiltModel, ...]) -> None:
    with replacing(folder) as staged:
        (staged / ".gitignore").write_text("*\n", encoding="utf-8")
        for model in models:
            shutil.copytree(model.directory, staged / model.name, copy_function=shutil.copyfile)
