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
from dataclasses import asdict, dataclass, field
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


def recall(asked: str, root: Path, store: Cache) -> tuple[BuiltModel, ...] | None:
    """Return what the same question came to before, if nothing that its models are made of has changed."""
    found = store.get(asked)
    if found is None:
        return None
    sources = [ModelSources(**data) for data in json.loads((found / "sources.json").read_text(encoding="utf-8"))]
    try:
        key = _build_key(asked, root, sources)
    except NeurenixError:
        return None  # The build itself says what is wrong.
    build = store.get(key)
    if build is None:
        return None
    models = []
    for data in json.loads((build / "models.json").read_text(encoding="utf-8")):
        bundle = store.get(data["bundle"])
        if bundle is None:
            return None
        report = json.loads((bundle / "report.json").read_text(encoding="utf-8"))
        more = {"metrics": data["metrics"], "report": report, "standalone": data["standalone"]}
        models.append(BuiltModel(data["name"], bundle / "bundle", trained_now=False, compiled_now=False, **more))
    return tuple(models)


def remember(
    asked: str, root: Path, store: Cache, sources: Iterable[ModelSources], models: Iterable[BuiltModel]
) -> None:
    """Note what a question came to, unless more than the models' own files decides about it.

    A bundle that an sdist carries is not in the cache; a custom op has a source that the models may not name.
    """
    sources, models = tuple(sources), tuple(models)
    if any(not model.directory.is_relative_to(store.directory) or _has_custom_ops(model) for model in models):
        return
    answers = [
        {
            "name": model.name,
            "metrics": dict(model.metrics),
            "bundle": model.directory.parent.parent.name,
            "standalone": model.standalone,
        }
        for model in models
    ]
    store.put(asked, _writes("sources.json", [asdict(source) for source in sources]), label="record of a build's files")
    store.put(_build_key(asked, root, sources), _writes("models.json", answers), label="record of a build")


def _build_key(asked: str, root: Path, sources: Iterable[ModelSources]) -> str:
    return cache_key({"stage": "build", "asked": asked, "files": [source_digests(root, source) for source in sources]})


def _has_custom_ops(model: BuiltModel) -> bool:
    noted = (files / "ops.json" for files in model.entries.values())
    return any(json.loads(path.read_text(encoding="utf-8")) for path in noted if path.is_file())


def _writes(name: str, data: Any) -> Any:
    return lambda files: (files / name).write_text(json.dumps(data), encoding="utf-8") and None


def _installed_zig() -> str | None:
    try:
        return zig_version()
    except ToolchainError:
        return None
