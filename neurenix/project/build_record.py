"""Remembers what a build came to: an unchanged project is answered without importing what trains and compiles.

Two entries of the cache. `sources`, found by everything that was asked for, says which files the models are made
of; `build`, found by that and by the content of those files, says what came of them. This module and what it
imports must stay light: it is all that an unchanged build waits for.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from neurenix.cache import Cache, cache_key
from neurenix.errors import NeurenixError, ToolchainError
from neurenix.project.fingerprint import ModelSources, all_code, source_digests
from neurenix.toolchain import zig_version

# What decides about a build besides the project: each of them is part of what was asked for.
VARIABLES = ("NEURENIX_PROFILE", "NEURENIX_TARGET", "NEURENIX_REMOTE_CACHE")


@dataclass(frozen=True)
class BuiltModel:
    """A model that is ready to ship. `report` is the ExportReport as JSON; its files lie in `directory`.

    `entries` are the results that an sdist carries, by the keys it has them under. `standalone` asks for a
    runtime beside its libraries; `seconds` is how long it took to have it.
    """

    name: str
    directory: Path
    metrics: Mapping[str, float]
    report: Mapping[str, Any]
    trained_now: bool
    compiled_now: bool
    entries: Mapping[str, Path] = field(default_factory=dict)
    standalone: bool = False
    seconds: float = 0.0


def asked_key(**asked: Any) -> str:
    """Return the key of a question: the tables as they are written, and what else decides about the answer."""
    return cache_key(
        {
            "stage": "record",
            # Not sorted: the order of a model's inputs is the order of its arguments. A date is a mistake, but no bug.
            "asked": json.dumps(asked, default=str),
            "variables": {name: os.environ.get(name) for name in VARIABLES},
            "code": all_code(),
            "numpy": importlib.metadata.version("numpy"),
            "zig": _installed_zig(),
        }
    )


@dataclass(frozen=True)
class Recalled:
    """What a build came to: its models, and which files they are made of."""

    models: tuple[BuiltModel, ...]
    sources: tuple[ModelSources, ...]


def recall(asked: str, root: Path, store: Cache, *, entries: bool = False) -> Recalled | None:
    """Return what the same question came to before, if nothing that its models are made of has changed.

    With `entries` the models have theirs, for an sdist.
    """
    found = store.get(asked)
    if found is None:
        return None
    noted = json.loads((found / "sources.json").read_text(encoding="utf-8"))
    sources = tuple(ModelSources.read(data) for data in noted)
    try:
        key = _build_key(asked, root, sources)
    except NeurenixError:
        return None  # The build itself says what is wrong.
    build = store.get(key)
    if build is None:
        return None
    models = [_found(data, store, entries) for data in json.loads((build / "models.json").read_text(encoding="utf-8"))]
    known = tuple(model for model in models if model is not None)
    return Recalled(known, sources) if len(known) == len(models) else None


def _found(data: Mapping[str, Any], store: Cache, entries: bool) -> BuiltModel | None:
    bundle = store.get(data["bundle"])
    carried = {key: store.get(name) for key, name in data["entries"].items()} if entries else {}
    whole = {key: files for key, files in carried.items() if files is not None}
    if bundle is None or len(whole) < len(carried):
        return None
    report = json.loads((bundle / "report.json").read_text(encoding="utf-8"))
    more = {"metrics": data["metrics"], "report": report, "entries": whole, "standalone": data["standalone"]}
    return BuiltModel(data["name"], bundle / "bundle", trained_now=False, compiled_now=False, **more)


def remember(
    asked: str, root: Path, store: Cache, sources: Iterable[ModelSources], models: Iterable[BuiltModel]
) -> None:
    """Note what a question came to, unless it is not in the cache: an sdist may carry it."""
    sources, models = tuple(sources), tuple(models)
    used = (files for model in models for files in (model.directory, *model.entries.values()))
    if not all(files.is_relative_to(store.directory) for files in used):
        return
    modules = {model.name: _op_modules(model) for model in models}
    sources = tuple(replace(each, functions=(*each.functions, *modules.get(each.name, ()))) for each in sources)
    answers = [
        {
            "name": model.name,
            "metrics": dict(model.metrics),
            "bundle": model.directory.parent.parent.name,
            "standalone": model.standalone,
            "entries": {key: files.parent.name for key, files in model.entries.items()},
        }
        for model in models
    ]
    store.put(asked, _writes("sources.json", [asdict(source) for source in sources]), label="record of a build's files")
    store.put(_build_key(asked, root, sources), _writes("models.json", answers), label="record of a build")


def _build_key(asked: str, root: Path, sources: Iterable[ModelSources]) -> str:
    return cache_key({"stage": "build", "asked": asked, "files": [source_digests(root, source) for source in sources]})


def _op_modules(model: BuiltModel) -> tuple[str, ...]:
    """Return the modules that define the custom ops of a model: its functions may not name them."""
    noted = (files / "ops.json" for files in model.entries.values())
    found = (json.loads(path.read_text(encoding="utf-8")) for path in noted if path.is_file())
    return tuple(sorted({op["module"] for ops in found for op in ops.values()}))


def _writes(name: str, data: Any) -> Any:
    return lambda files: (files / name).write_text(json.dumps(data), encoding="utf-8") and None


def _installed_zig() -> str | None:
    try:
        return zig_version()
    except ToolchainError:
        return None
