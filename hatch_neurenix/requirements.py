"""Tells which packages a build needs beyond its `requires`: none, when the cache has every model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from neurenix.cache import Cache
from neurenix.errors import NeurenixError
from neurenix.project.build_record import asked_key, recall

# zig compiles; wasmtime proves what it has compiled.
COMPILING = ("ziglang>=0.17,<0.18", "wasmtime>=30")


def missing_requirements(
    document: Mapping[str, Any],
    root: str,
    app: Any,
    *,
    target: str,
    native: bool,
    names: Iterable[str] | None = None,
    for_sdist: bool = False,
) -> list[str]:
    """List what must be installed to build the models in a parsed pyproject.toml. Never raises.

    hatchling asks before a build and for several targets: an error here would have no context, and the
    build itself meets it again at once.
    """
    train_dependencies: tuple[str, ...] = ()
    try:
        asked = asked_key(**question(document, "sdist" if for_sdist else target, native=native, names=names))
        if recall(asked, Path(root).resolve(), Cache(), entries=for_sdist) is not None:
            return []
        from neurenix.config import parse_config
        from neurenix.project.pipeline import missing_work

        config = parse_config(document, target=target)
        if for_sdist and not config.prebuilt_in_sdist:
            return []
        train_dependencies = config.train_dependencies
        work = missing_work(config, Path(root), names, native=native, say=app.display_warning)
    except NeurenixError as error:
        app.display_debug(f"hatch-neurenix: requirements unknown: {error}")
        return []
    except OSError as error:
        app.display_debug(f"hatch-neurenix: the cache cannot be asked: {error}")
        return [*COMPILING, *train_dependencies]
    return [*(COMPILING if work.compile else ()), *work.packages]


def question(
    document: Mapping[str, Any], target: str, *, native: bool, names: Iterable[str] | None = None
) -> dict[str, Any]:
    """Return what decides about the models of a build, apart from the content of files."""
    table = document.get("tool", {}).get("neurenix", {})
    return {"table": table, "target": target, "native": native, "names": None if names is None else sorted(names)}
