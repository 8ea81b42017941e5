"""Calls of any row, drawn from its samples and its domain, and one graph of many: what errors are measured on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurenix.dtypes import dtype
from neurenix.graph.builder import GraphBuilder
from neurenix.graph.graph import Graph
from neurenix.ops import Family, Op, types
from neurenix.ops.op import Array

# The shape of an elementwise row's inputs: many values, and an odd end.
_SHAPE = (4099,)


@dataclass(frozen=True)
class Case:
    """One call of a row."""

    row: Op
    arrays: tuple[Array, ...]
    attrs: Mapping[str, Any]


def random_case(row: Op, seed: int) -> Case:
    """Return a call of a row with float32 where it takes floats."""
    rng = np.random.default_rng([seed, *row.name.encode()])
    given: list[Any] = [_SHAPE] * row.arity
    attrs: dict[str, Any] = {}
    if row.samples is not None:
        given, attrs = row.samples(rng)
        if row.family is Family.ELEMENTWISE:
            given = [_SHAPE if isinstance(g, tuple) else g for g in given]
    kinds = _kinds(row, rng, len(given))
    arrays = [g if isinstance(g, np.ndarray) else _values(row, rng, g, k) for g, k in zip(given, kinds)]
    return Case(row, tuple(a.astype(np.float32) if a.dtype == np.float64 else a for a in arrays), row.bind(attrs))


def graph_of(cases: Sequence[Case]) -> tuple[Graph, dict[str, Array]]:
    """Return one graph with an output for each case, and its inputs. What kernels take packed are constants."""
    builder, feeds, outputs = GraphBuilder("cases", {}), dict[str, Array](), {}
    for at, case in enumerate(cases):
        packing = (*(case.row.kernel.packing if case.row.kernel else ()), *[None] * len(case.arrays))
        operands = []
        for i, (array, layout) in enumerate(zip(case.arrays, packing)):
            if layout is None:
                feeds[f"x{at}_{i}"] = array
                operands.append(builder.input(f"x{at}_{i}", dtype(array.dtype), array.shape))
            else:
                operands.append(builder.constant(array))
        outputs[f"y{at}"] = builder.record(case.row.name, operands, case.attrs)  # as it is: nothing is cut
    return builder.finish(outputs), feeds


def _kinds(row: Op, rng: np.random.Generator, count: int) -> list[str]:
    if row.dtype is types.logical:
        return ["bool"] * count
    if row.dtype in (types.integer, types.whole):
        return ["int64"] * count
    return ["bool" if row.dtype is types.chosen and i == 0 else "float32" for i in range(count)]


def _values(row: Op, rng: np.random.Generator, shape: tuple[int, ...], kind: str) -> Array:
    low, high = row.domain
    if kind == "bool":
        return rng.random(shape) < 0.5
    if kind == "int64":
        return rng.integers(int(low), int(high) + 1, shape)
    if low > 0 and high / low > 100:
        return np.asarray(np.exp(rng.uniform(np.log(low), np.log(high), shape)), dtype=np.float32)
    return np.asarray(rng.uniform(low, high, shape), dtype=np.float32)
