"""Lowers reductions over axes that lie apart: their kernel takes one group of neighbouring axes."""

from __future__ import annotations

from dataclasses import replace

from neurenix.compiler.matching import Rewriter
from neurenix.graph.graph import Node
from neurenix.ops.reduce import groups, reduced_axes

# What to do with the results of a first reduction, so that the two together are one over all axes.
_THEN = {
    "sum": "sum", "mean": "mean", "prod": "prod", "max": "max", "min": "min", "any": "any", "all": "all",
    "l1_norm": "sum", "l2_norm": "l2_norm", "sum_square": "sum",
}  # fmt: skip


def one_group_at_a_time(node: Node, rewriter: Rewriter) -> list[Node] | None:
    """Reduce the last group of neighbouring axes first, and the others in what that left."""
    shape = rewriter.shape(node.inputs[0])
    runs = groups(shape, reduced_axes(shape, node.attrs))
    if len(runs) < 2:
        return None
    if node.attrs.get("correction"):
        return _side_by_side(node, [a for run in runs for a in run], rewriter)
    kept = tuple(1 if a in runs[-1] else size for a, size in enumerate(shape))
    part = rewriter.value(node.op, node.output, kept)
    # The axes that are done have size 1 now, and taking them again does nothing but drop them.
    then = {k: v for k, v in node.attrs.items() if k != "correction" or _THEN[node.op] == "mean"}
    return [
        replace(node, output=part, attrs={**node.attrs, "axes": tuple(runs[-1]), "keepdims": True}),
        replace(node, op=_THEN[node.op], inputs=(part,), attrs=then),
    ]


def _side_by_side(node: Node, axes: list[int], rewriter: Rewriter) -> list[Node]:
    """Move the axes to the end: a mean with a correction needs their whole count at once."""
    shape = rewriter.shape(node.inputs[0])
    order = [*(a for a in range(len(shape)) if a not in axes), *axes]
    turned = rewriter.value("permute", node.inputs[0], tuple(shape[a] for a in order))
    kept = rewriter.value(node.op, node.output, tuple(shape[a] for a in order if a not in axes))
    last = tuple(range(len(shape) - len(axes), len(shape)))
    return [
        Node("permute", node.inputs, turned, {"axes": tuple(order)}, scope=node.scope, label="permute"),
        replace(node, inputs=(turned,), output=kept, attrs={**node.attrs, "axes": last, "keepdims": False}),
        Node("reshape", (kept,), node.output, {"shape": rewriter.shape(node.output)}, scope=node.scope,
             label="reshape"),
    ]  # fmt: skip


LOWERINGS = dict.fromkeys(_THEN, one_group_at_a_time)
