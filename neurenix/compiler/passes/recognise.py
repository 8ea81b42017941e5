"""Recognises what exporters write out in parts and one kernel computes: norms, softmax, rows of a table, attention.

Each pattern is a tree of ops around what it computes on; a rule returns the nodes that take the place of the last one.
What only they read goes with them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from neurenix.compiler.matching import Rewriter, alive
from neurenix.graph.graph import Array, Graph, Node
from neurenix.ops.shapes import axis_of

Rule = Callable[[Node, Rewriter], "list[Node] | None"]


def recognise(graph: Graph) -> Graph:
    """Replace every node that ends a pattern."""
    rewriter = Rewriter.of(graph)
    nodes: list[Node] = []
    for node in graph.nodes:
        found = (rule(node, rewriter) for rule in RULES.get(node.op, ()))
        for each in next((made for made in found if made is not None), [node]):
            rewriter.makers[each.output] = each
            nodes.append(each)
    return rewriter.finish(alive(nodes, graph.results))


def layer_norm(node: Node, rewriter: Rewriter) -> list[Node] | None:
    """(x - mean) / sqrt(mean of its square + eps), as a quotient or times a reciprocal."""
    for centred, scale in _orders(node, rewriter):
        root = rewriter.maker(scale, "sqrt")
        found = root and _shifted(root.inputs[0], rewriter)
        sub = rewriter.maker(centred, "sub")
        if not found or sub is None:
            continue
        spread = _mean_of_square(found[0], rewriter)
        x = sub.inputs[0]
        if spread is None or not _same_centre(spread, sub, rewriter) or _mean(sub.inputs[1], rewriter) != x:
            continue
        if rewriter.shape(x) == rewriter.shape(node.output) and rewriter.values[x].dtype.name == "float32":
            return [replace(node, op="standardize", inputs=(x,), attrs={"eps": found[1]}, label="standardize")]
    return None


def softmax(node: Node, rewriter: Rewriter) -> list[Node] | None:
    """exp(x - the largest x) / its sum along one axis."""
    if node.op != "div":
        return None
    top, bottom = node.inputs
    power, total = rewriter.maker(top, "exp"), _unmoved(bottom, rewriter, "sum")
    if power is None or total is None or total.inputs[0] != top:
        return None
    sub = rewriter.maker(power.inputs[0], "sub")
    most = sub and _unmoved(sub.inputs[1], rewriter, "max", "maximum")
    if most is not None and most.op == "maximum":
        most = _bounded_below(most, rewriter)
    if sub is None or most is None or most.inputs[0] != sub.inputs[0]:
        return None
    axes, shape = _axes(total, rewriter), rewriter.shape(top)
    if axes is None or len(axes) != 1 or axes != _axes(most, rewriter) or rewriter.shape(node.output) != shape:
        return None
    if not _stands_along(bottom, axes, shape, rewriter) or not _stands_along(sub.inputs[1], axes, shape, rewriter):
        return None
    return [replace(node, op="softmax", inputs=(sub.inputs[0],), attrs={"axis": axes[0]}, label="softmax")]


def rows_of_table(node: Node, rewriter: Rewriter) -> list[Node] | None:
    """One-hot vectors of classes 0 … n - 1 times a table: its rows, or zeros for what is no class."""
    table = rewriter.constants.get(node.inputs[1])
    cast = rewriter.maker(node.inputs[0], "cast")
    equal = cast and rewriter.maker(cast.inputs[0], "eq")
    if table is None or table.ndim != 2 or not equal or not np.isfinite(table).all():  # a zero times those is no zero
        return None
    for index, classes in (equal.inputs, equal.inputs[::-1]):
        found, shape = rewriter.constants.get(classes), rewriter.shape(index)
        whole = rewriter.values[index].dtype.name in ("int32", "int64")
        if found is None or not whole or not shape or shape[-1] != 1 or found.shape[-1:] != (len(table),):
            continue
        if found.size == len(table) and np.array_equal(found.reshape(-1), np.arange(len(table))):
            return _gathered(node, index, table, rewriter)
    return None


def scaled_product(node: Node, rewriter: Rewriter) -> list[Node] | None:
    """(a s) (b t) = (a b) (s t): one factor at the end, which is an epilogue, and operands that need no copy."""
    inputs, factor = [], 1.0
    for name in node.inputs:
        scaled = rewriter.maker(name, "mul")
        for x, other in (scaled.inputs, scaled.inputs[::-1]) if scaled is not None else ():
            amount = _number(other, rewriter)
            if amount is not None and 2.0**-20 < abs(amount) < 2.0**20 and rewriter.shape(x) == rewriter.shape(name):
                name, factor = x, factor * amount
                break
        inputs.append(name)
    if tuple(inputs) == node.inputs or rewriter.values[node.output].dtype.name != "float32":
        return None
    product = rewriter.value("matmul", node.output, rewriter.shape(node.output))
    by = rewriter.constant("scale", np.array(factor), node.output)
    return [
        replace(node, inputs=tuple(inputs), output=product),
        Node("mul", (product, by), node.output, {}, scope=node.scope, label="mul"),
    ]


def batched_transpose(node: Node, rewriter: Rewriter) -> list[Node] | None:
    """Matrices that were counted through, each turned, and put back under their leading axes: a permutation."""
    turned = rewriter.maker(node.inputs[0], "permute")
    flat = turned and rewriter.maker(turned.inputs[0], "reshape")
    if turned is None or flat is None or tuple(turned.attrs["axes"]) != (0, 2, 1):
        return None
    x, out = rewriter.shape(flat.inputs[0]), rewriter.shape(node.output)
    if len(x) < 3 or x[-2:] != rewriter.shape(flat.output)[1:] or out != (*x[:-2], x[-1], x[-2]):
        return None
    axes = (*range(len(x) - 2), len(x) - 1, len(x) - 2)
    return [replace(node, op="permute", inputs=flat.inputs, attrs={"axes": axes}, label="permute")]


def _gathered(node: Node, index: str, table: Array, rewriter: Rewriter) -> list[Node]:
    """Read rows of the table with one of zeros before and one behind: a kernel clamps what lies outside."""
    zeros = np.zeros((1, table.shape[1]), table.dtype)
    padded = rewriter.constant(f"{node.inputs[1]}_rows", np.concatenate([zeros, table, zeros]), node.inputs[1])
    low, high = (rewriter.constant("bound", np.array(b), index) for b in (-1, len(table)))
    one = rewriter.constant("one", np.array(1), index)
    shape = rewriter.shape(index)
    steps = [rewriter.value(name, index, shape) for name in ("maximum", "minimum", "add")]
    flat = rewriter.value("reshape", index, shape[:-1])
    chain = [("maximum", index, low, steps[0]), ("minimum", steps[0], high, steps[1]), ("add", steps[1], one, steps[2])]
    return [
        *(Node(op, (a, b), y, {}, scope=node.scope, label=op) for op, a, b, y in chain),
        Node("reshape", (steps[2],), flat, {"shape": shape[:-1]}, scope=node.scope, label="reshape"),
        replace(node, op="gather", inputs=(padded, flat), attrs={"axis": 0}, label="gather"),
    ]


# ── parts ───────────────────────────────────────────────────────────────────────────────────────────────


def _orders(node: Node, rewriter: Rewriter) -> list[tuple[str, str]]:
    """Return (what is divided, by what) for a quotient, or a product with a reciprocal on either side."""
    left, right = node.inputs
    if node.op == "div":
        return [(left, right)]
    found = [(a, rewriter.maker(b, "reciprocal")) for a, b in ((left, right), (right, left))]
    return [(a, b.inputs[0]) for a, b in found if b is not None]


def _shifted(name: str, rewriter: Rewriter) -> tuple[str, float] | None:
    """Read `x + eps` as (x, eps), where eps is one number of at least 0."""
    node = rewriter.maker(name, "add")
    for x, other in (node.inputs, node.inputs[::-1]) if node is not None else ():
        amount = _number(other, rewriter)
        if amount is not None and 0 <= amount < np.inf:
            return x, amount
    return None


def _mean_of_square(name: str, rewriter: Rewriter) -> str | None:
    """Return what the mean along the last axis is taken of the squares of."""
    square = rewriter.makers.get(_mean(name, rewriter) or "")
    if square is None:
        return None
    if square.op == "square" or (square.op == "mul" and square.inputs[0] == square.inputs[1]):
        return square.inputs[0]
    return square.inputs[0] if square.op == "pow" and _number(square.inputs[1], rewriter) == 2 else None


def _same_centre(name: str, sub: Node, rewriter: Rewriter) -> bool:
    """Say whether a value is the difference itself, or another of the same two."""
    other = rewriter.maker(name, "sub")
    return name == sub.output or (other is not None and other.inputs == sub.inputs)


def _mean(name: str, rewriter: Rewriter) -> str | None:
    """Return what a value is the mean of along the last axis, which it keeps as 1."""
    node = rewriter.maker(name, "mean")
    if node is None or not node.attrs["keepdims"] or node.attrs["correction"]:
        return None
    axes, rank = _axes(node, rewriter), len(rewriter.shape(node.inputs[0]))
    return node.inputs[0] if axes == (rank - 1,) else None


def _axes(node: Node, rewriter: Rewriter) -> tuple[int, ...] | None:
    rank = len(rewriter.shape(node.inputs[0]))
    axes = node.attrs["axes"]
    return tuple(range(rank)) if axes is None else tuple(sorted(axis_of(a, rank) for a in axes))


def _unmoved(name: str, rewriter: Rewriter, *kinds: str) -> Node | None:
    """Return the node of one of these ops behind reshapes, which turn a dropped axis into one of 1."""
    while (node := rewriter.maker(name, "reshape")) is not None:
        name = node.inputs[0]
    return rewriter.maker(name, *kinds)


def _stands_along(name: str, axes: tuple[int, ...], shape: tuple[object, ...], rewriter: Rewriter) -> bool:
    return rewriter.shape(name) == tuple(1 if a in axes else s for a, s in enumerate(shape))


def _bounded_below(node: Node, rewriter: Rewriter) -> Node | None:
    """Return the `max` that a `maximum` with the least number that there is changes nothing of."""
    for name, other in (node.inputs, node.inputs[::-1]):
        bound = _number(other, rewriter)
        if bound is not None and bound <= np.finfo(np.float32).min:
            return rewriter.maker(name, "max")
    return None


def _number(name: str, rewriter: Rewriter) -> float | None:
    array = rewriter.constants.get(name)
    return float(array.reshape(())) if array is not None and array.size == 1 else None


# The rules that a node of an op may be the end of.
RULES: dict[str, tuple[Rule, ...]] = {
    "div": (layer_norm, softmax), "mul": (layer_norm,), "matmul": (rows_of_table, scaled_product),
    "reshape": (batched_transpose,),
}  # fmt: skip
