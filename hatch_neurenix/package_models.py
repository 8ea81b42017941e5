"""Builds the models of a package, for any build backend: what a wheel carries, and what an sdist does."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hatch_neurenix.placement import package_files
from hatch_neurenix.requirements import question
from neurenix.cache import Cache
from neurenix.project.build_record import BuiltModel, Recalled, asked_key, recall, remember
from neurenix.project.fingerprint import source_files
from neurenix.project.prebuilt import prebuilt_files
from neurenix.project.staging import replacing

Say = Callable[[str], None]


def models_for_package(
    document: Mapping[str, Any],
    root: Path,
    say: Say,
    target: str,
    *,
    native: bool = True,
    names: Sequence[str] | None = None,
    names_at: str = "",
) -> tuple[BuiltModel, ...]:
    """Return the finished models of a parsed pyproject.toml for the target "wheel", "editable" or "static-site".

    `names` are the models to build, all when None, and `names_at` is where they are written. Raises a
    NeurenixError. For an unchanged project nothing is imported that trains or compiles.
    """
    root, store = root.resolve(), Cache()
    asked = asked_key(**question(document, target, native=native, names=names))
    found = recall(asked, root, store)
    if found is not None:
        return found.models
    from neurenix.config import parse_config
    from neurenix.project.jobs import check_model_names
    from neurenix.project.pipeline import build_models, model_sources

    config = parse_config(document, target=target)
    if names is not None:
        check_model_names(names, config.models, names_at)
    models = build_models(config, root, names, say, native=native)
    remember(asked, root, store, model_sources(config, names), models)
    return models


def models_for_sdist(
    document: Mapping[str, Any], root: Path, say: Say, *, prebuilt: bool = True
) -> tuple[dict[Path, str], tuple[BuiltModel, ...]]:
    """Return every file that an sdist needs beside the sources, with its place in it, and the models it carries.

    Without `prebuilt` they are those files alone that the project itself has.
    """
    store = Cache()
    asked = asked_key(**question(document, "sdist", native=True))
    found = recall(asked, root.resolve(), store, entries=True) if prebuilt else None
    if found is None:
        from neurenix.config import parse_config
        from neurenix.project.pipeline import build_models, model_sources

        config = parse_config(document, target="wheel")
        sources = (*model_sources(config), *model_sources(parse_config(document)))
        wanted = prebuilt and config.prebuilt_in_sdist
        found = Recalled(build_models(config, root, say=say) if wanted else (), sources)
        if wanted:
            remember(asked, root.resolve(), store, sources, found.models)
    files = {path: name for model in found.sources for name, path in source_files(root, model).items()}
    for built in found.models:
        files.update(prebuilt_files(built.entries))
    return files, found.models


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
