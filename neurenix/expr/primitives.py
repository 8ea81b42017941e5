"""The primitives: each row is one scalar operation in every language, with its derivative."""

from __future__ import annotations

import numpy as np

from neurenix.expr.node import PRIMITIVES, Expr, Primitive, Rule, Scalar, call, is_mask, mask, number


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


def cast(x: Expr, dtype: str) -> Expr:
    """Turn a value into what a dtype can hold: a condition, a whole number, or a float."""
    if dtype == "bool":
        return mask(x)
    if dtype.startswith("float"):
        return number(x) if is_mask(x) else call("to_float", x)
    return call("to_integer", number(x))


def where(condition: Expr, a: Scalar, b: Scalar) -> Expr:
    return call("select", condition, a, b)


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
    Primitive("exp", 1, np.exp, "nx_exp({})", "exp({})", lambda y, a: (y,), kind="float"),
    Primitive("log", 1, np.log, "nx_log({})", "log({})", lambda y, a: (1 / a,), kind="float"),
    Primitive("sqrt", 1, np.sqrt, "nx_sqrt({})", "sqrt({})", lambda y, a: (0.5 / y,), kind="float"),
    Primitive("tanh", 1, np.tanh, "nx_tanh({})", "tanh({})", lambda y, a: (1 - y * y,), kind="float"),
    Primitive("lt", 2, np.less, "({} < {})", "({} < {})", _STEP, kind="bool"),
    Primitive("le", 2, np.less_equal, "({} <= {})", "({} <= {})", _STEP, kind="bool"),
    Primitive("eq", 2, np.equal, "({} == {})", "({} == {})", _STEP, kind="bool"),
    Primitive("and", 2, np.logical_and, "({} & {})", "({} & {})", _STEP, kind="bool", takes_masks=True),
    Primitive("or", 2, np.logical_or, "({} | {})", "({} | {})", _STEP, kind="bool", takes_masks=True),
    Primitive("xor", 2, np.logical_xor, "({} ^ {})", "({} != {})", _STEP, kind="bool", takes_masks=True),
    Primitive("not", 1, np.logical_not, "(~{})", "(!{})", lambda y, a: (0,), kind="bool", takes_masks=True,
              c_integer="(!{})"),
    # A change of dtype. The vectors of a map are all float32, and there it changes nothing.
    Primitive("to_float", 1, lambda a: a if np.asarray(a).dtype.kind == "f" else np.asarray(a, np.float64), "({})",
              "f32({})", lambda y, a: (1,), kind="float"),
    Primitive("to_integer", 1, lambda a: np.trunc(a).astype(np.int64), "nx_to_integer({})", "i32({})",
              lambda y, a: (0,), kind="integer", c_integer="({})"),
    Primitive("select", 3, np.where, "nx_select({}, {}, {})", "select({2}, {1}, {0})",
              lambda y, c, a, b: (0, where(c, 1, 0), where(c, 0, 1))),
)  # fmt: skip

PRIMITIVES.update((row.name, row) for row in _TABLE)
