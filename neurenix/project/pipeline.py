"""From the configuration to finished bundles: trains and compiles each model, unless somebody has done it before.

A model whose results are in the cache, or in the sdist that is built from, runs nothing: no training
function, no compiler. Several that must be made are made at once.
"""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from neurenix.cache import Cache
from neurenix.config import Config
from neurenix.config.rules import quote, suggestion
from neurenix.errors import BuildError, ConfigError, MissingExtraError, NeurenixError, TrainingError
from neurenix.export import export
from neurenix.project.build_record import BuiltModel
from neurenix.project.fanout import Done, build_many, chosen_executor
from neurenix.project.fingerprint import ModelSources, source_files
from neurenix.project.jobs import Job, plan_jobs
from neurenix.project.stages import (
    Exporter,
    Say,
    compile_bundle,
    find_bundle,
    find_trained,
    open_store,
    packages,
    train,
)
from neurenix.toolchain import zig_version

__all__ = ["BuiltModel", "Work", "build_model", "build_models", "missing_work", "model_sources"]

_LIBRARIES = (".so", ".dylib", ".dll")


@dataclass(frozen=True)
class Work:
    """What a build would have to do, because the cache does not have it, and the packages that making models needs."""

    train: bool
    compile: bool
    packages: tuple[str, ...] = ()


def build_models(
    config: Config,
    root: Path,
    names: Iterable[str] | None = None,
    say: Say = lambda line: None,
    *,
    native: bool = True,
    cache: Path | None = None,
    exporter: Exporter = export,
    executor: Executor | None = None,
) -> tuple[BuiltModel, ...]:
    """Build the named models (all, when None), in the order of the configuration.

    `native=False` leaves the native libraries out, for a folder that only browsers read. `cache` is the
    folder of the build cache. When several models must be made, `executor` makes them, or else the one that the
    configuration names. Raises a NeurenixError, which is a BuildError when there are several models; what is done
    stays in the cache.
    """
    Cache(cache).sweep()
    jobs = plan_jobs(config, root, names, native, cache)
    _check_files(jobs)
    build = partial(build_model, exporter=exporter)
    if len(jobs) == 1:
        return (build(jobs[0], say),)
    outcomes = _make_missing(config, jobs, build, say, executor)
    built: dict[str, BuiltModel] = {}
    failures: dict[str, BaseException] = {
        n: outcome for n, outcome in outcomes.items() if isinstance(outcome, Exception)
    }
    for job in jobs:
        if job.name in failures:
            continue
        try:
            model = build(job, say)
        except NeurenixError as error:
            failures[job.name] = error
            continue
        done = outcomes.get(job.name)
        built[job.name] = (
            replace(model, trained_now=done.trained_now, compiled_now=done.compiled_now, seconds=done.seconds)
            if isinstance(done, Done)
            else model
        )
    if failures:
        ordered = {job.name: failures[job.name] for job in jobs if job.name in failures}
        raise BuildError(ordered, len(jobs)) from next(iter(ordered.values()))
    return tuple(built[job.name] for job in jobs)


def missing_work(
    config: Config,
    root: Path,
    names: Iterable[str] | None = None,
    *,
    native: bool = True,
    cache: Path | None = None,
    say: Say = lambda line: None,
) -> Work:
    """Tell what `build_models` with the same arguments would have to do. Runs nothing."""
    training = compiling = False
    needed: dict[str, None] = {}
    for job in plan_jobs(config, root, names, native, cache):
        work = _work(job, say)
        training |= work.train
        compiling |= work.compile
        needed.update(dict.fromkeys(work.packages))
    return Work(training, compiling, tuple(needed))


