"""The rows that compare, combine conditions and bits, choose by a condition, and change the dtype."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from neurenix import expr as ex
from neurenix.expr import Expr
from neurenix.expr.choosing import choose
from neurenix.ops import types
from neurenix.ops.elementwise import primitive, row
from neurenix.ops.op import REQUIRED, Array, Attrs, Op

_WHOLE = ("int64", "int32", "int8", "uint8")


def _comparison(name: str, expr: Callable[..., Expr], oracle: Callable[..., Array], doc: str, arity: int = 2) -> Op:
    return row(name, arity, expr, oracle, doc, dtype=types.boolean)


def _sample_bits(arity: int, high: int) -> Callable[[np.random.Generator], tuple[list[Any], dict[str, Any]]]:
    def samples(rng: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
        kind = str(rng.choice(_WHOLE))
        low = 0 if kind == "uint8" else -100
        x = rng.integers(low, 100, (3, 5)).astype(kind)
        return [x, *(rng.integers(0, high, (5,)).astype(kind) for _ in range(arity - 1))], {}

    return samples


def _sample_cast(rng: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
    kinds = ("float32", "int64", "int32", "int8", "uint8", "bool")
    x = rng.uniform(0, 100, (3, 5)).astype(str(rng.choice(kinds)))
    return [x], {"dtype": str(rng.choice(kinds))}


def _choice_slopes(g: Any, y: Any, inputs: Sequence[Any], attrs: Attrs) -> Sequence[Any]:
    condition, a, b = inputs
    return None, condition.apply("where", g, 0.0).sum_to(a.shape), condition.apply("where", 0.0, g).sum_to(b.shape)


ROWS = (
    _comparison("eq", ex.equal, np.equal, "Whether a = b; false for NaN."),
    _comparison("ne", lambda a, b: ex.negation(ex.equal(a, b)), np.not_equal, "Whether a and b differ; true for NaN."),
    _comparison("lt", lambda a, b: a < b, np.less, "Whether a < b; false for NaN, as in all that follow."),
    _comparison("le", primitive("le"), np.less_equal, "Whether a <= b."),
    _comparison("gt", lambda a, b: b < a, np.greater, "Whether a > b."),
    _comparison("ge", lambda a, b: ex.call("le", b, a), np.greater_equal, "Whether a >= b."),
    _comparison("logical_and", ex.both, np.logical_and, "Whether a and b are both not 0."),
    _comparison("logical_or", primitive("or"), np.logical_or, "Whether a or b is not 0."),
    _comparison("logical_xor", primitive("xor"), np.logical_xor, "Whether just one of a and b is not 0."),
    _comparison("logical_not", ex.negation, np.logical_not, "Whether x is 0.", 1),
    _comparison("isnan", primitive("isnan"), np.isnan, "Whether x is NaN.", 1),
    _comparison("isinf", primitive("isinf"), np.isinf, "Whether x is infinite.", 1),
    _comparison("isfinite", lambda x: ex.negation(ex.call("or", ex.call("isnan", x), ex.call("isinf", x))),
                np.isfinite, "Whether x is neither infinite nor NaN.", 1),
    row("bitwise_and", 2, primitive("bitand"), np.bitwise_and, "The bits that a and b share.", dtype=types.integer,
        domain=(-100, 100)),
    row("bitwise_or", 2, primitive("bitor"), np.bitwise_or, "The bits that a or b has.", dtype=types.integer,
        domain=(-100, 100)),
    row("bitwise_xor", 2, primitive("bitxor"), np.bitwise_xor, "The bits that just one of a and b has.",
        dtype=types.integer, domain=(-100, 100)),
    row("bitwise_not", 1, primitive("bitnot"), np.invert, "The bits that x has not; for bool see logical_not.",
        dtype=types.whole, samples=_sample_bits(1, 0)),
    row("bitwise_left_shift", 2, primitive("shl"), np.left_shift, "a * 2 ** b, as far as the dtype holds it.",
        dtype=types.whole, samples=_sample_bits(2, 9)),
    row("bitwise_right_shift", 2, primitive("shr"), np.right_shift, "a // 2 ** b.", dtype=types.whole,
        samples=_sample_bits(2, 9)),
    row("where", 3, ex.where, np.where, "a where the condition holds, else b.", dtype=types.chosen,
        compute=choose, gradient=_choice_slopes),
    row("cast", 1, ex.cast, lambda x, dtype: x.astype(dtype),
        "The same values in another `dtype`; floats are cut off towards zero.", dtype=types.attribute,
        attrs={"dtype": REQUIRED}, samples=_sample_cast,
        gradient=lambda g, y, inputs, attrs: (g.cast(inputs[0].dtype.name),)),
)  # fmt: skip
