"""Registers the custom ops that a project declares, or that its modules register, wherever a model needs them.

A model is made in one process and compiled in another: what the first used is noted beside the graph, in `ops.json`,
and the second sees to it that the same ops, from the same sources, are registered there.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neurenix import ops
from neurenix.custom import register_op
from neurenix.errors import ConfigError, InputError
from neurenix.graph.graph import Graph

FILE = "ops.json"
_FUNCTIONS = ("shape", "dtype", "sizes", "covers", "gradient")


def register_declared(declared: Mapping[str, Mapping[str, Any]], root: Path) -> None:
    """Register the tables `[tool.neurenix.ops.NAME]`. Raises ConfigError naming the table and what is wrong."""
    problems = []
    with _project(root):
        for name, table in declared.items():
            try:
                _register(name, table, root)
            except _Unresolved as error:
                problems.append(f"tool.neurenix.ops.{name}.{error}")
            except InputError as error:
                problems.append(f"tool.neurenix.ops.{name}: {error}")
    if problems:
        raise ConfigError(problems)


def note_used(graph: Graph, folder: Path) -> None:
    """Write which custom ops a graph has: their sources' digests, and the modules that define them."""
    rows = ops.custom.registered()
    used = sorted({node.op for node in graph.nodes} & rows.keys())
    noted = {n: {"sha256": ops.custom.source_of(rows[n]).digest, "module": rows[n].oracle.__module__} for n in used}
    (folder / FILE).write_text(json.dumps(noted), encoding="utf-8")


def read_used(folder: Path) -> dict[str, dict[str, str]]:
    """Return what `note_used` wrote; nothing where it wrote none."""
    path = folder / FILE
    found: dict[str, dict[str, str]] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def register_used(folder: Path, declared: Mapping[str, Mapping[str, Any]], root: Path) -> None:
    """See to it that the custom ops of a graph are registered in this process, from the sources that it was made with.

    Raises ConfigError for an op that is not, or from another source.
    """
    used = read_used(folder)
    if not used:
        return
    register_declared({name: table for name, table in declared.items() if name in used}, root)
    problems = []
    with _project(root):
        for name, noted in used.items():
            if ops.custom.by_name(name) is None:
                importlib.import_module(noted["module"])
            if ops.custom.known(name, noted["sha256"]) is None:
                problems.append(
                    f"tool.neurenix.ops: the source of '{name}' is not the one that the model was made with -- "
                    f"declare it as [tool.neurenix.ops.{name}], or name its file in the model's 'watch'"
                )
    if problems:
        raise ConfigError(problems)


class _Unresolved(Exception):
    """A function that a table names cannot be found."""


def _register(name: str, table: Mapping[str, Any], root: Path) -> None:
    found = {key: _function(key, table[key]) if ":" in (table[key] or "") else table[key] for key in _FUNCTIONS}
    register_op(
        name, _function("oracle", table["oracle"]), c=table["c"], zig=table["zig"], wgsl=table["wgsl"],
        takes=tuple(table["takes"]) or None, attrs=table["attrs"], onnx=table["onnx"], tolerance=table["tolerance"],
        root=root, **found,
    )  # fmt: skip


def _function(key: str, reference: str) -> Callable[..., Any]:
    module, _, attribute = reference.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:
        raise _Unresolved(f"{key}: {reference!r} cannot be imported: {type(error).__name__}: {error}") from error
    # What a decorator has registered stands for its function.
    found = getattr(found, "oracle", found)
    if not callable(found):
        raise _Unresolved(f"{key}: {reference!r} is a {type(found).__name__}, not a function")
    function: Callable[..., Any] = found
    return function


@contextmanager
def _project(root: Path) -> Iterator[None]:
    """Import from the project inside, as its training does."""
    added = [str(path) for path in (root / "src", root) if path.is_dir()]
    sys.path[:0] = added
    importlib.invalidate_caches()
    try:
        yield
    finally:
        for path in added:
            sys.path.remove(path)
