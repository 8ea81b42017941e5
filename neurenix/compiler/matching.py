"""Questions that the passes ask of a graph: who makes a value, who reads it, is it constant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from neurenix import ops
from neurenix.dims import Shape
from neurenix.graph.graph import Array, Graph, Node, Value


@dataclass
class Rewriter:
    """A graph being rewritten: nodes by the value they make, with values and constants that may grow."""

    graph: Graph
    values: dict[str, Value]
    constants: dict[str, Array]
    makers: dict[str, Node]
    uses: dict[str, int]

    @staticmethod
    def of(graph: Graph) -> Rewriter:
        makers = {n.output: n for n in graph.nodes}
        return Rewriter(graph, dict(graph.values), dict(graph.constants), makers, graph.uses())

    def maker(self, name: str, *kinds: str) -> Node | None:
        """Return the node of one of these ops that makes a value, if there is one."""
        node = self.makers.get(name)
        return node if node is not None and node.op in kinds else None

    def only_use(self, name: str) -> bool:
        return self.uses[name] == 1

    def shape(self, name: str) -> Shape:
        return self.values[name].shape

    def fresh(self, stem: str) -> str:
        if stem not in self.values:
            return stem
        count = 1
        while f"{stem}_{count}" in self.values:
            count += 1
        return f"{stem}_{count}"

    def value(self, stem: str, like: str, shape: Shape) -> str:
        """Declare a new value with the dtype of another."""
        name = self.fresh(stem)
        self.values[name] = Value(name, self.values[like].dtype, shape)
        return name

    def constant(self, stem: str, array: Array, like: str) -> str:
        """Add a constant in the dtype of another value."""
        name = self.value(stem, like, array.shape)
        self.constants[name] = np.ascontiguousarray(array, dtype=self.values[like].dtype.numpy).reshape(array.shape)
        return name

    def finish(self, nodes: Sequence[Node]) -> Graph:
        return self.graph.with_nodes(nodes, values=self.values, constants=self.constants)


def is_elementwise(node: Node) -> bool:
    return ops.get(node.op).family is ops.Family.ELEMENTWISE


def has_epilogue(node: Node) -> bool:
    kernel = ops.get(node.op).kernel
    return kernel is not None and kernel.epilogue


def channel_axis(node: Node) -> int:
    """Return the axis, from the end, along which a contraction's output has its channels."""
    return 3 if node.attrs.get("layout") == "NCHW" else 1


def per_channel(shape: Shape, out: Shape, axis: int) -> bool:
    """Say whether a tensor broadcasts to `out` along its channel axis alone (counted from the end)."""
    padded = (1,) * (len(out) - len(shape)) + tuple(shape)
    others = padded[: len(out) - axis] + padded[len(out) - axis + 1 :]
    return len(shape) <= len(out) and all(s == 1 for s in others) and padded[-axis] in (1, out[-axis])


def repeated(once: Callable[[Graph], Graph | None], graph: Graph) -> Graph:
    """Return what is left of a graph when `once`, which makes one change, finds nothing more to change: None."""
    while (better := once(graph)) is not None:
        graph = better
    return graph


def alive(nodes: Sequence[Node], outputs: Sequence[str]) -> list[Node]:
    """Return the nodes that some output needs, in their order."""
    needed, kept = set(outputs), []
    for node in reversed(nodes):
        if node.output in needed:
            needed |= set(node.reads)
            kept.append(node)
    return kept[::-1]
