"""Holds the kernels of custom ops to their oracles, each by itself, and tells the numbers that differ."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from neurenix import engines, ops
from neurenix.compiler import passes
from neurenix.compiler.schedule import schedule
from neurenix.dtypes import dtype
from neurenix.errors import RunError, VerificationError
from neurenix.graph.builder import GraphBuilder
from neurenix.graph.graph import Array, Graph
from neurenix.ops import Op
from neurenix.phynexus.reference import run_graph

# How many of the numbers that differ a message shows.
SHOWN = 4


def check_nodes(graph: Graph, feeds: Mapping[str, Array], dims: Mapping[str, int]) -> None:
    """Check the kernel of every custom op in a graph, on the very inputs that its node has there.

    Raises VerificationError naming the op and what differs, CompileError for a source that does not compile.
    """
    nodes = [node for node in graph.nodes if node.op not in ops.OPS]
    if not nodes:
        return
    wanted = tuple(dict.fromkeys(name for node in nodes for name in node.inputs))
    values = run_graph(replace(graph, outputs=wanted, lengths={}), feeds, dims, precision=None)
    done: set[tuple[Any, ...]] = set()
    for node in nodes:
        arrays = [np.asarray(values[name], dtype=graph.values[name].dtype.numpy) for name in node.inputs]
        key = (node.op, tuple(node.attrs.items()), tuple((a.dtype.name, a.shape) for a in arrays))
        if key not in done:
            done.add(key)
            check_call(ops.get(node.op), arrays, node.attrs)


def check_call(row: Op, arrays: Sequence[Array], attrs: Mapping[str, Any]) -> float:
    """Run a custom op's compiled kernel on some inputs and return its largest error.

    It runs as WebAssembly, where a kernel that leaves its memory is stopped, or natively where wasmtime is not
    installed. Raises VerificationError where it differs from the oracle by more than the op's tolerance.
    """
    builder = GraphBuilder("check", {})
    arrays = [a.astype(np.float32) if a.dtype == np.float16 else a for a in arrays]
    inputs = [builder.input(f"x{i}", dtype(a.dtype), a.shape) for i, a in enumerate(arrays)]
    graph = builder.finish({"y": builder.add(row.name, inputs, attrs)})
    plan, weights = schedule(passes.run(graph))
    feeds = {value.name: np.ascontiguousarray(array) for value, array in zip(inputs, arrays)}
    expected = run_graph(graph, feeds, {}, precision="float64")["y"]
    in_wasm = importlib.util.find_spec("wasmtime") is not None
    started = (engines.start_wasm if in_wasm else engines.start_native)(plan, weights)
    where = _where(row, arrays, attrs)
    try:
        found = started.engine.run(feeds, {})["y"]
    except RunError as error:
        raise VerificationError(f"{where} stopped: {error}") from error
    return _compare(found, expected, row.tolerance, where)


def _compare(found: Array, expected: Array, tolerance: float, where: str) -> float:
    if expected.shape != found.shape:
        raise VerificationError(
            f"{where}: the oracle gives the shape {list(expected.shape)}, the shape rule says {list(found.shape)}"
        )
    a, e = np.atleast_1d(found.astype(np.float64)), np.atleast_1d(expected.astype(np.float64))
    with np.errstate(all="ignore"):
        same = (a == e) | (np.isnan(a) & np.isnan(e))
        error = np.where(same, 0.0, np.abs(a - e) / np.maximum(1.0, np.abs(e)))
    error[np.isnan(error)] = np.inf
    wrong = np.argwhere(error > tolerance)
    if len(wrong):
        places = sorted(map(tuple, wrong), key=lambda at: -float(error[at]))[:SHOWN]
        numbers = "; ".join(f"at {[int(i) for i in at]} it gives {a[at]:.6g}, the oracle {e[at]:.6g}" for at in places)
        raise VerificationError(
            f"{where} differs from its oracle in {len(wrong)} of {a.size} numbers by more than {tolerance:.2g}: "
            + numbers
        )
    return float(error.max(initial=0.0))


def _where(row: Op, arrays: Sequence[Array], attrs: Mapping[str, Any]) -> str:
    shown = [f"{a.dtype}{list(a.shape)}" for a in arrays] + [f"{name}={value!r}" for name, value in attrs.items()]
    return f"the kernel of '{row.name}' ({ops.custom.source_of(row).file}) for {', '.join(shown)}"
