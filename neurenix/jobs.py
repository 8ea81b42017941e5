"""Resolves the configuration into one job for each model: all that building it depends on."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from neurenix.config import Config, ModelConfig
from neurenix.config.rules import quote, suggestion
from neurenix.errors import ConfigError
from neurenix.export import ExportOptions
from neurenix.toolchain import native_targets


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


def plan_jobs(
    config: Config, root: Path, names: Iterable[str] | None, native: bool, cache: Path | None
) -> tuple[Job, ...]:
    """Resolve the configuration into one job for each model."""
    chosen = config.models.keys() if names is None else set(names)
    targets = tuple(target.name for target in native_targets(config.native.targets)) if native else ()
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
                native=targets,
                max_error=model.max_error,
            ),
            max_bytes=config.web.max_bytes,
            cache=cache,
        )
        for name, model in config.models.items()
        if name in chosen
    )


def check_model_names(names: Iterable[str], known: Collection[str], path: str) -> None:
    """Raise ConfigError when a name in the array at `path` is no declared model."""
    problems = [
        f"{path}[{index}]: {quote(name)} is not declared in tool.neurenix.models{suggestion(name, known)}"
        for index, name in enumerate(names)
        if name not in known
    ]
    if problems:
        raise ConfigError(problems)
