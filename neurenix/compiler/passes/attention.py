"""Fuses attention: a product, what is done to its scores, their softmax and a product become one node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from neurenix import expr as ex
from neurenix import ops
from neurenix.compiler.matching import Rewriter, alive
from neurenix.expr import Expr
from neurenix.expr.algebra import walk
from neurenix.graph.graph import Graph, Node
from neurenix.ops.attention import GROUPS, attention_steps
from neurenix.ops.shapes import broadcast

# Masks that were made, by their expression and what it is of: layers share them.
_Masks = dict[tuple[Expr, tuple[str, ...]], str]


@dataclass(frozen=True)
class _Scores:
    """What is done to the scores: `mask` is an expression of operands that are no scores, for the attributes' mask."""

    scale: float
    kind: str = "none"
    mask: Expr | None = None
    hidden: float = 0.0


def fuse_attention(graph: Graph) -> Graph:
    """Put attention in the place of every product by weights that are the softmax of another product.

    Where queries, keys, values and the result all have their heads' axis moved, the node does without the moves.
    """
    rewriter = Rewriter.of(graph)
    nodes: list[Node] = []
    masks: _Masks = {}
    for node in graph.nodes:
        made = _fused(node, rewriter, masks) if node.op == "batch_matmul" else None
        made = made or (_inside(node, rewriter) if node.op == "permute" else None)
        for each in made or [node]:
            rewriter.makers[each.output] = each
            nodes.append(each)
    return rewriter.finish(alive(nodes, graph.results))


def _fused(node: Node, rewriter: Rewriter, masks: _Masks) -> list[Node] | None:
    softmax = _alone(node.inputs[0], rewriter, "softmax")
    rank = len(rewriter.shape(node.output))
    if softmax is None or node.attrs["transposed"] or softmax.attrs["axis"] not in (-1, rank - 1):
        return None
    found = _product(softmax.inputs[0], rewriter)
    if found is None:
        return None
    product, expression, others = found
    scores = _read(expression)
    if scores is None or rewriter.values[node.output].dtype.name != "float32":
        return None
    (query, key), value = product.inputs, node.inputs[1]
    nodes: list[Node] = []
    if not product.attrs["transposed"]:
        key = _turned(key, rewriter, nodes, node)
    inputs = [query, key, value]
    if scores.mask is not None:
        inputs.append(_mask(scores.mask, others, rewriter, nodes, node, masks))
    attrs = ops.get("attention").bind({"scale": scores.scale, "mask": scores.kind, "hidden": scores.hidden})
    shapes = [rewriter.shape(name) for name in inputs]
    if len(attention_steps(shapes, rewriter.shape(node.output), attrs)) > GROUPS:
        return None
    return [*nodes, replace(node, op="attention", inputs=tuple(inputs), attrs=attrs, label="attention")]


def _alone(name: str, rewriter: Rewriter, *kinds: str) -> Node | None:
    """Return the node that makes a value which is read once."""
    return rewriter.maker(name, *kinds) if rewriter.only_use(name) else None


def _product(name: str, rewriter: Rewriter) -> tuple[Node, Expr, tuple[str, ...]] | None:
    """Return the product behind some scores, and what they are: an expression of it, operand 0, and of others."""
    node = _alone(name, rewriter, "batch_matmul", "map")
    if node is None:
        return None
    if node.op == "batch_matmul":
        return (node, *_finished(node))
    for own in node.inputs:
        product = _alone(own, rewriter, "batch_matmul")
        if product is not None and rewriter.shape(own) == rewriter.shape(name):
            expression, before = _finished(product)
            others = list(before)
            operands = []
            for other in node.inputs:
                if other == own:
                    operands.append(expression)
                    continue
                if other not in others:
                    others.append(other)
                operands.append(ex.operand(others.index(other) + 1))
            return product, ex.substitute(node.attrs["expr"], operands), tuple(others)
    return None


def _finished(product: Node) -> tuple[Expr, tuple[str, ...]]:
    return (product.epilogue.expr, product.epilogue.inputs) if product.epilogue else (ex.operand(0), ())


