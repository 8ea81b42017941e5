"""Calls of rows with symbolic sizes wherever the rows let them vary: compiled once, and then run in many shapes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from op_cases import Array, Case
from op_strategies import fitted, free_groups, resized

from neurenix.dims import Dim, Size, evaluate
from neurenix.dtypes import dtype
from neurenix.graph.builder import GraphBuilder
from neurenix.graph.graph import Graph

# Every size is one of these, or at least what it was where the row does not let it be as small as 1.
RANGES = {"k": (1, 17), "m": (1, 17), "n": (1, 17)}


@dataclass(frozen=True)
class Call:
    """A call whose inputs have symbolic sizes; `fixed` inputs are constants of the graph."""

    case: Case
    shapes: tuple[tuple[Size, ...], ...]
    fixed: tuple[bool, ...]

    def inputs(self, at: int, dims: Mapping[str, int]) -> dict[str, Array]:
        """Return the arrays for some dims under the names of the graph's inputs."""
        return {
            f"x{at}_{i}": fitted(array, [evaluate(s, dims) for s in shape])
            for i, (array, shape, fixed) in enumerate(zip(self.case.arrays, self.shapes, self.fixed))
            if not fixed
        }


def symbolic(case: Case) -> Call:
    """Return a call with a symbol in place of each size, or group of them, that the row lets vary."""
    sizes: dict[tuple[int, int], Size] = {}
    for group, name in zip(free_groups(case), itertools.cycle(RANGES)):
        (i, axis), symbol = group[0], Dim.symbol(name)
        small = all(resized(case, group, n) is not None for n in (1, 2, 3))
        sizes |= dict.fromkeys(group, symbol if small else symbol + (case.arrays[i].shape[axis] - 1))
    packing = case.row.kernel.packing if case.row.kernel else ()
    shapes = tuple(tuple(sizes.get((i, a), s) for a, s in enumerate(x.shape)) for i, x in enumerate(case.arrays))
    return Call(case, shapes, tuple(i < len(packing) and packing[i] is not None for i in range(len(shapes))))


def graph_of_calls(calls: Sequence[Call]) -> Graph:
    """Return one graph with an output for each call."""
    builder = GraphBuilder("calls", RANGES)
    outputs = {}
    for at, call in enumerate(calls):
        values = [
            builder.constant(array) if fixed else builder.input(f"x{at}_{i}", dtype(array.dtype), shape)
            for i, (array, shape, fixed) in enumerate(zip(call.case.arrays, call.shapes, call.fixed))
        ]
        outputs[f"y{at}"] = builder.add(call.case.row.name, values, call.case.attrs)
    return builder.finish(outputs)
