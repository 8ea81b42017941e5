"""From the configuration to finished bundles: trains and compiles each model, unless the cache has it.

Two cached stages. `trained` is the traced graph with its metrics, found by everything that training depends
on; `bundle` is the folder that ships, found by the graph's content, the export options and this project's
code. A model that is in the cache runs nothing: no training function, no compiler.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neurenix import __version__
from neurenix.cache import Cache, cache_key, file_digest
from neurenix.config import Config
from neurenix.errors import ConfigError, ToolchainError
from neurenix.export import ExportOptions, ExportReport, export
from neurenix.fingerprint import all_code, digests, package_sources, training_code, watched_files
from neurenix.graph.store import load_graph
from neurenix.jobs import Job, plan_jobs
from neurenix.toolchain import zig_version
from neurenix.training_run import run_training

ZIG_REQUIREMENT = "ziglang>=0.17,<0.18"

_LIBRARIES = (".so", ".dylib", ".dll")

Say = Callable[[str], None]
Exporter = Callable[[Any, Path, str, ExportOptions, Say], ExportReport]


@dataclass(frozen=True)
class BuiltModel:
    """A model that is ready to ship. `report` is the ExportReport as JSON; its files lie in `directory`."""

    name: str
    directory: Path
    metrics: Mapping[str, float]
    report: Mapping[str, Any]
    trained_now: bool
    compiled_now: bool


@dataclass(frozen=True)
class Work:
    """What a build would have to do, because the cache does not have it."""

    train: bool
    compile: bool


def build_models(
    config: Config,
    root: Path,
    names: Iterable[str] | None = None,
    say: Say = lambda line: None,
    *,
    native: bool = True,
    cache: Path | None = None,
    exporter: Exporter = export,
) -> tuple[BuiltModel, ...]:
    """Build the named models (all, when None), in the order of the configuration.

    `native=False` leaves the native libraries out, for a folder that only browsers read. `cache` is the
    folder of the build cache. Raises a NeurenixError; the models before it stay in the cache.
    """
    Cache(cache).sweep()
    return tuple(build_model(job, say, exporter) for job in plan_jobs(config, root, names, native, cache))


def missing_work(
    config: Config,
    root: Path,
    names: Iterable[str] | None = None,
    *,
    native: bool = True,
    cache: Path | None = None,
) -> Work:
    """Tell what `build_models` with the same arguments would have to do. Runs nothing."""
    train = compile_ = False
    for job in plan_jobs(config, root, names, native, cache):
        store = Cache(job.cache)
        trained = store.get(_trained_key(job))
        train |= trained is None
        compile_ |= trained is None or _find_bundle(job, trained, store)[1] is None
    return Work(train, compile_)


def build_model(job: Job, say: Say, exporter: Exporter = export) -> BuiltModel:
    """Train and compile one model, as far as the cache does not have it."""
    store = Cache(job.cache)
    trained, trained_now = _train(job, store, say)
    key, bundle = _find_bundle(job, trained, store)
    compiled_now = False
    if bundle is None:

        def write(files: Path) -> None:
            nonlocal compiled_now
            compiled_now = True
            (files / "bundle").mkdir()
            graph = load_graph(trained / "graph.npz")
            report = exporter(graph, files / "bundle", job.name, job.options, say)
            (files / "report.json").write_text(_report_json(report), encoding="utf-8")

        bundle = store.put(key, write, lambda: say(f"{job.name}: waiting for another build to compile it"))
    built = BuiltModel(
        name=job.name,
        directory=bundle / "bundle",
        metrics=json.loads((trained / "metrics.json").read_text(encoding="utf-8")),
        report=json.loads((bundle / "report.json").read_text(encoding="utf-8")),
        trained_now=trained_now,
        compiled_now=compiled_now,
    )
    _check_size(built, job.max_bytes)
    return built


def _train(job: Job, store: Cache, say: Say) -> tuple[Path, bool]:
    key = _trained_key(job)
    found = store.get(key)
    if found is not None:
        return found, False
    trained_now = False

    def write(files: Path) -> None:
        nonlocal trained_now
        trained_now = True
        say(f"{job.name}: training with {job.model.train}")
        log = store.directory / "logs" / f"{job.name}-{key[:12]}.log"
        run_training(job.name, job.model, job.root, files, log, lambda line: say(f"  {line}"))

    waiting = f"{job.name}: waiting for another build to train it"
    return store.put(key, write, lambda: say(waiting)), trained_now


def _trained_key(job: Job) -> str:
    model = job.model
    watched = watched_files(job.root, model.watch, f"tool.neurenix.models.{job.name}.watch")
    assert model.train is not None, "the configuration has been validated"
    return cache_key(
        {
            "stage": "trained",
            "name": job.name,
            "train": model.train,
            "params": model.params,
            # Pairs: the order of the inputs is the order of the model's arguments.
            "inputs": None if model.inputs is None else list(model.inputs.items()),
            "dims": list(job.options.dims.items()),
            "watched": digests(watched),
            "package": digests(package_sources(job.root, model.train.partition(":")[0])),
            "train-dependencies": job.train_dependencies,
            "neurenix": [__version__, training_code()],
            "numpy": np.__version__,
        }
    )


def _find_bundle(job: Job, trained: Path, store: Cache) -> tuple[str, Path | None]:
    """Return the key of the bundle and, if the cache has it, its folder.

    The key names zig's version only where two of them have been used: an isolated build environment has
    no zig until something must be compiled, and must find what the last one made.
    """
    fields = {
        "stage": "bundle",
        "name": job.name,
        "graph": file_digest(trained / "graph.npz"),
        "options": dataclasses.asdict(job.options),
        "code": all_code(),
        "zig": ZIG_REQUIREMENT,
        "numpy": np.__version__,
    }
    key = cache_key(fields)
    found = store.get(key)
    version = _installed_zig()
    if found is not None and version is not None:
        made_with = json.loads((found / "report.json").read_text(encoding="utf-8"))["zig"]
        if made_with != version:
            key = cache_key({**fields, "zig": version})
            found = store.get(key)
    return key, found


def _installed_zig() -> str | None:
    try:
        return zig_version()
    except ToolchainError:
        return None


def _report_json(report: ExportReport) -> str:
    data = {
        "files": [dataclasses.asdict(file) for file in report.files],
        "agreement": dict(report.agreement),
        "native_targets": list(report.native_targets),
        "zig": _installed_zig(),
    }
    return json.dumps(data, indent=1, allow_nan=False)


def _check_size(built: BuiltModel, limit: int | None) -> None:
    web = sum(file["raw"] for file in built.report["files"] if not file["name"].endswith(_LIBRARIES))
    if limit is not None and web > limit:
        raise ConfigError(
            [
                f"tool.neurenix.web.max-size: model {built.name!r} has {web:,} bytes of web files, more than "
                f"{limit:,} -- raise max-size or make the model smaller"
            ]
        )