def _read(e: Expr) -> _Scores | None:
    """Read an expression of scores: scaled, with something added, or a number where a condition does not hold."""
    scale = _scale(e)
    if scale is not None:
        return _Scores(scale)
    if e.op == "add":
        for own, other in (e.args, e.args[::-1]):
            scale = _scale(own)
            if scale is not None and _is_other(other):
                return _Scores(scale, "add", other)
    if e.op == "select" and _is_other(e.args[0]):
        for shown, number, holds in ((e.args[1], e.args[2], 1.0), (e.args[2], e.args[1], 0.0)):
            scale = _scale(shown)
            if scale is not None and number.op == "const":
                return _Scores(scale, "keep", _condition(e.args[0], holds), float(number.value))
    return None


def _scale(e: Expr) -> float | None:
    """Return the factor that an expression multiplies the score by, if it does nothing else."""
    if e.op == "x":
        return 1.0 if e.value == 0 else None
    if e.op in ("mul", "div"):
        for own, number in (e.args, e.args[::-1])[: 2 if e.op == "mul" else 1]:
            scale = _scale(own)
            if scale is not None and number.op == "const":
                return scale * float(number.value) if e.op == "mul" else scale / float(number.value)
    return None


def _is_other(e: Expr) -> bool:
    parts = [part for part in walk(e) if part.op == "x"]
    return (e.op == "x" or bool(parts)) and e != ex.operand(0) and all(part.value != 0 for part in parts)


def _condition(e: Expr, holds: float) -> Expr:
    """Return a number that is above 0 where a condition does not hide: an operand, if it is compared with 0 itself."""
    if holds and e.op == "lt" and e.args[0] == ex.const(0.0) and e.args[1].op == "x":
        return e.args[1]
    return ex.where(e, holds, 1 - holds)


def _mask(e: Expr, others: Sequence[str], rewriter: Rewriter, nodes: list[Node], node: Node, masks: _Masks) -> str:
    """Return the value of an expression of others: one of them, or what a map of its own makes, for all layers."""
    if e.op == "x" and rewriter.values[others[int(e.value) - 1]].dtype.name == "float32":
        return others[int(e.value) - 1]
    used = sorted({int(part.value) for part in (e, *walk(e)) if part.op == "x"})
    names = tuple(others[i - 1] for i in used)
    order: list[Any] = [ex.operand(used.index(i) if i in used else 0) for i in range(len(others) + 1)]
    expression = ex.substitute(e, order)
    if (expression, names) in masks:
        return masks[expression, names]
    made = masks[expression, names] = rewriter.value(
        "mask", node.output, broadcast([rewriter.shape(name) for name in names], {})
    )
    attrs = {"expr": expression, "dtype": "float32"}
    nodes.append(Node("map", names, made, attrs, scope=node.scope, label="mask"))
    return made


# ── where the heads lie ─────────────────────────────────────────────────────────────────────────────────


def _turned(name: str, rewriter: Rewriter, nodes: list[Node], node: Node) -> str:
    """Return a value with its last two axes swapped, straight from what it was made of where that was permuted."""
    before = rewriter.maker(name, "permute")
    source = before.inputs[0] if before is not None else name
    axes = list(before.attrs["axes"] if before is not None else range(len(rewriter.shape(name))))
    axes[-1], axes[-2] = axes[-2], axes[-1]
    if axes == sorted(axes):
        return source
    made = rewriter.value("turned", name, tuple(rewriter.shape(source)[a] for a in axes))
    nodes.append(Node("permute", (source,), made, {"axes": tuple(axes)}, scope=node.scope, label="permute"))
    return made


def _moves_heads(node: Node | None) -> bool:
    """Say whether a permutation swaps the heads' axis, the last leading one, with the rows'."""
    if node is None or len(node.attrs["axes"]) < 3:
        return False
    *first, a, b, c = range(len(node.attrs["axes"]))
    return tuple(node.attrs["axes"]) == (*first, b, a, c)


def _inside(node: Node, rewriter: Rewriter) -> list[Node] | None:
    attention = _alone(node.inputs[0], rewriter, "attention")
    if attention is None or attention.epilogue or attention.attrs["inside"] or not _moves_heads(node):
        return None
    moved = [rewriter.maker(name, "permute") for name in attention.inputs[:3]]
    if not all(_moves_heads(each) for each in moved):
        return None
    inputs = (*(each.inputs[0] for each in moved if each), *attention.inputs[3:])
    return [replace(attention, inputs=inputs, output=node.output, attrs={**attention.attrs, "inside": True})]
