"""Moves the axis that an op works along to the end, where its kernel wants it."""

from __future__ import annotations

from dataclasses import replace

from neurenix.compiler.matching import Rewriter
from neurenix.graph.graph import Graph, Node
from neurenix.ops.shapes import axis_of


def lower_axes(graph: Graph) -> Graph:
    """Surround every softmax along an inner axis by two permutations; leave -1 as its axis."""
    rewriter = Rewriter.of(graph)
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.op != "softmax":
            nodes.append(node)
            continue
        shape = rewriter.shape(node.output)
        axis, last = axis_of(node.attrs["axis"], len(shape)), len(shape) - 1
        if axis == last:
            nodes.append(replace(node, attrs={"axis": -1}))
            continue
        swap = list(range(len(shape)))
        swap[axis], swap[last] = last, axis
        moved = tuple(shape[a] for a in swap)
        turned = rewriter.value("permute", node.output, moved)
        result = rewriter.value("softmax", node.output, moved)
        nodes += [
            Node("permute", node.inputs, turned, {"axes": tuple(swap)}, scope=node.scope, label="permute"),
            replace(node, inputs=(turned,), output=result, attrs={"axis": -1}),
            Node("permute", (result,), node.output, {"axes": tuple(swap)}, scope=node.scope, label="permute"),
        ]
    return rewriter.finish(nodes)
