"""Lowers joins and spread-out padding to windows that are placed one by one into the result."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from neurenix.compiler.matching import Rewriter
from neurenix.dims import Size
from neurenix.graph.graph import Node
from neurenix.ops.shapes import axis_of


def join(node: Node, rewriter: Rewriter) -> list[Node] | None:
    """Copy the first part into a new tensor of the whole size, and place the others behind it."""
    shape, rank = rewriter.shape(node.output), len(rewriter.shape(node.output))
    axis = axis_of(node.attrs["axis"], rank)
    if len(node.inputs) == 1:
        return [replace(node, op="reshape", attrs={"shape": shape}, label="reshape")]
    first, start = node.inputs[0], rewriter.shape(node.inputs[0])[axis]
    current = rewriter.value("concat", node.output, shape)
    attrs = {"before": (0,) * rank, "after": _along(axis, rank, shape[axis] - start), "steps": None, "fill": False}
    nodes = [Node("pad", (first, _zero(node, rewriter)), current, attrs, scope=node.scope, label="concat")]
    for part in node.inputs[1:]:
        made = node.output if part is node.inputs[-1] and len(nodes) == len(node.inputs) - 1 else None
        made = made or rewriter.value("concat", node.output, shape)
        attrs = {"starts": _along(axis, rank, start), "steps": None}
        nodes.append(Node("place", (current, part), made, attrs, scope=node.scope, label="concat"))
        current, start = made, start + rewriter.shape(part)[axis]
    return nodes


def spread(node: Node, rewriter: Rewriter) -> list[Node] | None:
    """Make a tensor of the value alone, and place x into it."""
    steps, (x, value), shape = node.attrs["steps"], node.inputs, rewriter.shape(node.output)
    if all(step == 1 for step in steps or ()):
        return None
    full = rewriter.value("full", node.output, shape)
    scalar = rewriter.value("value", value, ())
    return [
        Node("reshape", (value,), scalar, {"shape": ()}, scope=node.scope, label="reshape"),
        Node("expand", (scalar,), full, {"shape": shape}, scope=node.scope, label="full"),
        replace(node, op="place", inputs=(full, x), attrs={"starts": node.attrs["before"], "steps": steps}),
    ]


def _along(axis: int, rank: int, size: Size) -> tuple[Size, ...]:
    return tuple(size if a == axis else 0 for a in range(rank))


def _zero(node: Node, rewriter: Rewriter) -> str:
    return rewriter.constant("zero", np.zeros(()), node.output)


LOWERINGS = {"concat": join, "pad": spread}
