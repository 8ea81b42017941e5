"""Operators that compute each element alone: arithmetic, roundings, functions. All of them broadcast as NumPy does."""

from __future__ import annotations

import functools

import numpy as np

from neurenix.frontends.onnx import size_arithmetic as sizes
from neurenix.frontends.onnx.operator import Call, operator
from neurenix.frontends.onnx.symbolic import Array
from neurenix.tensor import Tensor

_FUNCTIONS = {
    "Acos": Tensor.acos, "Acosh": Tensor.acosh, "Asin": Tensor.asin, "Asinh": Tensor.asinh, "Atan": Tensor.atan,
    "Atanh": Tensor.atanh, "Cos": Tensor.cos, "Cosh": Tensor.cosh, "Erf": Tensor.erf, "Exp": Tensor.exp,
    "Log": Tensor.log, "Reciprocal": Tensor.reciprocal, "Sigmoid": Tensor.sigmoid, "Sign": Tensor.sign,
    "Sin": Tensor.sin, "Sinh": Tensor.sinh, "Softsign": Tensor.softsign, "Sqrt": Tensor.sqrt, "Tan": Tensor.tan,
    "Tanh": Tensor.tanh,
}  # fmt: skip


@operator(*_FUNCTIONS)
def function(call: Call, x: Tensor) -> Tensor:
    return _FUNCTIONS[call.op_type](x)


@operator("Abs", sizes=sizes.elementwise(sizes.magnitude))
def absolute(x: Tensor) -> Tensor:
    return x.abs()


@operator("Neg", sizes=np.negative)
def neg(x: Tensor) -> Tensor:
    return -x


@operator("Floor", sizes=sizes.elementwise(sizes.floor))
def floor(x: Tensor) -> Tensor:
    return x.floor()


@operator("Ceil", sizes=sizes.elementwise(sizes.ceil))
def ceil(x: Tensor) -> Tensor:
    return x.ceil()


@operator("Round", since=11, sizes=sizes.elementwise(sizes.whole))
def round_half_to_even(x: Tensor) -> Tensor:
    return x.round()


@operator("Add", sizes=np.add)
def add(a: Tensor, b: Tensor) -> Tensor:
    return a + b


@operator("Sub", sizes=np.subtract)
def sub(a: Tensor, b: Tensor) -> Tensor:
    return a - b


@operator("Mul", sizes=np.multiply)
def mul(a: Tensor, b: Tensor) -> Tensor:
    return a * b


@operator("Div", sizes=sizes.elementwise(sizes.divide))
def div(a: Tensor, b: Tensor) -> Tensor:
    """Of integers the quotient is cut off towards zero."""
    return a / b if a.dtype.numpy.kind == "f" else a.div(b, rounding_mode="trunc")


def _remainder_of_sizes(a: Array, b: Array, *, fmod: bool = False) -> Array:
    return sizes.elementwise(sizes.remainder)(a, b)


@operator("Mod", since=10, sizes=_remainder_of_sizes)
def mod(a: Tensor, b: Tensor, *, fmod: bool = False) -> Tensor:
    """With the divisor's sign, or with `fmod` the dividend's."""
    return a.fmod(b) if fmod else a % b


@operator("Pow")
def power(x: Tensor, y: Tensor) -> Tensor:
    """The base's dtype is the result's, whatever the exponent's is."""
    if x.dtype.numpy.kind != "f" and y.dtype.numpy.kind == "f":
        return (x.cast("float64") ** y.cast("float64")).cast(x.dtype)
    if y.traced is None and y.ndim == 0 and x.dtype.numpy.kind == "f":
        return x ** float(y)
    return x ** y.type(x.dtype)


@operator("Sum")
def total(data_0: Tensor, *more: Tensor) -> Tensor:
    return functools.reduce(lambda a, b: a + b, more, data_0)


@operator("Mean")
def mean(data_0: Tensor, *more: Tensor) -> Tensor:
    return total(data_0, *more) / (1 + len(more))


@operator("Max", sizes=sizes.folded(sizes.larger))
def largest(data_0: Tensor, *more: Tensor) -> Tensor:
    return functools.reduce(Tensor.maximum, more, data_0)


@operator("Min", sizes=sizes.folded(sizes.smaller))
def smallest(data_0: Tensor, *more: Tensor) -> Tensor:
    return functools.reduce(Tensor.minimum, more, data_0)
