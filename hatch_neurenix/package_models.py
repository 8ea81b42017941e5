"""Builds the models of a package, for any build backend: what a wheel carries, and what an sdist does."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hatch_neurenix.placement import package_files
from hatch_neurenix.requirements import question
from neurenix.cache import Cache
from neurenix.project.build_record import BuiltModel, asked_key, recall, remember
from neurenix.project.staging import replacing

Say = Callable[[str], None]


def models_for_package(document: Mapping[str, Any], root: Path, say: Say, target: str) -> tuple[BuiltModel, ...]:
    """Return the finished models of a parsed pyproject.toml for the target "wheel" or "editable".

    Raises a NeurenixError. For an unchanged project nothing is imported that trains or compiles.
    """
    root, store = root.resolve(), Cache()
    asked = asked_key(**question(document, target, native=True))
    models = recall(asked, root, store)
    if models is not None:
        return models
    from neurenix.config import parse_config
    from neurenix.project.pipeline import build_models, model_sources

    config = parse_config(document, target=target)
    models = build_models(config, root, say=say)
    remember(asked, root, store, model_sources(config), models)
    return models


def models_for_sdist(
    document: Mapping[str, Any], root: Path, say: Say, *, prebuilt: bool = True
) -> tuple[dict[Path, str], tuple[BuiltModel, ...]]:
    """Return every file that an sdist needs beside the sources, with its place in it, and the models it carries.

    Without `prebuilt` they are those files alone that the project itself has.
    """
    from neurenix.config import parse_config
    from neurenix.project.fingerprint import model_files

    files: dict[Path, str] = {}
    config = parse_config(document, target="wheel")
    for wanted in (config, parse_config(document)):
        for name, model in wanted.models.items():
            files.update({path: relative for relative, path in model_files(root, name, model).items()})
    if not (prebuilt and config.prebuilt_in_sdist):
        return files, ()
    from neurenix.project.pipeline import build_models
    from neurenix.project.prebuilt import prebuilt_files

    models = build_models(config, root, say=say)
    for built in models:
        files.update(prebuilt_files(built.entries))
    return files, models


def stage_package(folder: Path, models: tuple[BuiltModel, ...]) -> None:
    """Write the models into a package's own sources, where an editable install imports them."""
    with replacing(folder) as staged:
        (staged / ".gitignore").write_text("*\n", encoding="utf-8")
        copy_package(staged, models)


def copy_package(folder: Path, models: tuple[BuiltModel, ...]) -> None:
    """Copy what a package carries of its models into the folder that is imported as `_neurenix`."""
    for name, path in package_files(models).items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
