"""What is done with expressions: differentiated, rewritten, written as JSON and read back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from neurenix.errors import GraphError
from neurenix.expr.node import PRIMITIVES, Expr, Scalar, call, const, operand


def derivative(expr: Expr, index: int) -> Expr:
    """Return the partial derivative of an expression by its `index`-th operand."""
    target = operand(index)
    done: dict[Expr, Expr] = {}

    def visit(e: Expr) -> Expr:
        if e is target:
            return const(1)
        if not e.args:
            return const(0)
        if e not in done and e.op == "select":
            condition, a, b = e.args
            slopes = visit(a), visit(b)
            done[e] = slopes[0] if slopes[0] is slopes[1] else call("select", condition, *slopes)
        elif e not in done:
            total: Expr = const(0)
            for partial, arg in zip(PRIMITIVES[e.op].gradient(e, *e.args), e.args):
                inner = visit(arg)
                if not (inner.op == "const" and inner.value == 0) and partial != 0:
                    total = total + times(inner, partial)
            done[e] = total
        return done[e]

    return visit(expr)


def times(slope: Expr, partial: Scalar) -> Expr:
    """A choice of 1 or 0 chooses: a product would make NaN of what is infinite where it is not chosen."""
    if isinstance(partial, Expr) and partial.op == "select" and all(a.op == "const" for a in partial.args[1:]):
        condition, a, b = partial.args
        return call("select", condition, *(slope * c if c.value else c for c in (a, b)))
    return slope * partial


def substitute(expr: Expr, operands: Sequence[Expr]) -> Expr:
    """Replace the i-th operand by `operands[i]`."""
    done: dict[Expr, Expr] = {}

    def visit(e: Expr) -> Expr:
        if e.op == "x":
            return operands[int(e.value)]
        if not e.args:
            return e
        if e not in done:
            done[e] = call(e.op, *map(visit, e.args))
        return done[e]

    return visit(expr)


def operands_of(expr: Expr) -> tuple[int, ...]:
    """Return the indices of the operands that an expression reads, in ascending order."""
    return tuple(sorted({int(e.value) for e in walk(expr) if e.op == "x"}))


def tree_size(expr: Expr, operands: Sequence[int] = ()) -> int:
    """Return how many nodes an expression has written out as a tree, as its JSON is.

    The i-th operand counts `operands[i]` nodes, or 1 where that is not given.
    """
    done: dict[Expr, int] = {}

    def visit(e: Expr) -> int:
        if e.op == "x":
            return operands[int(e.value)] if int(e.value) < len(operands) else 1
        if e not in done:
            done[e] = 1 + sum(map(visit, e.args))
        return done[e]

    return visit(expr)


def to_json(expr: Expr) -> Any:
    """Write an expression as JSON: a number, `["x", i]`, or `[primitive, argument, …]`."""
    if expr.op == "const":
        if math.isfinite(expr.value):
            return expr.value
        # Strict JSON has no infinity and no NaN: a quotient stands for them, and reading computes it.
        return ["div", 0.0 if math.isnan(expr.value) else math.copysign(1.0, expr.value), 0.0]
    if expr.op == "x":
        return ["x", expr.value]
    return [expr.op, *map(to_json, expr.args)]


def from_json(data: Any, depth: int = 0) -> Expr:
    """Read what `to_json` wrote. Raises GraphError when it is anything else or deeper than 200."""
    if isinstance(data, (int, float)) and not isinstance(data, bool):
        return const(data)
    if isinstance(data, list) and data and depth < 200:
        if data[0] == "x" and len(data) == 2 and isinstance(data[1], int) and data[1] >= 0:
            return operand(data[1])
        row = PRIMITIVES.get(data[0]) if isinstance(data[0], str) else None
        if row and len(data) == row.arity + 1:
            return call(row.name, *(from_json(d, depth + 1) for d in data[1:]))
    raise GraphError(f"{str(data)[:80]!r} is not a scalar expression")


def walk(expr: Expr) -> list[Expr]:
    """Return every part of an expression, as often as it is used."""
    seen: dict[Expr, int] = {}

    def visit(e: Expr) -> None:
        seen[e] = seen.get(e, 0) + 1
        if seen[e] == 1:
            for arg in e.args:
                visit(arg)

    visit(expr)
    return [e for e, uses in seen.items() for _ in range(uses)]
