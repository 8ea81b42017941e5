"""Cases for shaders: what is drawn of each row of the op table, what 32 bits refuse of it, kernels with epilogues."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import test_maps
from op_cases import Array, Case, graph_of, random_case, rows
from tracing import traced

import neurenix
from neurenix import ops
from neurenix.compiler import passes
from neurenix.compiler.schedule import schedule
from neurenix.compiler.wgsl import print_wgsl
from neurenix.errors import UnsupportedError
from neurenix.graph.graph import Graph
from neurenix.graph.plan import Plan
from neurenix.graph.shaders import ShaderPlan
from neurenix.nn import Conv2d, Linear
from neurenix.ops import Family, Op

# What may be refused for a dtype, by the words of the error.
_REFUSED = {
    "32 bits": {"int64", "int32", "uint32", "uint64"},
    "no shader holds that": {"float64"},
}


_LOOKED_AT = ("int64", "int32", "uint64", "uint32")


def printed(graph: Graph) -> tuple[Plan, bytes, ShaderPlan]:
    """Compile a graph for a GPU."""
    plan, weights = schedule(passes.run(graph))
    return plan, weights, print_wgsl(plan, weights)


def within_ends(shaders: ShaderPlan, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Keep of whole inputs what the shaders take: what lies beyond is refused, and has tests of its own."""

    def kept(name: str, a: Array) -> Array:
        least, most = shaders.inputs.get(name, (-(2**31), 2**31 - 1))
        return np.clip(a, least, most).astype(a.dtype) if a.dtype.name in _LOOKED_AT else a

    return {name: kept(name, a) for name, a in feeds.items()}


def is_taken(case: Case) -> bool:
    """Say whether a case has a shader; those that have none must be refused for their dtype."""
    graph = graph_of([case])[0]
    try:
        printed(graph)
    except UnsupportedError as error:
        found = {value.dtype.name for value in graph.values.values()}
        reason = next(r for r in _REFUSED if r in str(error))
        assert found & _REFUSED[reason], f"{case.row.name} {dict(case.attrs)}: {error}"
        return False
    return True


def taken(cases: Sequence[Case]) -> list[Case]:
    """Return the cases that have shaders."""
    return [case for case in cases if is_taken(case)]


def compiles(row: Op) -> bool:
    """Say whether any compiled form has the row: what only gradients need has none."""
    try:
        schedule(passes.run(graph_of([random_case(row, 0)])[0]))
    except UnsupportedError:
        return False
    return True


def structured() -> list[Op]:
    """Return the rows that are not elementwise and that compile."""
    others = [row for row in rows() if row.family is not Family.ELEMENTWISE]
    return [row for row in others if compiles(row)]


def structured_cases(seeds: range) -> list[Case]:
    """Draw cases of every structured row."""
    return [random_case(row, seed) for row in structured() for seed in seeds]


def map_cases(seeds: range, expressions: range) -> list[Case]:
    """Draw cases of every elementwise row, and of maps of random expressions."""
    cases = [random_case(row, seed) for row in rows(Family.ELEMENTWISE) for seed in seeds]
    return cases + [random_case(ops.get("map"), seed) for seed in expressions]


def whole_cases() -> list[Case]:
    """Draw what elementwise rows do with whole numbers, conditions and casts: the ends of every dtype's range."""
    return [*test_maps._cases(), *test_maps._own_cases()]


def long_cases() -> list[Case]:
    """Draw scans and scatters so long that a workgroup shares a row; indices come twice, and some lie outside."""
    rng, cases = np.random.default_rng(7), []
    scanned = [
        ("cumsum", rng.standard_normal((2, 1000, 3)).astype(np.float32)),
        ("cumsum", rng.integers(-9, 9, (1, 257)).astype(np.int16)),
        ("cumprod", rng.uniform(0.98, 1.02, (3, 300)).astype(np.float32)),
    ]
    for op, x in scanned:
        for exclusive, reverse in ((False, False), (False, True), (True, False), (True, True)):
            attrs = {"axis": 1, "exclusive": exclusive, "reverse": reverse}
            cases.append(Case(ops.get(op), (x,), ops.get(op).bind(attrs)))
    scattered = [
        ("scatter", (2, 50, 3), rng.integers(-60, 60, 500), (2, 500, 3), {"axis": 1}),
        ("scatter_elements", (1, 70, 2), rng.integers(-80, 80, (1, 300, 2)), (1, 300, 2), {"axis": 1}),
        ("scatter_nd", (20, 30, 2), rng.integers(-22, 22, (900, 2)), (900, 2), {}),
    ]
    for op, start, indices, made, attrs in scattered:
        for kind in (np.float32, np.int16):
            y, x = rng.integers(0, 99, start).astype(kind), rng.integers(0, 99, made).astype(kind)
            for reduction in ("none", "add"):
                cases.append(Case(ops.get(op), (y, indices, x), ops.get(op).bind({**attrs, "reduction": reduction})))
    return cases


# Kernels that others finish, and what finishes them.
EPILOGUES: Mapping[str, Callable[[Any, Any], Any]] = {
    "relu": lambda y, x: y.relu(),
    "gelu": lambda y, x: y.gelu(),
    "residual": lambda y, x: (y + x).sigmoid(),
    "scaled": lambda y, x: (y * 0.5 - x) / (1 + y * y),
}
HOSTS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "matmul": ("float32[n, 33, 24]", lambda x: Linear(24, 24)(x)),
    "matvec": ("float32[1, 24]", lambda x: Linear(24, 24)(x)),
    "conv2d": ("float32[n, 5, 9, 7]", lambda x: Conv2d(5, 5, 3, padding=1)(x)),
    "pointwise": ("float32[n, 8, 9, 7]", lambda x: Conv2d(8, 8, 1)(x)),
    "groups": ("float32[n, 6, 9, 7]", lambda x: Conv2d(6, 6, 3, padding=1, groups=2)(x)),
    "depthwise": ("float32[n, 8, 9, 7]", lambda x: Conv2d(8, 8, 3, padding=1, groups=8)(x)),
    "batch_matmul": ("float32[n, 24, 24]", lambda x: x @ x.transpose(-1, -2)),
    "standardize": ("float32[n, 24]", lambda x: x.apply("standardize", eps=1e-5)),
}


def finished(epilogue: str) -> Graph:
    """Return one graph of every host with an epilogue, an output each."""
    neurenix.manual_seed(1)
    finish = EPILOGUES[epilogue]

    def every(*inputs: Any) -> dict[str, Any]:
        return {name: finish(make(x), x) for (name, (_, make)), x in zip(HOSTS.items(), inputs)}

    return traced(every, {f"x_{name}": spec for name, (spec, _) in HOSTS.items()}, {"n": (1, 4)})


def feeds_for(graph: Graph, dims: Mapping[str, int], seed: int = 0) -> dict[str, Array]:
    """Draw inputs: floats around 0, whole numbers from 0 to 4."""
    rng = np.random.default_rng(seed)
    found = {}
    for name in graph.inputs:
        value = graph.values[name]
        shape = tuple(neurenix.dims.evaluate(s, dims) for s in value.shape)
        whole = value.dtype.numpy.kind in "iu"
        found[name] = (rng.integers(0, 5, shape) if whole else rng.standard_normal(shape)).astype(value.dtype.numpy)
    return found
