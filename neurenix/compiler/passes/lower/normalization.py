"""Lowers the normalising ops: their kernels work along the last axis."""

from __future__ import annotations

from dataclasses import replace

from neurenix.compiler.matching import Rewriter
from neurenix.graph.graph import Node
from neurenix.ops.shapes import axis_of


def along_last_axis(node: Node, rewriter: Rewriter) -> list[Node] | None:
    """Surround an op along an inner axis by two permutations; leave -1 as its axis."""
    shape = rewriter.shape(node.output)
    axis, last = axis_of(node.attrs["axis"], len(shape)), len(shape) - 1
    if node.attrs["axis"] == -1:
        return None
    attrs = {**node.attrs, "axis": -1}
    if axis == last:
        return [replace(node, attrs=attrs)]
    swap = list(range(len(shape)))
    swap[axis], swap[last] = last, axis
    moved = tuple(shape[a] for a in swap)
    turned = rewriter.value("permute", node.inputs[0], moved)
    result = rewriter.value(node.op, node.output, moved)
    return [
        Node("permute", node.inputs, turned, {"axes": tuple(swap)}, scope=node.scope, label="permute"),
        replace(node, inputs=(turned,), output=result, attrs=attrs),
        Node("permute", (result,), node.output, {"axes": tuple(swap)}, scope=node.scope, label="permute"),
    ]


LOWERINGS = {"softmax": along_last_axis}
