"""Lowers the contracting ops: products by something made at run time, and convolutions with a kernel per channel."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from neurenix.compiler.matching import Rewriter
from neurenix.dims import Shape
from neurenix.dims import product as product_of
from neurenix.graph.graph import Node
from neurenix.ops.windows import WINDOW


def product(node: Node, rewriter: Rewriter) -> list[Node] | None:
    """Leave a float32 product by a constant matrix to the kernel that reads it packed; others are `batch_matmul`."""
    b = node.inputs[1]
    if b in rewriter.constants and rewriter.values[b].dtype.name == "float32":
        array = rewriter.constants[b]
        if array.ndim == 2:
            return None
        rank = len(rewriter.shape(node.output))
        if all(s == 1 for s in array.shape[:-2]) and len(rewriter.shape(node.inputs[0])) == rank:
            matrix = rewriter.constant(b, array.reshape(array.shape[-2:]), b)
            return [replace(node, inputs=(node.inputs[0], matrix))]
    source = rewriter.maker(b, "permute")
    transposed = source is not None and _swaps_last(source.attrs["axes"])
    inputs = (node.inputs[0], source.inputs[0] if source is not None and transposed else b)
    return [replace(node, op="batch_matmul", inputs=inputs, attrs={"transposed": transposed})]


def _swaps_last(axes: tuple[int, ...]) -> bool:
    last = len(axes) - 1
    return tuple(axes) == (*range(last - 1), last, last - 1)


def convolution(node: Node, rewriter: Rewriter) -> list[Node] | None:
    """Take the depthwise kernel where each channel is a group of its own and makes one channel."""
    weight, groups = rewriter.shape(node.inputs[1]), node.attrs["groups"]
    if not _is_packed(node, rewriter):
        return _by_columns(node, rewriter)
    if groups == 1 or node.attrs["layout"] != "NCHW" or weight[1] != 1 or weight[0] != groups:
        return None
    attrs = {k: v for k, v in node.attrs.items() if k != "groups"}
    return [replace(node, op="depthwise2d", attrs={**attrs, "kernel_size": tuple(weight[2:])})]


def depthwise(node: Node, rewriter: Rewriter) -> list[Node] | None:
    """A weight that no kernel reads packed is for the general convolution, which knows what to do with it."""
    if _is_packed(node, rewriter):
        return None
    attrs = {k: v for k, v in node.attrs.items() if k != "kernel_size"}
    return [replace(node, op="conv2d", attrs={**attrs, "groups": rewriter.shape(node.inputs[1])[0]})]


def _is_packed(node: Node, rewriter: Rewriter) -> bool:
    """Say whether a kernel can take a convolution as it is: its weight is known beforehand, and float32."""
    return node.inputs[1] in rewriter.constants and rewriter.values[node.inputs[1]].dtype.name == "float32"


def _by_columns(node: Node, rewriter: Rewriter) -> list[Node]:
    """Write out a convolution that no kernel takes: its windows as columns, times the weight as rows."""
    groups, out = node.attrs["groups"], rewriter.shape(node.output)
    made, inner, *kernel = rewriter.shape(node.inputs[1])
    depth, pixels = product_of((inner, *kernel)), product_of((out[0], *out[2:]))
    window = {k: node.attrs[k] for k in WINDOW}
    nodes: list[Node] = []

    def add(op: str, inputs: tuple[str, ...], attrs: dict[str, Any], shape: Shape, output: str = "") -> str:
        name = output or rewriter.value(op, node.output, shape)
        nodes.append(Node(op, inputs, name, attrs, scope=node.scope, label=op))
        return name

    matrices: Shape = (groups, made // groups, depth)
    rows = add("reshape", (node.inputs[1],), {"shape": matrices}, matrices)
    columns = add("im2col", (node.inputs[0],), {"kernel_size": tuple(kernel), **window}, (groups * depth, pixels))
    grouped = add("reshape", (columns,), {"shape": (groups, depth, pixels)}, (groups, depth, pixels))
    result = add("matmul", (rows, grouped), {}, (groups, made // groups, pixels))
    turned = (out[1], out[0], *out[2:])
    images = add("reshape", (result,), {"shape": turned}, turned)
    add("permute", (images,), {"axes": (1, 0, 2, 3)}, out, node.output)
    return nodes


LOWERINGS = {"matmul": product, "conv2d": convolution, "depthwise2d": depthwise}
