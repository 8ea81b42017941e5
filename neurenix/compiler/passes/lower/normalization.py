"""Lowers the normalising ops: their kernels work along the last axis, and statistics are sums."""

from __future__ import annotations

from dataclasses import replace

from neurenix import ops
from neurenix.compiler.matching import Rewriter
from neurenix.dims import product
from neurenix.graph.graph import Node
from neurenix.ops.shapes import axis_of


def along_last_axis(node: Node, rewriter: Rewriter) -> list[Node] | None:
    """Move the axis that an op works along to the end and back; leave -1 as its axis.

    Many axes become three first, since a permutation's kernel takes a few only.
    """
    shape = rewriter.shape(node.output)
    axis, last = axis_of(node.attrs["axis"], len(shape)), len(shape) - 1
    if node.attrs["axis"] == -1:
        return None
    attrs = {**node.attrs, "axis": -1}
    if axis == last:
        return [replace(node, attrs=attrs)]
    if len(shape) > 4:
        three = (product(shape[:axis]), shape[axis], product(shape[axis + 1 :]))
        joined = rewriter.value("reshape", node.inputs[0], three)
        result = rewriter.value(node.op, node.output, three)
        return [
            Node("reshape", node.inputs, joined, {"shape": three}, scope=node.scope, label="reshape"),
            replace(node, inputs=(joined,), output=result, attrs={**node.attrs, "axis": 1}),
            Node("reshape", (result,), node.output, {"shape": shape}, scope=node.scope, label="reshape"),
        ]
    there = tuple(a for a in range(len(shape)) if a != axis) + (axis,)
    back = tuple(there.index(a) for a in range(len(shape)))
    moved = tuple(shape[a] for a in there)
    turned = rewriter.value("permute", node.inputs[0], moved)
    result = rewriter.value(node.op, node.output, moved)
    return [
        Node("permute", node.inputs, turned, {"axes": there}, scope=node.scope, label="permute"),
        replace(node, inputs=(turned,), output=result, attrs=attrs),
        Node("permute", (result,), node.output, {"axes": back}, scope=node.scope, label="permute"),
    ]


def moments(node: Node, rewriter: Rewriter) -> list[Node]:
    """The mean, and the mean of the squared distances from it, one behind the other."""
    (x,), axes = node.inputs, node.attrs["axes"]
    shape, kept = rewriter.shape(x), rewriter.shape(node.output)[1:]
    centred, squares = rewriter.value("sub", x, shape), rewriter.value("mul", x, shape)
    means = [rewriter.value("mean", x, kept) for _ in range(2)]
    parts = [rewriter.value("reshape", x, (1, *kept)) for _ in range(2)]
    over = {"axes": axes, "keepdims": True}
    return [
        _made(node, "mean", (x,), means[0], **over),
        _made(node, "sub", (x, means[0]), centred),
        _made(node, "mul", (centred, centred), squares),
        _made(node, "mean", (squares,), means[1], **over),
        *(_made(node, "reshape", (m,), part, shape=(1, *kept)) for m, part in zip(means, parts)),
        _made(node, "concat", tuple(parts), node.output, axis=0),
    ]


def product_sum(node: Node, rewriter: Rewriter) -> list[Node]:
    """A product, then a sum."""
    products = rewriter.value("mul", node.inputs[0], rewriter.shape(node.inputs[0]))
    return [
        _made(node, "mul", node.inputs, products),
        _made(node, "sum", (products,), node.output, axes=node.attrs["axes"], keepdims=True),
    ]


def _made(like: Node, op: str, inputs: tuple[str, ...], output: str, **attrs: object) -> Node:
    return Node(op, inputs, output, ops.get(op).bind(attrs), scope=like.scope, label=op)


LOWERINGS = {
    "softmax": along_last_axis,
    "log_softmax": along_last_axis,
    "moments": moments,
    "product_sum": product_sum,
}
