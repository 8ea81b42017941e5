"""Which integers an input may hold, by what reads it: rows of a table, classes, masks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from neurenix import ops
from neurenix.dims import bounds
from neurenix.graph.graph import Graph, Node
from neurenix.ops.shapes import axis_of

Readers = Mapping[str, Sequence[Node]]

# Of these ops a result holds nothing but elements of the first input.
_MOVES = ("reshape", "permute", "expand", "slice", "concat", "gather", "gather_elements", "gather_nd")


def index_limit(graph: Graph, name: str) -> int | None:
    """Return the number that an input of whole numbers must stay below; None where nothing that reads it says so.

    An index stays below the length of the axis that it picks from, what is compared with classes 0 … n - 1 names one of
    them, and a signed number that becomes a float or a condition is taken for a mask of 0 and 1.
    """
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for read in dict.fromkeys(node.inputs):
            readers.setdefault(read, []).append(node)
    found: list[int] = []
    waiting, seen = [name], {name}
    while waiting:
        current = waiting.pop()
        for node in readers.get(current, []):
            found += _limits(graph, node, current)
            if node.output not in seen and _passes_on(graph, node, current):
                seen.add(node.output)
                waiting.append(node.output)
    return min(found, default=None)


def _limits(graph: Graph, node: Node, name: str) -> Iterator[int]:
    if node.op in ("gather", "gather_elements") and name in node.inputs[1:]:
        shape = graph.values[node.inputs[0]].shape
        yield max(1, bounds(shape[axis_of(node.attrs["axis"], len(shape))], graph.dims)[0])
    elif node.op == "gather_nd" and name in node.inputs[1:]:
        count, done = graph.values[name].shape[-1], node.attrs["batch_dims"]
        axes = graph.values[node.inputs[0]].shape[done : done + count] if isinstance(count, int) else ()
        yield from (max(1, bounds(size, graph.dims)[0]) for size in axes)
    elif node.op == "eq":
        for other in node.inputs:
            classes = graph.constants.get(other, np.zeros(0))
            if classes.size > 1 and classes.dtype.kind in "iu":
                yield max(1, int(classes.max()) + 1)
    elif node.op == "cast":
        kinds = [graph.values[n].dtype.numpy.kind for n in (name, node.output)]
        if kinds in (["i", "f"], ["i", "b"]):
            yield 2


def _passes_on(graph: Graph, node: Node, name: str) -> bool:
    """Say whether what a node makes of these numbers are such numbers again, as an index counted from the other end."""
    if graph.values[node.output].dtype.numpy.kind not in "iu":
        return False
    if node.op in _MOVES:
        return name in (node.inputs if node.op == "concat" else node.inputs[:1])
    return ops.get(node.op).family is ops.Family.ELEMENTWISE
