"""Tells which packages a build needs beyond its `requires`: none, when the cache has every model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from neurenix.config import parse_config
from neurenix.errors import NeurenixError
from neurenix.pipeline import ZIG_REQUIREMENT, missing_work

# zig compiles; wasmtime proves what it has compiled.
COMPILING = (ZIG_REQUIREMENT, "wasmtime>=30")


def missing_requirements(
    document: Mapping[str, Any], root: str, app: Any, *, native: bool, names: Iterable[str] | None = None
) -> list[str]:
    """List what must be installed to build the models in a parsed pyproject.toml. Never raises.

    hatchling asks before a build and for several targets: an error here would have no context, and the
    build itself meets it again at once.
    """
    try:
        config = parse_config(document)
        work = missing_work(config, Path(root), names, native=native)
    except NeurenixError as error:
        app.display_debug(f"hatch-neurenix: requirements unknown: {error}")
        return []
    except OSError as error:
        app.display_debug(f"hatch-neurenix: the cache cannot be asked: {error}")
        return [*COMPILING, *config.train_dependencies]
    needed = list(COMPILING) if work.compile else []
    return needed + (list(config.train_dependencies) if work.train else [])
