"""Brings ops into the form that their kernels take: the axis at the end, the axes together, other ops instead."""

from __future__ import annotations

from collections.abc import Callable

from neurenix.compiler.matching import Rewriter
from neurenix.compiler.passes.lower import contraction, movement, normalization, reduction
from neurenix.graph.graph import Graph, Node

Lowering = Callable[[Node, Rewriter], "list[Node] | None"]

# For each op the function that rewrites a node of it; None leaves the node as it is.
LOWERINGS: dict[str, Lowering] = {
    **contraction.LOWERINGS, **movement.LOWERINGS, **normalization.LOWERINGS, **reduction.LOWERINGS,
}  # fmt: skip


def lower(graph: Graph) -> Graph:
    """Rewrite every node that a lowering knows, and what the lowerings make, until none is left."""
    rewriter = Rewriter.of(graph)
    nodes: list[Node] = []
    waiting = list(reversed(graph.nodes))
    while waiting:
        node = waiting.pop()
        made = LOWERINGS[node.op](node, rewriter) if node.op in LOWERINGS else None
        if made is None:
            nodes.append(node)
        else:
            waiting.extend(reversed(made))
    return rewriter.finish(nodes)
