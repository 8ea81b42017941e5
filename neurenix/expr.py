"""Scalar expressions: built once, then evaluated with NumPy, printed to C and WGSL, differentiated by rule.

An expression is a tree of primitives over operands (`operand(0)`, `operand(1)`, …) and constants. Equal
expressions are one object, so that a shared part is found by identity and computed once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Union

import numpy as np

from neurenix.errors import GraphError

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

    def __repr__(self) -> str:
        if self.op == "x":
            return f"x{self.value}"
        if self.op == "const":
            return f"{self.value:g}"
        return f"{self.op}({', '.join(map(repr, self.args))})"


COMPARISONS = ("lt", "le", "eq")

_interned: dict[tuple[Any, ...], Expr] = {}


def _make(op: str, args: tuple[Expr, ...] = (), value: Number = 0) -> Expr:
    # repr tells 0.0 from -0.0 and one NaN from no NaN, which == does not.
    key = (op, tuple(map(id, args)), repr(value))
    return _interned.setdefault(key, Expr(op, args, value))


def operand(index: int) -> Expr:
    """Return the expression that stands for the `index`-th input."""
    return _make("x", value=index)


def const(value: Number) -> Expr:
    """Return a constant."""
    return _make("const", value=float(value))


def call(name: str, *args: Scalar) -> Expr:
    """Apply a primitive, simplifying what costs nothing to simplify (`x * 1`, `x + 0`, constants)."""
    row = PRIMITIVES[name]
    exprs = tuple(a if isinstance(a, Expr) else const(a) for a in args)
    assert len(exprs) == row.arity, f"{name} takes {row.arity} arguments, got {len(exprs)}"
    if all(e.op == "const" for e in exprs):
        with np.errstate(all="ignore"):
            return const(float(row.numpy(*(np.float64(e.value) for e in exprs))))
    if name == "select":
        if exprs[0].op == "const":  # a condition that is known is no mask that C could print
            return exprs[1] if exprs[0].value else exprs[2]
        if exprs[0].op not in COMPARISONS:  # nor is a number: it means that it is not 0
            return _make(name, (call("eq", exprs[0], 0), number(exprs[2]), number(exprs[1])))
        exprs = (exprs[0], number(exprs[1]), number(exprs[2]))
    else:
        exprs = tuple(map(number, exprs))
    if row.identity is not None and exprs[1].op == "const" and exprs[1].value == row.identity:
        return exprs[0]
    if row.commutes and exprs[0].op == "const" and exprs[0].value == row.identity:
        return exprs[1]
    return _make(name, exprs)


def number(expr: Expr) -> Expr:
    """Return an expression that is a number: 1 or 0 for a comparison, which is a mask in C."""
    return _make("select", (expr, const(1), const(0))) if expr.op in COMPARISONS else expr


def exp(x: Scalar) -> Expr:
    return call("exp", x)


def log(x: Scalar) -> Expr:
    return call("log", x)


def sqrt(x: Scalar) -> Expr:
    return call("sqrt", x)


def tanh(x: Scalar) -> Expr:
    return call("tanh", x)


def absolute(x: Scalar) -> Expr:
    return call("abs", x)


def maximum(a: Scalar, b: Scalar) -> Expr:
    return call("max", a, b)


def minimum(a: Scalar, b: Scalar) -> Expr:
    return call("min", a, b)


def where(condition: Expr, a: Scalar, b: Scalar) -> Expr:
    return call("select", condition, a, b)


Rule = Callable[..., tuple[Scalar, ...]]


@dataclass(frozen=True)
class Primitive:
    """What a scalar operation is in each language, and its partial derivatives.

    `c` prints vectors of `nx_simd.h`; a comparison yields a mask there and a bool elsewhere. `gradient(y,
    *args)` gives dy/darg for each argument. `identity` is the right operand that changes nothing.
    """

    name: str
    arity: int
    numpy: Callable[..., Any]
    c: str
    wgsl: str
    gradient: Rule
    identity: float | None = None
    commutes: bool = False


_STEP: Rule = lambda y, a, b: (0, 0)  # noqa: E731  a comparison is flat wherever it has a derivative

_TABLE = (
    Primitive("add", 2, np.add, "({} + {})", "({} + {})", lambda y, a, b: (1, 1), 0, True),
    Primitive("sub", 2, np.subtract, "({} - {})", "({} - {})", lambda y, a, b: (1, -1), 0),
    Primitive("mul", 2, np.multiply, "({} * {})", "({} * {})", lambda y, a, b: (b, a), 1, True),
    Primitive("div", 2, np.divide, "({} / {})", "({} / {})", lambda y, a, b: (1 / b, -y / b), 1),
    Primitive("neg", 1, np.negative, "(-{})", "(-{})", lambda y, a: (-1,)),
    Primitive("abs", 1, np.abs, "nx_abs({})", "abs({})", lambda y, a: (where(a < 0, -1, where(a > 0, 1, 0)),)),
    # Where the two are equal the first takes the gradient, as in the C kernels' comparison.
    Primitive("max", 2, np.maximum, "nx_max({}, {})", "max({}, {})",
              lambda y, a, b: (where(a < b, 0, 1), where(a < b, 1, 0))),
    Primitive("min", 2, np.minimum, "nx_min({}, {})", "min({}, {})",
              lambda y, a, b: (where(b < a, 0, 1), where(b < a, 1, 0))),
    Primitive("exp", 1, np.exp, "nx_exp({})", "exp({})", lambda y, a: (y,)),
    Primitive("log", 1, np.log, "nx_log({})", "log({})", lambda y, a: (1 / a,)),
    Primitive("sqrt", 1, np.sqrt, "nx_sqrt({})", "sqrt({})", lambda y, a: (0.5 / y,)),
    Primitive("tanh", 1, np.tanh, "nx_tanh({})", "tanh({})", lambda y, a: (1 - y * y,)),
    Primitive("lt", 2, np.less, "({} < {})", "({} < {})", _STEP),
    Primitive("le", 2, np.less_equal, "({} <= {})", "({} <= {})", _STEP),
    Primitive("eq", 2, np.equal, "({} == {})", "({} == {})", _STEP),
    Primitive("select", 3, np.where, "nx_select({}, {}, {})", "select({2}, {1}, {0})",
              lambda y, c, a, b: (0, where(c, 1, 0), where(c, 0, 1))),
)  # fmt: skip

PRIMITIVES = {row.name: row for row in _TABLE}


def evaluate(expr: Expr, operands: Sequence[Any]) -> Any:
    """Compute an expression on NumPy arrays (or scalars), in their own precision.

    >>> float(evaluate(operand(0) * operand(0) + 1, [np.float64(3.0)]))
    10.0
    """
    number = _precision(operands)
    done: dict[Expr, Any] = {}

    def visit(e: Expr) -> Any:
        if e.op == "x":
            return operands[int(e.value)]
        if e.op == "const":
            return number(e.value)
        if e not in done:
            done[e] = PRIMITIVES[e.op].numpy(*map(visit, e.args))
        return done[e]

    return visit(expr)


def derivative(expr: Expr, index: int) -> Expr:
    """Return the partial derivative of an expression by its `index`-th operand."""
    target = operand(index)
    done: dict[Expr, Expr] = {}

    def visit(e: Expr) -> Expr:
        if e is target:
            return const(1)
        if not e.args:
            return const(0)
        if e not in done:
            total: Expr = const(0)
            for partial, arg in zip(PRIMITIVES[e.op].gradient(e, *e.args), e.args):
                inner = visit(arg)
                if not (inner.op == "const" and inner.value == 0) and partial != 0:
                    total = total + inner * partial
            done[e] = total
        return done[e]

    return visit(expr)


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
    return tuple(sorted({int(e.value) for e in _walk(expr) if e.op == "x"}))


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


def print_c(expr: Expr, operands: Sequence[str]) -> tuple[list[str], str]:
    """Print an expression as C over `nx_f32` vectors: statements that name shared parts, and the result."""
    return _print(expr, operands, lambda p: p.c, lambda v: f"nx_set({_c_float(v)})", "const nx_f32 {} = {};")


def print_wgsl(expr: Expr, operands: Sequence[str]) -> tuple[list[str], str]:
    """Print an expression as WGSL over f32 values."""
    return _print(expr, operands, lambda p: p.wgsl, _wgsl_float, "let {} = {};")


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


def _precision(operands: Sequence[Any]) -> Callable[[Number], Any]:
    """Constants take the operands' precision: np.where would turn a bare Python float into float64."""
    for o in operands:
        kind = np.asarray(o).dtype
        if kind.kind == "f":
            return kind.type
    return float