def build_model(job: Job, say: Say, exporter: Exporter = export) -> BuiltModel:
    """Train and compile one model, as far as neither the cache nor an sdist has it."""
    start = time.perf_counter()
    store = open_store(job, say)
    graph = find_trained(job, store)
    if graph.files is None and exporter is export:
        _check_tools()
    trained, trained_now = train(job, store, say, graph)
    metrics = json.loads((trained / "metrics.json").read_text(encoding="utf-8"))
    _check_metrics(job, metrics)
    found = find_bundle(job, trained, store)
    bundle, compiled_now = compile_bundle(job, store, say, exporter, trained, found)
    built = BuiltModel(
        name=job.name,
        directory=bundle / "bundle",
        metrics=metrics,
        report=json.loads((bundle / "report.json").read_text(encoding="utf-8")),
        trained_now=trained_now,
        compiled_now=compiled_now,
        entries={graph.project_key: trained, found.project_key: bundle},
        seconds=time.perf_counter() - start,
        standalone=job.standalone,
    )
    _check_size(built, job.max_bytes)
    return built


def model_sources(config: Config, names: Iterable[str] | None = None) -> tuple[ModelSources, ...]:
    """Say which files the named models (all, when None) are made of."""
    chosen = config.models.keys() if names is None else set(names)
    ops = {name: op.plain() for name, op in config.ops.items()}
    return tuple(ModelSources.of(name, model, ops) for name, model in config.models.items() if name in chosen)


def _work(job: Job, say: Say) -> Work:
    store = open_store(job, say)
    trained = find_trained(job, store).files
    if trained is None:
        return Work(True, True, tuple(packages(job)))
    return Work(False, find_bundle(job, trained, store).files is None)


def _make_missing(
    config: Config, jobs: tuple[Job, ...], build: partial[BuiltModel], say: Say, executor: Executor | None
) -> dict[str, Done | Exception]:
    """Have those jobs done that are not yet, at once if they are several; a failure of one is for later."""
    missing = [job for job in jobs if _is_missing(job, say)]
    if not missing or (len(missing) == 1 and config.executor != "dask"):
        return {}
    chosen: AbstractContextManager[tuple[Executor, bool]] = (
        nullcontext((executor, False)) if executor is not None else chosen_executor(config, len(missing), say)
    )
    with chosen as (pool, send_back):
        return build_many(missing, build, pool, say, send_back=send_back)


def _is_missing(job: Job, say: Say) -> bool:
    try:
        return _work(job, say) != Work(False, False)
    except NeurenixError:
        return False  # Building it raises the same, and is where it is told.


def _check_tools() -> None:
    """Raise at once what a build would else come to after the training: nothing compiles, or nothing proves."""
    zig_version()
    if importlib.util.find_spec("wasmtime") is None:
        raise MissingExtraError("wasmtime", "wasm", "proving the compiled model")


def _check_size(built: BuiltModel, limit: int | None) -> None:
    web = sum(file["raw"] for file in built.report["files"] if not file["name"].endswith(_LIBRARIES))
    if limit is not None and web > limit:
        raise ConfigError(
            [
                f"tool.neurenix.web.max-size: model {built.name!r} has {web:,} bytes of web files, more than "
                f"{limit:,} -- raise max-size or make the model smaller"
            ]
        )


def _check_files(jobs: Iterable[Job]) -> None:
    """Raise ConfigError with all that is wrong with the files of all models, before the first is trained."""
    problems: list[str] = []
    for job in jobs:
        try:
            source_files(job.root, ModelSources.of(job.name, job.model, job.ops))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)


def _check_metrics(job: Job, metrics: Mapping[str, float]) -> None:
    problems = []
    limits = (("min-metric", "below", job.model.min_metric), ("max-metric", "above", job.model.max_metric))
    for key, side, wanted in limits:
        for name, limit in wanted.items():
            where = f"tool.neurenix.models.{job.name}.{key}.{name}"
            if name not in metrics:
                known = ", ".join(map(quote, metrics)) or "none"
                hint = suggestion(name, metrics) or f" -- it returned {known}"
                problems.append(f"{where}: the training returned no metric {quote(name)}{hint}")
            elif (metrics[name] < limit) if side == "below" else (metrics[name] > limit):
                problems.append(
                    f"{where}: {name} is {metrics[name]:.4g}, {side} {limit:g} -- train longer, improve the data or "
                    f"the layers, or change {key!r}"
                )
    if problems:
        raise TrainingError("\n".join(problems))
