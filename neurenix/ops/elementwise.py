"""The elementwise rows: a scalar expression each, and an oracle that shares nothing with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from neurenix import expr as ex
from neurenix.dims import Shape
from neurenix.errors import GraphError
from neurenix.expr import Expr
from neurenix.ops import shapes, types
from neurenix.ops.op import REQUIRED, Array, Attrs, Family, Op, pointwise


def _row(name: str, arity: int, expr: Callable[..., Expr], oracle: Callable[..., Array], doc: str, **more: Any) -> Op:
    return Op(name, Family.ELEMENTWISE, doc, arity, shapes.broadcast, oracle, expr=expr, **more)


def _sigmoid(x: Array) -> Array:
    # exp of nothing positive: never too large, and right for large negative x too, where 1 + tanh cancels.
    e = np.exp(-np.abs(x))
    return np.asarray(np.where(x < 0, e, 1) / (1 + e), dtype=np.result_type(x))


def _sample_cast(rng: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
    kinds = ("float32", "int64", "int32", "int8", "uint8", "bool")
    x = rng.uniform(0, 100, (3, 5)).astype(str(rng.choice(kinds)))
    return [x], {"dtype": str(rng.choice(kinds))}


def _map_oracle(*arrays: Array, expr: Expr, dtype: str | None) -> Array:
    return pointwise(expr, arrays, arrays[0].dtype if dtype is None else np.dtype(dtype))


def _map_shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    highest = max(ex.operands_of(attrs["expr"]), default=-1)
    if highest >= len(ins):
        raise GraphError(f"{attrs['expr']!r} reads x{highest}, but there are {len(ins)} operands")
    return shapes.broadcast(ins, attrs)


ROWS = (
    _row("add", 2, lambda a, b: a + b, np.add, "a + b."),
    _row("sub", 2, lambda a, b: a - b, np.subtract, "a - b."),
    _row("mul", 2, lambda a, b: a * b, np.multiply, "a * b."),
    _row("div", 2, lambda a, b: a / b, np.divide, "a / b.", domain=(0.1, 10)),
    _row("maximum", 2, ex.maximum, np.maximum, "The larger of a and b; NaN when either is NaN."),
    _row("minimum", 2, ex.minimum, np.minimum, "The smaller of a and b; NaN when either is NaN."),
    _row("neg", 1, lambda x: -x, np.negative, "-x."),
    _row("abs", 1, ex.absolute, np.abs, "|x|."),
    _row("exp", 1, ex.exp, np.exp, "e to the power x.", domain=(-80, 80)),
    _row("log", 1, ex.log, np.log, "The natural logarithm.", domain=(1e-6, 1e6)),
    _row("sqrt", 1, ex.sqrt, np.sqrt, "The square root.", domain=(1e-6, 1e6)),
    _row("reciprocal", 1, lambda x: 1 / x, np.reciprocal, "1 / x.", domain=(0.1, 10)),
    _row("tanh", 1, ex.tanh, np.tanh, "The hyperbolic tangent."),
    # x < 0 ? 0 : x and not max(x, 0): one instruction everywhere, and a NaN stays a NaN.
    _row("relu", 1, lambda x: ex.where(x < 0, 0, x), lambda x: np.maximum(x, 0), "max(x, 0)."),
    _row("leaky_relu", 1, lambda x, negative_slope: ex.where(x < 0, negative_slope * x, x),
         lambda x, negative_slope: np.maximum(x, 0) + negative_slope * np.minimum(x, 0),
         "x where it is positive, else negative_slope * x.", attrs={"negative_slope": 0.01}),
    _row("sigmoid", 1, lambda x: 1 / (1 + ex.exp(-x)), _sigmoid, "1 / (1 + exp(-x)).", domain=(-80, 80)),
    _row("silu", 1, lambda x: x / (1 + ex.exp(-x)), lambda x: x * _sigmoid(x),
         "x * sigmoid(x), the sigmoid-weighted linear unit.", domain=(-80, 80)),
    Op("cast", Family.ELEMENTWISE, "The same values in another `dtype`; floats are cut off towards zero.", 1,
       shapes.broadcast, lambda x, dtype: x.astype(dtype), dtype=types.attribute, expr=ex.cast,
       attrs={"dtype": REQUIRED}, samples=_sample_cast,
       gradient=lambda g, y, inputs, attrs: (g.cast(inputs[0].dtype.name),)),
    # A fused chain is an op like any other: its expression is an attribute. The compiler makes these, and
    # so does autograd, whose derivative of an elementwise op is one `map`.
    Op("map", Family.ELEMENTWISE, "Any scalar expression `expr` of its inputs, in a `dtype` or the first input's.", -1,
       _map_shape, _map_oracle, dtype=types.mapped, attrs={"expr": REQUIRED, "dtype": None},
       expr=lambda *xs, expr, dtype: expr if dtype == "bool" else ex.number(expr)),
)  # fmt: skip
