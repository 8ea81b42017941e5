"""The rows of arithmetic: sums, products, powers, remainders, roundings and limits, on floats and whole numbers."""

from __future__ import annotations

import numpy as np

from neurenix import expr as ex
from neurenix.expr import Expr
from neurenix.expr.special import power
from neurenix.ops import types
from neurenix.ops.elementwise import choosing, primitive, row
from neurenix.ops.op import Array, Op


def _sign(x: Expr) -> Expr:
    return ex.where(x > 0, 1, ex.where(x < 0, -1, x))  # a NaN stays one


def _remainder(a: Expr, b: Expr, fmod: bool) -> Expr:
    return ex.call("fmod" if fmod else "mod", a, b)


def _clip(x: Expr, min: float | None, max: float | None) -> Expr:
    # As comparisons and not as maximum and minimum: one instruction each, and a NaN stays one.
    raised = x if min is None else ex.where(x < min, min, x)
    return raised if max is None else ex.where(raised > max, max, raised)


def _clip_oracle(x: Array, min: float | None, max: float | None) -> Array:
    return np.asarray(x) if min is None and max is None else np.clip(x, min, max)


def _rounding(name: str, numpy: np.ufunc, doc: str) -> Op:
    def oracle(x: Array) -> Array:
        return np.asarray(numpy(x)) if np.issubdtype(x.dtype, np.floating) else x

    return row(name, 1, primitive(name), oracle, doc, dtype=types.number)


ROWS = (
    row("add", 2, lambda a, b: a + b, np.add, "a + b."),
    row("sub", 2, lambda a, b: a - b, np.subtract, "a - b.", dtype=types.number),
    row("mul", 2, lambda a, b: a * b, np.multiply, "a * b."),
    row("div", 2, lambda a, b: a / b, np.divide, "a / b.", dtype=types.floating, domain=(0.1, 10)),
    row("floor_divide", 2, primitive("floordiv"), np.floor_divide,
        "The largest whole number not above a / b, as Python's `//`; 0 for a whole number divided by 0.",
        dtype=types.number, domain=(0.1, 10)),
    row("mod", 2, _remainder, lambda a, b, fmod: np.fmod(a, b) if fmod else np.remainder(a, b),
        "What a leaves when divided by b, with b's sign as Python's `%`, or with a's as C's `fmod`.",
        dtype=types.number, attrs={"fmod": False}, domain=(0.1, 10), samples=choosing(2, fmod=(False, True))),
    row("pow", 2, primitive("pow"), power, "a to the power b, with the special cases of C99.", dtype=types.number,
        domain=(0.1, 10)),
    row("maximum", 2, ex.maximum, np.maximum, "The larger of a and b; NaN when either is NaN."),
    row("minimum", 2, ex.minimum, np.minimum, "The smaller of a and b; NaN when either is NaN."),
    row("clip", 1, _clip, _clip_oracle, "x, but no less than min and no more than max; None is no limit.",
        dtype=types.number, attrs={"min": None, "max": None},
        samples=choosing(1, min=(None, -1.5, 0.0, 4.0), max=(None, 1.0, 2.5))),
    row("neg", 1, lambda x: -x, np.negative, "-x.", dtype=types.number),
    row("abs", 1, ex.absolute, np.abs, "|x|.", dtype=types.number),
    row("sign", 1, _sign, np.sign, "1, 0 or -1, as x is positive, zero or negative.", dtype=types.number,
        gradient=lambda g, y, inputs, attrs: (None,)),  # the expression's own slope would be 1 at 0
    _rounding("floor", np.floor, "The largest whole number not above x."),
    _rounding("ceil", np.ceil, "The smallest whole number not below x."),
    _rounding("round", np.rint, "The nearest whole number, the even one of two."),
    _rounding("trunc", np.trunc, "x cut off towards zero."),
    row("square", 1, lambda x: x * x, np.square, "x * x.", dtype=types.number),
    row("sqrt", 1, ex.sqrt, np.sqrt, "The square root.", dtype=types.floating, domain=(1e-6, 1e6)),
    row("rsqrt", 1, lambda x: 1 / ex.sqrt(x), lambda x: np.reciprocal(np.sqrt(x)),
        "1 / sqrt(x).", dtype=types.floating, domain=(1e-6, 1e6)),
    row("reciprocal", 1, lambda x: 1 / x, np.reciprocal, "1 / x.", dtype=types.floating, domain=(0.1, 10)),
)  # fmt: skip
