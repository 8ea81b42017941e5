"""The two cached stages of one model: their keys, who has their results, and how they are made.

`trained` is the traced graph with its metrics, found by everything that training depends on; `bundle` is the
folder that ships, found by the graph's content, the export options and this project's code. Below them the
toolchain keeps each compiled object. A key that names only what the project decides finds a result in an sdist.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from neurenix import __version__
from neurenix.bundle.writer import FORMAT
from neurenix.cache import Cache, cache_key, file_digest
from neurenix.cache.remote import remote_cache
from neurenix.config.rules import quote
from neurenix.errors import ConfigError, ToolchainError
from neurenix.export import ExportOptions, ExportReport
from neurenix.graph.store import load_graph
from neurenix.project.declared_ops import read_used, register_used
from neurenix.project.fingerprint import (
    ModelSources,
    all_code,
    package_digests,
    source_digests,
    training_code,
)
from neurenix.project.jobs import Job
from neurenix.project.prebuilt import find_prebuilt
from neurenix.project.training_request import training_request
from neurenix.project.training_run import run_training
from neurenix.toolchain import zig_version

ZIG_REQUIREMENT = "ziglang>=0.17,<0.18"

# What reads a model file, by its ending.
_TORCH = ("torch>=2.6", "onnx>=1.17", "onnxscript")
READERS = {
    ".onnx": ("onnx>=1.17",),
    ".safetensors": ("safetensors>=0.4",),
    ".pt2": _TORCH,
    ".pt": _TORCH,
    ".pth": _TORCH,
}

_DOING = {"train": "training with", "load": "reading", "data": "training on"}

Say = Callable[[str], None]
Exporter = Callable[[Any, Path, str, ExportOptions, Say], ExportReport]


@dataclass(frozen=True)
class Result:
    """What a stage has, or would have: its key in the cache, its key in an sdist, and its files if it is there."""

    key: str
    project_key: str
    files: Path | None


def open_store(job: Job, say: Say = lambda line: None) -> Cache:
    """Return the cache of a job, with the remote one behind it if there is one."""
    return Cache(job.cache, remote_cache(job.remote, say))


def find_trained(job: Job, store: Cache) -> Result:
    """Look for the traced graph of a job, in the sdist that is being built from and then in the cache."""
    fields = _training_fields(job)
    project_key = cache_key({**fields, "request": _set(fields["request"]), "for": "sdist"})
    key = cache_key({**fields, "neurenix": [__version__, training_code()], "numpy": np.__version__})
    return Result(key, project_key, find_prebuilt(job.root, project_key) or store.get(key))


def train(job: Job, store: Cache, say: Say, found: Result) -> tuple[Path, bool]:
    """Return the folder of the traced graph, made now unless it was found or another process makes it."""
    if found.files is not None:
        return found.files, False
    trained_now = False

    def write(files: Path) -> None:
        nonlocal trained_now
        trained_now = True
        say(f"{job.name}: {_DOING[job.model.source]} {job.model.file or job.model.train}")
        log = store.directory / "logs" / f"{job.name}-{found.key[:12]}.log"
        installed = job.train_dependencies
        run_training(job.name, job.model, job.root, files, log, lambda line: say(f"  {line}"), installed, job.ops)

    waiting = f"{job.name}: waiting for another build to train it"
    return store.put(found.key, write, lambda: say(waiting), f"trained {job.name}"), trained_now


def find_bundle(job: Job, trained: Path, store: Cache) -> Result:
    """Look for the finished bundle of a trained job, in the sdist that is being built from and then in the cache.

    The key names zig's version only where two of them have been used: an isolated build environment has
    no zig until something must be compiled, and must find what the last one made.
    """
    project_fields: dict[str, Any] = {
        "stage": "bundle",
        "name": job.name,
        "graph": file_digest(trained / "graph.npz"),
        "options": dataclasses.asdict(_options(job, trained)),
    }
    used = read_used(trained)
    if used:
        project_fields["ops"] = used
        # The proof of a kernel is by its op's functions, which say what it must compute.
        functions = ModelSources.of(job.name, job.model, job.ops).functions
        project_fields["functions"] = package_digests(job.root, (*functions, *(op["module"] for op in used.values())))
    options = _set(project_fields["options"], dataclasses.asdict(ExportOptions()))
    project_key = cache_key({**project_fields, "options": options, "for": "sdist", "format": FORMAT})
    prebuilt = find_prebuilt(job.root, project_key)
    fields = {**project_fields, "code": all_code(), "zig": ZIG_REQUIREMENT, "numpy": np.__version__}
    key = cache_key(fields)
    if prebuilt is not None:
        return Result(key, project_key, prebuilt)
    found = store.get(key)
    version = installed_zig()
    if found is not None and version is not None:
        made_with = json.loads((found / "report.json").read_text(encoding="utf-8"))["zig"]
        if made_with != version:
            key = cache_key({**fields, "zig": version})
            found = store.get(key)
    return Result(key, project_key, found)


def compile_bundle(
    job: Job, store: Cache, say: Say, exporter: Exporter, trained: Path, found: Result
) -> tuple[Path, bool]:
    """Return the folder with `bundle/` and `report.json`, made now unless it was found or another process makes it."""
    if found.files is not None:
        return found.files, False
    compiled_now = False

    def write(files: Path) -> None:
        nonlocal compiled_now
        compiled_now = True
        (files / "bundle").mkdir()
        register_used(trained, job.ops, job.root)
        graph = load_graph(trained / "graph.npz")
        report = exporter(graph, files / "bundle", job.name, _options(job, trained), say)
        (files / "report.json").write_text(_report_json(report), encoding="utf-8")

    waiting = f"{job.name}: waiting for another build to compile it"
    return store.put(found.key, write, lambda: say(waiting), f"bundle {job.name}"), compiled_now


def packages(job: Job) -> Iterable[str]:
    """Name what must be installed for the process that makes the model."""
    if job.model.train is not None or job.model.architecture is not None:
        yield from job.train_dependencies
    if job.model.load is not None:
        yield from READERS[PurePosixPath(job.model.load).suffix.lower()]


def installed_zig() -> str | None:
    """Return the version of the zig that would compile, or None when there is none."""
    try:
        return zig_version()
    except ToolchainError:
        return None


def _training_fields(job: Job) -> dict[str, Any]:
    """Return what of the project decides the training."""
    model = job.model
    files, package = source_digests(job.root, ModelSources.of(job.name, model, job.ops))
    if model.load is not None and model.sha256 is not None:
        _check_sha256(job, files[PurePosixPath(model.load).as_posix()])
    function = model.train or model.architecture
    return {
        **({"ops": dict(job.ops)} if job.ops else {}),
        "stage": "trained",
        "name": job.name,
        "request": training_request(model),
        "watched": files,
        "package": package,
        # Nothing of the project's runs where there is no function.
        "train-dependencies": () if function is None else job.train_dependencies,
    }


def _set(values: Any, defaults: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what is not at its default: a later version that knows more keys still finds what an sdist carries."""
    return {key: value for key, value in values.items() if value not in (None, [], {}, (defaults or {}).get(key))}


def _options(job: Job, trained: Path) -> ExportOptions:
    """Return the job's options, with the labels that the training has found and the shaders that it has registered."""
    labels = json.loads((trained / "labels.json").read_text(encoding="utf-8"))
    file = trained / "shaders.json"
    shaders = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    options = dataclasses.replace(job.options, labels=tuple(labels)) if labels else job.options
    return dataclasses.replace(options, shaders=shaders) if shaders else options


def _report_json(report: ExportReport) -> str:
    data = {
        "files": [dataclasses.asdict(file) for file in report.files],
        "agreement": dict(report.agreement),
        "native_targets": list(report.native_targets),
        "zig": installed_zig(),
    }
    return json.dumps(data, indent=1, allow_nan=False)


def _check_sha256(job: Job, found: str) -> None:
    wanted = str(job.model.sha256).lower()
    if found != wanted:
        raise ConfigError(
            [
                f"tool.neurenix.models.{job.name}.sha256: {quote(job.model.load)} is {found}, expected {wanted} -- "
                "fetch the file again, or write the new value if the change is meant"
            ]
        )
