"""Resolves the configuration into one job for each model: all that building it depends on."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurenix.config import Config, ModelConfig
from neurenix.config.rules import quote, suggestion
from neurenix.errors import ConfigError
from neurenix.export import ExportOptions
from neurenix.toolchain import TARGETS, native_targets

# Takes the place of [tool.neurenix.native] targets, so that one machine makes one wheel for each platform.
TARGET_VARIABLE = "NEURENIX_TARGET"


@dataclass(frozen=True)
class Job:
    """All that building one model depends on. It can be pickled, so that another process can do it."""

    name: str
    model: ModelConfig
    root: Path
    train_dependencies: tuple[str, ...]
    options: ExportOptions
    max_bytes: int | None
    cache: Path | None
    remote: str | None = None
    standalone: bool = False
    ops: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def plan_jobs(
    config: Config, root: Path, names: Iterable[str] | None, native: bool, cache: Path | None
) -> tuple[Job, ...]:
    """Resolve the configuration into one job for each model."""
    chosen = config.models.keys() if names is None else set(names)
    targets = tuple(target.name for target in native_targets(target_names(config))) if native else ()
    return tuple(
        Job(
            name=name,
            model=model,
            root=root.resolve(),
            train_dependencies=config.train_dependencies,
            options=ExportOptions(
                inputs=model.inputs,
                dims={dim: (limits.min, limits.max) for dim, limits in model.dims.items()},
                labels=model.labels,
                quantize=model.quantize,
                simd=config.web.simd,
                threads=config.web.threads,
                webgpu=config.web.webgpu,
                webgpu_precision=config.web.webgpu_precision,
                native=targets,
                max_error=model.max_error,
            ),
            max_bytes=config.web.max_bytes,
            cache=cache,
            remote=config.remote_cache,
            standalone=native and config.native.standalone,
            ops={name: op.plain() for name, op in config.ops.items()},
        )
        for name, model in config.models.items()
        if name in chosen
    )


def target_names(config: Config) -> tuple[str, ...]:
    """Return the native targets of the environment, such as "x86_64-linux,aarch64-macos" or "none", or else ours."""
    chosen = os.environ.get(TARGET_VARIABLE, "")
    names = tuple(filter(None, (name.strip() for name in chosen.split(","))))
    if names == ("none",):
        return ()
    known = ("host", *TARGETS)
    problems = [
        f"{TARGET_VARIABLE}: {quote(name)} is not one of none, {', '.join(known)}{suggestion(name, known)}"
        for name in names
        if name not in known
    ]
    if problems:
        raise ConfigError(problems, "the environment")
    if not names and config.native.standalone and not config.native.targets:
        raise ConfigError(
            ["tool.neurenix.native.standalone: true: the wheel has no native library -- set targets = ['host']"]
        )
    return names or config.native.targets


def check_model_names(names: Iterable[str], known: Collection[str], path: str) -> None:
    """Raise ConfigError when a name in the array at `path` is no declared model."""
    problems = [
        f"{path}[{index}]: {quote(name)} is not declared in tool.neurenix.models{suggestion(name, known)}"
        for index, name in enumerate(names)
        if name not in known
    ]
    if problems:
        raise ConfigError(problems)
