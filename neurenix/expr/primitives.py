"""The primitives: each row is one scalar operation in every language, with its derivative."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from neurenix.expr.choosing import choose
from neurenix.expr.node import PRIMITIVES, Expr, Primitive, Scalar, call, is_mask, mask, number, numbered
from neurenix.expr.special import error_function, power


def exp(x: Scalar) -> Expr:
    return call("exp", x)


def expm1(x: Scalar) -> Expr:
    return call("expm1", x)


def log(x: Scalar) -> Expr:
    return call("log", x)


def log1p(x: Scalar) -> Expr:
    return call("log1p", x)


def sqrt(x: Scalar) -> Expr:
    return call("sqrt", x)


def tanh(x: Scalar) -> Expr:
    return call("tanh", x)


def erf(x: Scalar) -> Expr:
    return call("erf", x)


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
    return call("to_unsigned" if dtype == "uint64" else "to_integer", number(x))


def where(condition: Expr, a: Scalar, b: Scalar) -> Expr:
    return call("select", condition, a, b)


def equal(a: Scalar, b: Scalar) -> Expr:
    return call("eq", a, b)


def both(a: Scalar, b: Scalar) -> Expr:
    return call("and", a, b)


def negation(a: Scalar) -> Expr:
    """Return the condition that another one does not hold."""
    return call("not", a)


def _flat(*_: Expr) -> tuple[Scalar, ...]:
    """The derivative of what has steps: 0 wherever there is one."""
    return (0, 0)


def _pow_slopes(y: Expr, a: Expr, b: Expr) -> tuple[Scalar, ...]:
    # At a = 0 the logarithm is infinite, but nothing moves with b there, unless b < 0 and so is the power.
    still = both(equal(a, 0), call("le", 0, b))
    return where(equal(b, 0), 0, b * call("pow", a, b - 1)), where(still, 0, y * log(a))


def _angle_slopes(y: Expr, a: Expr, b: Expr) -> tuple[Scalar, ...]:
    # The origin has no angle to change: the slopes are 0 there, as PyTorch's.
    square = where(both(equal(a, 0), equal(b, 0)), 1, a * a + b * b)
    return b / square, -a / square


def _small_power(a: Expr, b: Expr) -> Expr | None:
    whole = int(b.value) if b.op == "const" and b.value in (2, 3) else 0
    return a * a if whole == 2 else a * a * a if whole == 3 else None


def _same_condition(a: Expr, b: Expr) -> Expr | None:
    """Whether a condition, as a number, is 0: that it does not hold."""
    return call("not", a) if numbered(a) and b.op == "const" and b.value == 0 else None


def _function(name: str, numpy: Callable[..., Any], slope: Callable[[Expr, Expr], Scalar], wgsl: str = "") -> Primitive:
    """A function of one float, called alike in C and, unless it says otherwise, in WGSL."""
    slopes = lambda y, a: (slope(y, a),)  # noqa: E731
    return Primitive(name, 1, numpy, f"nx_{name}({{}})", wgsl or f"nx_{name}({{}})", slopes, kind="float")


def _rounding(name: str, numpy: Callable[..., Any]) -> Primitive:
    def exact(a: Any) -> Any:  # NumPy would turn whole numbers into float64
        return numpy(a) if a.dtype.kind == "f" else a

    return Primitive(name, 1, exact, f"nx_{name}({{}})", f"{name}({{}})", _flat, c_integer="({})", wgsl_integer="({})")


def _whole(kind: type[np.integer[Any]]) -> Callable[..., Any]:
    """Cut floats off towards zero; whole numbers wrap around."""
    return lambda a: (np.trunc(a) if np.asarray(a).dtype.kind == "f" else np.asarray(a)).astype(kind)


def _bits(name: str, numpy: Callable[..., Any], c_integer: str, wgsl: str, of_conditions: str = "") -> Primitive:
    """An operation on bits, which floats have not; with conditions among its arguments it is `of_conditions`."""

    def simplify(*args: Expr) -> Expr | None:
        return call(of_conditions, *args) if of_conditions and any(map(numbered, args)) else None

    return Primitive(
        name, c_integer.count("{}"), numpy, "", wgsl, _flat, c_integer=c_integer, simplify=simplify
    )  # fmt: skip


_TABLE = (
    Primitive("add", 2, np.add, "({} + {})", "({} + {})", lambda y, a, b: (1, 1), 0, True),
    Primitive("sub", 2, np.subtract, "({} - {})", "({} - {})", lambda y, a, b: (1, -1), 0),
    Primitive("mul", 2, np.multiply, "({} * {})", "({} * {})", lambda y, a, b: (b, a), 1, True),
    Primitive("div", 2, np.divide, "({} / {})", "({} / {})", lambda y, a, b: (1 / b, -y / b), 1, kind="float"),
    Primitive("neg", 1, np.negative, "(-{})", "(-{})", lambda y, a: (-1,)),
    Primitive("abs", 1, np.abs, "nx_abs({})", "abs({})", lambda y, a: (where(a < 0, -1, where(a > 0, 1, 0)),)),
    # Where the two are equal the first takes the gradient, as in the C kernels' comparison.
    Primitive("max", 2, np.maximum, "nx_max({}, {})", "nx_max({}, {})",
              lambda y, a, b: (where(a < b, 0, 1), where(a < b, 1, 0)), wgsl_integer="max({}, {})"),
    Primitive("min", 2, np.minimum, "nx_min({}, {})", "nx_min({}, {})",
              lambda y, a, b: (where(b < a, 0, 1), where(b < a, 1, 0)), wgsl_integer="min({}, {})"),
    _function("exp", np.exp, lambda y, a: y),
    _function("exp2", np.exp2, lambda y, a: y * math.log(2)),
    _function("expm1", np.expm1, lambda y, a: y + 1),
    _function("log", np.log, lambda y, a: 1 / a),
    _function("log2", np.log2, lambda y, a: 1 / (a * math.log(2))),
    _function("log10", np.log10, lambda y, a: 1 / (a * math.log(10))),
    _function("log1p", np.log1p, lambda y, a: 1 / (a + 1)),
    _function("sqrt", np.sqrt, lambda y, a: 0.5 / y, "sqrt({})"),
    _function("sin", np.sin, lambda y, a: call("cos", a)),
    _function("cos", np.cos, lambda y, a: -call("sin", a)),
    _function("tan", np.tan, lambda y, a: 1 + y * y),
    _function("asin", np.arcsin, lambda y, a: 1 / sqrt((1 - a) * (1 + a))),
    _function("acos", np.arccos, lambda y, a: -1 / sqrt((1 - a) * (1 + a))),
    _function("atan", np.arctan, lambda y, a: 1 / (1 + a * a)),
    _function("sinh", np.sinh, lambda y, a: call("cosh", a)),
    _function("cosh", np.cosh, lambda y, a: call("sinh", a)),
    _function("tanh", np.tanh, lambda y, a: 1 - y * y),
    _function("asinh", np.arcsinh, lambda y, a: 1 / sqrt(a * a + 1)),
    _function("acosh", np.arccosh, lambda y, a: 1 / sqrt((a - 1) * (a + 1))),
    _function("atanh", np.arctanh, lambda y, a: 1 / ((1 - a) * (1 + a))),
    _function("sigmoid", lambda a: 1 / (1 + np.exp(-a)), lambda y, a: y * (1 - y)),
    _function("erf", error_function, lambda y, a: 2 / math.sqrt(math.pi) * exp(-a * a)),
    Primitive("atan2", 2, np.arctan2, "nx_atan2({}, {})", "nx_atan2({}, {})", _angle_slopes, kind="float"),
    Primitive("pow", 2, power, "nx_pow({}, {})", "nx_pow({}, {})", _pow_slopes, 1, simplify=_small_power,
              wgsl_integer="nx_pow_i({}, {})"),
    # A remainder is exact; floordiv is the whole quotient that goes with mod.
    Primitive("fmod", 2, np.fmod, "nx_fmod({}, {})", "nx_fmod({}, {})", lambda y, a, b: (1, -call("trunc", a / b)),
              wgsl_integer="nx_fmod_i({}, {})"),
    Primitive("mod", 2, np.remainder, "nx_mod({}, {})", "nx_mod({}, {})", lambda y, a, b: (1, -call("floordiv", a, b)),
              wgsl_integer="nx_mod_i({}, {})"),
    Primitive("floordiv", 2, np.floor_divide, "nx_floordiv({}, {})", "nx_floordiv({}, {})", _flat,
              wgsl_integer="nx_floordiv_i({}, {})"),
    _rounding("floor", np.floor),
    _rounding("ceil", np.ceil),
    _rounding("round", np.rint),  # half to even
    _rounding("trunc", np.trunc),
    Primitive("isnan", 1, np.isnan, "nx_isnan({})", "nx_isnan({})", _flat, kind="bool", wgsl_integer="({0} != {0})"),
    Primitive("isinf", 1, np.isinf, "nx_isinf({})", "nx_isinf({})", _flat, kind="bool", wgsl_integer="({0} != {0})"),
    _bits("bitand", np.bitwise_and, "({} & {})", "({} & {})", "and"),
    _bits("bitor", np.bitwise_or, "({} | {})", "({} | {})", "or"),
    _bits("bitxor", np.bitwise_xor, "({} ^ {})", "({} ^ {})", "xor"),
    _bits("bitnot", np.invert, "(~{})", "(~{})"),
    _bits("shl", np.left_shift, "nx_shl_i({}, {})", "nx_shl_i({}, {})"),
    _bits("shr", np.right_shift, "nx_shr_i({}, {})", "nx_shr_i({}, {})"),
    Primitive("lt", 2, np.less, "({} < {})", "nx_lt({}, {})", _flat, kind="bool", wgsl_integer="({} < {})"),
    Primitive("le", 2, np.less_equal, "({} <= {})", "nx_le({}, {})", _flat, kind="bool", wgsl_integer="({} <= {})"),
    Primitive("eq", 2, np.equal, "({} == {})", "({} == {})", _flat, kind="bool", simplify=_same_condition),
    Primitive("and", 2, np.logical_and, "({} & {})", "({} & {})", _flat, kind="bool", takes_masks=True),
    Primitive("or", 2, np.logical_or, "({} | {})", "({} | {})", _flat, kind="bool", takes_masks=True),
    Primitive("xor", 2, np.logical_xor, "({} ^ {})", "({} != {})", _flat, kind="bool", takes_masks=True),
    Primitive("not", 1, np.logical_not, "(~{})", "(!{})", lambda y, a: (0,), kind="bool", takes_masks=True,
              c_integer="(!{})", simplify=lambda a: a.args[0] if a.op == "not" else None),
    # A change of dtype. The vectors of a map are all float32, and there it changes nothing.
    Primitive("to_float", 1, lambda a: a if np.asarray(a).dtype.kind == "f" else np.asarray(a, np.float64),
              "nx_to_float({})",
              "f32({})", lambda y, a: (1,), kind="float"),
    Primitive("to_integer", 1, _whole(np.int64), "nx_to_integer({})", "nx_to_integer({})", lambda y, a: (0,),
              kind="integer", c_integer="((long long)({}))", wgsl_integer="({})"),
    Primitive("to_unsigned", 1, _whole(np.uint64), "nx_to_unsigned({})", "nx_to_integer({})", lambda y, a: (0,),
              kind="unsigned", c_integer="((unsigned long long)({}))", wgsl_integer="({})"),
    Primitive("select", 3, choose, "nx_select({}, {}, {})", "select({2}, {1}, {0})",
              lambda y, c, a, b: (0, where(c, 1, 0), where(c, 0, 1))),
)  # fmt: skip

PRIMITIVES.update((row.name, row) for row in _TABLE)
