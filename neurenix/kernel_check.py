"""Holds the kernels and shaders of custom ops to their oracles, each by itself, and tells the numbers that differ."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from neurenix import engines, ops
from neurenix.compiler import passes
from neurenix.compiler.schedule import schedule
from neurenix.compiler.wgsl import print_wgsl
from neurenix.dtypes import dtype
from neurenix.errors import CompileError, DeviceError, MissingExtraError, RunError, VerificationError
from neurenix.graph.builder import GraphBuilder
from neurenix.graph.graph import Array, Graph
from neurenix.graph.plan import Plan
from neurenix.ops import Op
from neurenix.phynexus import availability
from neurenix.phynexus.guarded_wasm import GuardedWasmEngine
from neurenix.phynexus.guarded_webgpu import GuardedWebGPUEngine
from neurenix.phynexus.reference import run_graph

# How many of the numbers that differ a message shows.
SHOWN = 4


def check_nodes(graph: Graph, feeds: Mapping[str, Array], dims: Mapping[str, int], shaders: bool = False) -> None:
    """Check the kernel of every custom op in a graph, on the very inputs that its node has there; `shaders` as well.

    Raises VerificationError naming the op and what differs, CompileError for a source that does not compile,
    DeviceError where there is no adapter for a shader.
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
            if shaders:
                check_shader_call(ops.get(node.op), arrays, node.attrs)


def check_call(row: Op, arrays: Sequence[Array], attrs: Mapping[str, Any]) -> float:
    """Run a custom op's compiled kernel on some inputs and return its largest error.

    It runs as WebAssembly, where what it does beside its tensors is seen and harms nothing, by one worker and by two.
    Raises VerificationError where it differs from the oracle by more than the op's tolerance, writes what is not its
    output, or does not come to an end; MissingExtraError without wasmtime.
    """
    plan, weights, feeds, expected = _call(row, arrays, attrs)
    if importlib.util.find_spec("wasmtime") is None:
        raise MissingExtraError("wasmtime", "wasm", f"proving the kernel of '{row.name}'")
    where = f"the kernel of {_shown(row, ops.custom.source_of(row).file, feeds, attrs)}"
    try:
        engine = engines.start_wasm(plan, weights, engine=GuardedWasmEngine).engine
    except CompileError as error:
        raise CompileError(f"the kernel of '{row.name}': {error}") from error
    assert isinstance(engine, GuardedWasmEngine)
    errors = []
    for engine.workers in (1, 2):
        by = where if engine.workers == 1 else f"{where} by {engine.workers} workers"
        try:
            found = engine.run(feeds, {})["y"]
        except RunError as error:
            raise VerificationError(f"{by}: {error}") from error
        errors.append(_compare(found, expected, row.tolerance, by))
    return max(errors)


def check_shader_call(row: Op, arrays: Sequence[Array], attrs: Mapping[str, Any]) -> float:
    """Run a custom op's shader on some inputs, on this host's adapter, and return its largest error.

    Raises VerificationError as `check_call` does, CompileError with the compiler's message, DeviceError where there is
    no adapter, UnsupportedError for inputs that no shader takes.
    """
    plan, weights, feeds, expected = _call(row, arrays, attrs)
    where = f"the shader of {_shown(row, 'wgsl', feeds, attrs)}"
    missing = availability.reason("webgpu")
    if missing is not None:
        raise DeviceError(
            f"{where} cannot be proved here: {missing} -- or take its 'wgsl' out, or switch WebGPU off, and the model "
            "runs on wasm"
        )
    shaders = print_wgsl(plan, weights)
    try:
        engine = GuardedWebGPUEngine(plan, weights, shaders)
        found = engine.run(feeds, {})["y"]
    except CompileError as error:
        raise CompileError(f"{where}: {error}") from error
    except RunError as error:  # or a loop without an end, which drivers put an end to
        raise VerificationError(f"{where}: {error}") from error
    worst = _compare(found, expected, row.tolerance, where)
    if breach := engine.breach({}):
        raise VerificationError(f"{where}: {breach}")
    return worst


def _call(row: Op, arrays: Sequence[Array], attrs: Mapping[str, Any]) -> tuple[Plan, bytes, dict[str, Array], Array]:
    """Return a plan that is one call of the op, its weights, the inputs by name, and the oracle's answer."""
    builder = GraphBuilder("check", {})
    arrays = [a.astype(np.float32) if a.dtype == np.float16 else a for a in arrays]
    inputs = [builder.input(f"x{i}", dtype(a.dtype), a.shape) for i, a in enumerate(arrays)]
    graph = builder.finish({"y": builder.add(row.name, inputs, attrs)})
    plan, weights = schedule(passes.run(graph))
    feeds = {value.name: np.ascontiguousarray(array) for value, array in zip(inputs, arrays)}
    return plan, weights, feeds, run_graph(graph, feeds, {}, precision="float64")["y"]


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


def _shown(row: Op, file: str, feeds: Mapping[str, Array], attrs: Mapping[str, Any]) -> str:
    shown = [f"{a.dtype}{list(a.shape)}" for a in feeds.values()]
    return f"'{row.name}' ({file}) for {', '.join([*shown, *(f'{k}={v!r}' for k, v in attrs.items())])}"