def _walk(expr: Expr) -> list[Expr]:
    seen: dict[Expr, int] = {}

    def visit(e: Expr) -> None:
        seen[e] = seen.get(e, 0) + 1
        if seen[e] == 1:
            for arg in e.args:
                visit(arg)

    visit(expr)
    return [e for e, uses in seen.items() for _ in range(uses)]


def _print(
    expr: Expr,
    operands: Sequence[str],
    template: Callable[[Primitive], str],
    number: Callable[[float], str],
    statement: str,
) -> tuple[list[str], str]:
    uses = _walk(expr)
    shared = {e for e in uses if e.args and uses.count(e) > 1 and e.op not in COMPARISONS}
    lines: list[str] = []
    done: dict[Expr, str] = {}

    def visit(e: Expr) -> str:
        if e.op == "x":
            return operands[int(e.value)]
        if e.op == "const":
            return number(float(e.value))
        if e not in done:
            text = template(PRIMITIVES[e.op]).format(*map(visit, e.args))
            if e in shared:
                name = f"t{len(lines)}"
                lines.append(statement.format(name, text))
                text = name
            done[e] = text
        return done[e]

    result = visit(expr)
    return lines, result


def _float32(value: float) -> float:
    with np.errstate(over="ignore"):  # beyond float32's range it is infinite
        return float(np.float32(value))


def _c_float(value: float) -> str:
    value = _float32(value)
    if math.isfinite(value):
        return f"{value!r}f"
    return '__builtin_nanf("")' if math.isnan(value) else ("-" if value < 0 else "") + "__builtin_inff()"


def _wgsl_float(value: float) -> str:
    value = _float32(value)
    if not math.isfinite(value):
        raise GraphError(f"WGSL has no literal for {value}")
    return f"f32({value!r})"
