"""Scalar expressions: a tree of primitives over operands and constants. Equal expressions are one object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Union

import numpy as np

Number = Union[int, float]
Scalar = Union["Expr", int, float]


@dataclass(frozen=True, eq=False)
class Expr:
    """One node. `op` is "x" for an operand (`value` is its index), "const", or a primitive's name."""

    op: str
    args: tuple[Expr, ...] = ()
    value: Number = 0

    def __add__(self, other: Scalar) -> Expr:
        return call("add", self, other)

    def __radd__(self, other: Scalar) -> Expr:
        return call("add", other, self)

    def __sub__(self, other: Scalar) -> Expr:
        return call("sub", self, other)

    def __rsub__(self, other: Scalar) -> Expr:
        return call("sub", other, self)

    def __mul__(self, other: Scalar) -> Expr:
        return call("mul", self, other)

    def __rmul__(self, other: Scalar) -> Expr:
        return call("mul", other, self)

    def __truediv__(self, other: Scalar) -> Expr:
        return call("div", self, other)

    def __rtruediv__(self, other: Scalar) -> Expr:
        return call("div", other, self)

    def __neg__(self) -> Expr:
        return call("neg", self)

    def __lt__(self, other: Scalar) -> Expr:
        return call("lt", self, other)

    def __gt__(self, other: Scalar) -> Expr:
        return call("lt", other, self)

    def __le__(self, other: Scalar) -> Expr:
        return call("le", self, other)

    def __ge__(self, other: Scalar) -> Expr:
        return call("le", other, self)

    def __repr__(self) -> str:
        if self.op == "x":
            return f"x{self.value}"
        if self.op == "const":
            return f"{self.value:g}"
        return f"{self.op}({', '.join(map(repr, self.args))})"


Rule = Callable[..., tuple[Scalar, ...]]


@dataclass(frozen=True)
class Primitive:
    """What a scalar operation is in each language, and its partial derivatives.

    `c` prints float32 vectors of `nx_math.h`; a comparison yields a mask there and a bool elsewhere. In scalar
    loops the same text calls `nx_exp_1` for a float's `nx_exp`, `nx_exp_d` for a double's, and `nx_max_i` for an
    integer's `nx_max` (`nx_max_u` for an unsigned one's), unless `c_integer` says otherwise. `c` is empty where only
    whole numbers make sense, which vectors do not hold.
    `wgsl` prints WGSL's f32, or its bool where the arguments are conditions, and `wgsl_integer` its i32 where that is
    another text. A builtin stands there only where it is accurate enough and its NaN is the reference's.
    `kind` is what the result is: "same" as the arguments, or always "bool", "float", "integer" or "unsigned", which
    is uint64 alone: a signed number of 64 bits holds every other whole one.
    `gradient(y, *args)` gives dy/darg for each argument. `identity` is the right operand that changes
    nothing. `takes_masks` says that the arguments are conditions and no numbers. `simplify(*args)` may return a
    cheaper expression that is the same.
    """

    name: str
    arity: int
    numpy: Callable[..., Any]
    c: str
    wgsl: str
    gradient: Rule
    identity: float | None = None
    commutes: bool = False
    kind: str = "same"
    takes_masks: bool = False
    c_integer: str | None = None
    wgsl_integer: str | None = None
    simplify: Callable[..., Expr | None] | None = None


# Filled by primitives.py, which is written with the expressions above.
PRIMITIVES: dict[str, Primitive] = {}
_interned: dict[tuple[Any, ...], Expr] = {}


def make(op: str, args: tuple[Expr, ...] = (), value: Number = 0) -> Expr:
    # repr tells 0.0 from -0.0 and one NaN from no NaN, which == does not.
    key = (op, tuple(map(id, args)), repr(value))
    return _interned.setdefault(key, Expr(op, args, value))


def operand(index: int) -> Expr:
    """Return the expression that stands for the `index`-th input."""
    return make("x", value=index)


def const(value: Number) -> Expr:
    """Return a constant."""
    return make("const", value=float(value))


def call(name: str, *args: Scalar) -> Expr:
    """Apply a primitive, simplifying what costs nothing to simplify (`x * 1`, `x + 0`, constants)."""
    row = PRIMITIVES[name]
    exprs = tuple(a if isinstance(a, Expr) else const(a) for a in args)
    assert len(exprs) == row.arity, f"{name} takes {row.arity} arguments, got {len(exprs)}"
    if all(e.op == "const" for e in exprs):
        with np.errstate(all="ignore"):
            return const(float(row.numpy(*(np.float64(e.value) for e in exprs))))
    if name == "select" and exprs[0].op == "const":  # a condition that is known is no mask that C could print
        return exprs[1] if exprs[0].value else exprs[2]
    if name == "select" and numbered(exprs[0]):
        exprs = (mask(exprs[0]), *exprs[1:])
    if name == "select" and exprs[0].op == "not":
        exprs = (exprs[0].args[0], exprs[2], exprs[1])
    if name == "select" and not is_mask(exprs[0]):  # nor is a number: it means that it is not 0
        return call(name, call("eq", exprs[0], 0), exprs[2], exprs[1])
    if name == "select":
        exprs = (exprs[0], number(exprs[1]), number(exprs[2]))
    else:
        exprs = tuple(map(mask if row.takes_masks else number, exprs))
    if row.identity is not None and exprs[1].op == "const" and exprs[1].value == row.identity:
        return exprs[0]
    if row.commutes and exprs[0].op == "const" and exprs[0].value == row.identity:
        return exprs[1]
    simpler = row.simplify(*exprs) if row.simplify else None
    return make(name, exprs) if simpler is None else simpler


def is_mask(expr: Expr) -> bool:
    """Say whether an expression is a condition: a mask of vector lanes in C, a bool elsewhere."""
    return expr.op in PRIMITIVES and PRIMITIVES[expr.op].kind == "bool"


def number(expr: Expr) -> Expr:
    """Return an expression that is a number: 1 or 0 for a condition."""
    return call("select", expr, 1, 0) if is_mask(expr) else expr


def mask(expr: Expr) -> Expr:
    """Return an expression that is a condition: whether a number is not 0."""
    if is_mask(expr):
        return expr
    return numbered(expr) or call("not", call("eq", expr, 0))


def numbered(expr: Expr) -> Expr | None:
    """Return the condition that an expression is 1 or 0 by, as `number` makes it; None where there is none."""
    if expr.op == "select" and expr.args[1:] == (const(1), const(0)):
        return expr.args[0]
    if expr.op == "select" and expr.args[1:] == (const(0), const(1)):
        return call("not", expr.args[0])
    return None
