"""The rows of activations: functions that a network's layers end with, each with the derivative of its expression."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from neurenix import expr as ex
from neurenix.errors import GraphError
from neurenix.expr import Expr
from neurenix.ops import rectified, types
from neurenix.ops.elementwise import choosing, primitive, row
from neurenix.ops.functions import error_function
from neurenix.ops.op import Array, Attrs

_ALPHA, _SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946  # selu's, from its paper


def _sigmoid(x: Array) -> Array:
    # exp of nothing positive: never too large, and right for large negative x too, where 1 + tanh cancels.
    e = np.exp(-np.abs(x))
    return np.asarray(np.where(x < 0, e, 1) / (1 + e), dtype=np.result_type(x))


def _elu(x: Expr, alpha: float) -> Expr:
    return ex.where(x > 0, x, alpha * ex.expm1(x))


def _gelu(x: Expr, approximate: str) -> Expr:
    if approximate == "none":
        return 0.5 * x * (1 + ex.erf(x * math.sqrt(0.5)))
    if approximate == "tanh":
        return 0.5 * x * (1 + ex.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    raise GraphError(f"op 'gelu': approximate is 'none' or 'tanh', got {approximate!r}")


def _gelu_oracle(x: Array, approximate: str) -> Array:
    if approximate == "none":
        return np.asarray(x * (1 + error_function(x / np.sqrt(2, dtype=np.result_type(x)))) / 2)
    return np.asarray(x * _sigmoid(2 * np.sqrt(2 / np.pi) * (x + 0.044715 * np.power(x, 3))))


def _softplus(x: Expr, beta: float, threshold: float) -> Expr:
    return ex.where(beta * x > threshold, x, ex.log1p(ex.exp(beta * x)) * (1 / beta))


def _softplus_oracle(x: Array, beta: float, threshold: float) -> Array:
    return np.where(beta * x > threshold, x, np.logaddexp(0, beta * x) / beta)


def _log_sigmoid(x: Expr) -> Expr:
    return ex.where(x < 0, x - ex.log1p(ex.exp(x)), -ex.log1p(ex.exp(-x)))


def _limited(x: Expr, low: float, high: float) -> Expr:
    # At either limit it is flat already: PyTorch's gradient is 0 there. A NaN stays one.
    return ex.where(ex.call("le", x, low), low, ex.where(ex.call("le", high, x), high, x))


def _hard_sigmoid(x: Expr, alpha: float, beta: float) -> Expr:
    return _limited(alpha * x + beta, 0, 1)


def _relu_gradient(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any]:
    return (g.apply("relu_gradient", y),)


_sigmoid_expr = primitive("sigmoid")

ROWS = (
    row("sigmoid", 1, _sigmoid_expr, _sigmoid, "1 / (1 + exp(-x)).", dtype=types.floating, domain=(-80, 80)),
    row("log_sigmoid", 1, _log_sigmoid, lambda x: -np.logaddexp(0, -x), "log(sigmoid(x)).", dtype=types.floating,
        domain=(-80, 80)),
    # x < 0 ? 0 : x and not max(x, 0): one instruction everywhere, and a NaN stays a NaN. At 0 its own slope would be 1.
    row("relu", 1, lambda x: ex.where(x < 0, 0, x), lambda x: np.maximum(x, 0), "max(x, 0).", dtype=types.number,
        compute=rectified.relu, gradient=_relu_gradient),
    row("relu_gradient", 2, lambda g, y: ex.where(ex.equal(y, 0), 0, g), lambda g, y: np.where(y == 0, 0, g),
        "g where y, which relu made, is not 0; else 0.", dtype=types.floating, compute=rectified.relu_gradient),
    row("relu6", 1, lambda x: _limited(x, 0, 6), lambda x: np.minimum(np.maximum(x, 0), 6), "x between 0 and 6.",
        dtype=types.number),
    row("leaky_relu", 1, lambda x, negative_slope: ex.where(x > 0, x, negative_slope * x),
        lambda x, negative_slope: np.maximum(x, 0) + negative_slope * np.minimum(x, 0),
        "x where it is positive, else negative_slope * x.", attrs={"negative_slope": 0.01}, dtype=types.floating),
    row("prelu", 2, lambda x, a: ex.where(x > 0, x, a * x), lambda x, a: np.where(x > 0, x, a * x),
        "x where it is positive, else a * x with a learnt slope.", dtype=types.floating),
    row("elu", 1, _elu, lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
        "x where it is positive, else alpha * (exp(x) - 1).", attrs={"alpha": 1.0}, dtype=types.floating),
    row("selu", 1, lambda x: _SCALE * _elu(x, _ALPHA),
        lambda x: _SCALE * (np.maximum(x, 0) + _ALPHA * np.expm1(np.minimum(x, 0))),
        "elu with the alpha and the scale that keep mean 0 and variance 1.", dtype=types.floating),
    row("celu", 1, lambda x, alpha: ex.where(x > 0, x, alpha * ex.expm1(x * (1 / alpha))),
        lambda x, alpha: np.maximum(x, 0) + alpha * np.expm1(np.minimum(x, 0) / alpha),
        "x where it is positive, else alpha * (exp(x / alpha) - 1).", attrs={"alpha": 1.0}, dtype=types.floating),
    row("gelu", 1, _gelu, _gelu_oracle, "x times the normal distribution up to x; with erf, or its `tanh` formula.",
        attrs={"approximate": "none"}, dtype=types.floating, samples=choosing(1, approximate=("none", "tanh"))),
    row("silu", 1, lambda x: x * _sigmoid_expr(x), lambda x: x * _sigmoid(x),
        "x * sigmoid(x), the sigmoid-weighted linear unit.", dtype=types.floating, domain=(-80, 80)),
    row("mish", 1, lambda x: x * ex.tanh(_softplus(x, 1, 20)), lambda x: x * np.tanh(np.logaddexp(0, x)),
        "x * tanh(softplus(x)).", dtype=types.floating, domain=(-80, 80)),
    row("softplus", 1, _softplus, _softplus_oracle,
        "log(1 + exp(beta * x)) / beta; x itself where beta * x is beyond threshold.",
        attrs={"beta": 1.0, "threshold": 20.0}, dtype=types.floating, domain=(-80, 80)),
    row("softsign", 1, lambda x: x / (1 + ex.absolute(x)), lambda x: x / (1 + np.abs(x)), "x / (1 + |x|).",
        dtype=types.floating),
    row("hard_sigmoid", 1, _hard_sigmoid, lambda x, alpha, beta: np.minimum(np.maximum(alpha * x + beta, 0), 1),
        "alpha * x + beta between 0 and 1.", attrs={"alpha": 1 / 6, "beta": 0.5}, dtype=types.floating),
    row("hard_swish", 1, lambda x: x * _hard_sigmoid(x, 1 / 6, 0.5),
        lambda x: x * np.minimum(np.maximum(x / 6 + 0.5, 0), 1), "x * hard_sigmoid(x).", dtype=types.floating),
    row("hard_tanh", 1, lambda x, min_val, max_val: _limited(x, min_val, max_val),
        lambda x, min_val, max_val: np.minimum(np.maximum(x, min_val), max_val),
        "x between min_val and max_val.", attrs={"min_val": -1.0, "max_val": 1.0}, dtype=types.floating,
        samples=choosing(1, min_val=(-1.0, -0.25), max_val=(0.5, 1.0))),
    row("threshold", 1, lambda x, threshold, value: ex.where(ex.call("le", x, threshold), value, x),
        lambda x, threshold, value: np.asarray(np.where(x <= threshold, value, x)),
        "x where it is beyond threshold, else value.", attrs={"threshold": 0.0, "value": 0.0}, dtype=types.floating),
)  # fmt: skip
