"""Folds scaling and shifting by channel into the weights before it: batch norm costs nothing at run time.

A batch norm in inference is y * scale + shift with one scale and shift for each channel. Behind a convolution
or a matrix product with constant weights W and a constant shift b,

    (x W + b) * s + t  =  x (W * s) + (b * s + t)

so the products move into W and the sums into one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from neurenix.compiler.matching import Rewriter, alive, channel_axis, per_channel, repeated
from neurenix.graph.graph import Array, Graph, Node

# A matrix has its output channels last, the weights of convolutions, grouped and depthwise ones too, first.
FOLDING = ("conv2d", "depthwise2d", "matmul")


def fold_affine(graph: Graph) -> Graph:
    """Fold until nothing is left to fold."""
    return repeated(_fold_once, graph)


def _fold_once(graph: Graph) -> Graph | None:
    rewriter = Rewriter.of(graph)
    for node in graph.nodes:
        made = _folded(node, rewriter)
        if made is not None:
            gone = {n.output for n in made} | {node.output}
            nodes: list[Node] = []
            for other in graph.nodes:
                if other is node:
                    nodes += made
                elif other.output not in gone:
                    nodes.append(other)
            return rewriter.finish(alive(nodes, graph.results))
    return None


def _folded(node: Node, rewriter: Rewriter) -> list[Node] | None:
    """Return the nodes that replace `node` and the one before it, or None."""
    match = _constant_operand(node, rewriter)
    if match is None:
        return None
    data, amount, multiplies = match
    if not rewriter.only_use(data):
        return None
    before = rewriter.makers.get(data)
    if before is None:
        return None
    if multiplies and before.op in FOLDING and before.inputs[1] in rewriter.constants:
        return _scale_weights(node, before, amount, rewriter)
    inner = _constant_operand(before, rewriter)
    if inner is None or inner[2]:
        return None
    source, shift, _ = inner
    if _contraction(source, rewriter) is None:
        return None
    if not multiplies:  # (y + a) + b
        total = rewriter.constant(before.inputs[1], shift + amount, node.output)
        return [replace(node, op="add", inputs=(source, total))]
    scaled = rewriter.value(before.output, node.output, rewriter.shape(before.output))  # (y + a) * s
    by = rewriter.constant("scale", amount, node.output)
    moved = rewriter.constant("shift", shift * amount, node.output)
    return [
        replace(node, op="mul", inputs=(source, by), output=scaled),
        replace(before, op="add", inputs=(scaled, moved), output=node.output),
    ]


def _constant_operand(node: Node, rewriter: Rewriter) -> tuple[str, Array, bool] | None:
    """Read `y op constant` as (y, amount, multiplies), where the constant has one value for each channel."""
    if node.op not in ("add", "sub", "mul", "div") or node.epilogue:
        return None
    left, right = node.inputs
    if right not in rewriter.constants:
        if node.op not in ("add", "mul") or left not in rewriter.constants:
            return None
        left, right = right, left
    contraction = _contraction(left, rewriter)
    if contraction is None:
        return None
    amount = rewriter.constants[right]
    out = rewriter.shape(node.output)
    if rewriter.shape(left) != out or not per_channel(amount.shape, out, channel_axis(contraction)):
        return None
    if node.op == "sub":
        amount = -amount
    if node.op == "div":
        with np.errstate(divide="ignore"):
            amount = 1 / amount
    return left, amount, node.op in ("mul", "div")


def _contraction(name: str, rewriter: Rewriter) -> Node | None:
    """Return the contraction that a chain of constant sums and products starts from."""
    node = rewriter.makers.get(name)
    while node is not None and node.op in ("add", "sub", "mul", "div") and not node.epilogue:
        variable = [i for i in node.inputs if i not in rewriter.constants]
        node = rewriter.makers.get(variable[0]) if len(variable) == 1 else None
    return node if node is not None and node.op in FOLDING else None


def _scale_weights(node: Node, before: Node, amount: Array, rewriter: Rewriter) -> list[Node]:
    name = before.inputs[1]
    weight = rewriter.constants[name]
    by_channel = amount.reshape(-1) if before.op == "matmul" else amount.reshape(-1, 1, 1, 1)
    scaled = rewriter.constant(name, weight * by_channel, name)
    return [replace(before, inputs=(before.inputs[0], scaled), output=node.output, label=before.label)]
