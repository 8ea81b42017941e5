"""Holds a registered shader to its op's oracle, by itself and in several sizes, and tells the numbers that differ."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from neurenix import ops
from neurenix.compiler import passes
from neurenix.compiler.schedule import schedule
from neurenix.compiler.wgsl import CustomShader, parse, print_wgsl
from neurenix.dims import Dim
from neurenix.dtypes import dtype
from neurenix.errors import CompileError, DeviceError, RunError, VerificationError
from neurenix.graph.builder import GraphBuilder
from neurenix.graph.graph import Array, Graph
from neurenix.phynexus import availability
from neurenix.phynexus.guarded_webgpu import GuardedWebGPUEngine

# M, K and N of what is tried: less than a workgroup, no multiples of one, several, and many.
_SHAPES = ((1, 1, 1), (3, 7, 5), (33, 20, 17), (8, 64, 40), (300, 9, 520))
_MOST_ROWS = max(m for m, _, _ in _SHAPES)
_BATCH = 3
# How many of the numbers that differ a message shows.
_SHOWN = 4


def check_shader(shader: CustomShader) -> None:
    """Run a registered shader on a GPU and compare every number with the op's oracle.

    Raises DeviceError where there is no GPU, not even in software, CompileError with the compiler's message, and
    VerificationError with the numbers that differ.
    """
    reason = availability.reason("webgpu")
    if reason is not None:
        raise DeviceError(f"the shader registered for '{shader.op}' cannot be proved here: {reason}")
    _prove(shader.op, shader.source)


@lru_cache(maxsize=16)
def _prove(op: str, source: str) -> None:
    """Prove a shader once; one that failed is tried again."""
    shader = parse(op, source)
    rng = np.random.default_rng(0)
    breaches = []
    for m, k, n in _SHAPES:
        b = rng.standard_normal((k, n)).astype(np.float32)
        breaches += _compare(shader, _constant(b), {"a": rng.standard_normal((m, k)).astype(np.float32)}, {"m": m}, b)
    if shader.batched:
        shapes = (_BATCH, 5, 6), (_BATCH, 6, 7)
        a, b = (rng.standard_normal(s).astype(np.float32) for s in shapes)
        breaches += _compare(shader, _free(*shapes), {"a": a, "b": b}, {}, b)
    if breaches:
        raise VerificationError(breaches[0])


def _constant(b: Array) -> Graph:
    """The product of any number of rows and a matrix that is known, which plans pack in panels."""
    builder = GraphBuilder("check", {"m": (1, _MOST_ROWS)})
    a = builder.input("a", dtype("float32"), (Dim.symbol("m"), b.shape[0]))
    return builder.finish({"c": builder.add("matmul", [a, builder.constant(b)], {})})


def _free(a: tuple[int, ...], b: tuple[int, ...]) -> Graph:
    builder = GraphBuilder("check", {})
    operands = [builder.input(name, dtype("float32"), shape) for name, shape in (("a", a), ("b", b))]
    return builder.finish({"c": builder.add("matmul", operands, {})})


def _compare(shader: CustomShader, graph: Graph, feeds: dict[str, Array], dims: dict[str, int], b: Array) -> list[str]:
    """Raise VerificationError for numbers that differ; return what else is wrong, for numbers tell more."""
    plan, weights = schedule(passes.run(graph))
    a = feeds["a"]
    where = f"the shader registered for '{shader.op}', a {list(a.shape)} times b {list(b.shape)}"
    try:
        engine = GuardedWebGPUEngine(plan, weights, print_wgsl(plan, weights, [shader]))
        found = engine.run(feeds, dims)["c"]
    except CompileError as error:
        raise CompileError(f"{where}: {error}") from error
    except RunError as error:  # or a loop without an end, which drivers put an end to
        raise VerificationError(f"{where}: {error}") from error
    row = ops.get("matmul")
    expected = np.asarray(row.oracle(a.astype(np.float64), b.astype(np.float64)))
    wrong = ~(np.abs(found - expected) <= row.tolerance * np.maximum(1, np.abs(expected)))
    if wrong.any():
        places = [tuple(map(int, at)) for at in np.argwhere(wrong)[:_SHOWN]]
        shown = ", ".join(f"c{list(at)} is {found[at]:.6g} and not {expected[at]:.6g}" for at in places)
        raise VerificationError(f"{where}: {int(wrong.sum())} of {wrong.size} numbers differ, as {shown}")
    breach = engine.breach(dims)
    return [f"{where}: {breach}"] if breach else []
