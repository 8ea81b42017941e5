"""Operators on quantised integers: rounded half to even and saturated, exact before that."""

from __future__ import annotations

import numpy as np

from neurenix.dims import Dim
from neurenix.dtypes import DTYPES, DType
from neurenix.errors import ModelError, UnsupportedError
from neurenix.frontends.onnx import integer_products
from neurenix.frontends.onnx.operator import operator
from neurenix.frontends.onnx.operators.convolution import convolution_window, convolved
from neurenix.frontends.onnx.tensors import element_type
from neurenix.frontends.onnx.windows import Numbers
from neurenix.ops.shapes import axis_of
from neurenix.tensor import Tensor

_QUANTISED = ("uint8", "int8", "uint16", "int16")


@operator("QuantizeLinear", since=10)
def quantize_linear(
    x: Tensor, y_scale: Tensor, y_zero_point: Tensor | None = None, *,
    axis: int = 1, block_size: int = 0, output_dtype: int = 0, precision: int = 0, saturate: bool = True,
) -> Tensor:  # fmt: skip
    """`saturate` is for float8 alone: integers always stop at their limits."""
    to = y_zero_point.dtype if y_zero_point is not None else DTYPES["uint8"]
    if output_dtype:
        named = element_type(output_dtype, "its output")
        if y_zero_point is not None and named != to:
            raise ModelError(f"its output_dtype is {named}, and its zero point {to}")
        to = named
    if precision:
        kind = element_type(precision, "its precision").name
        x, y_scale = x.cast(kind), y_scale.cast(kind)
    scale = _along(y_scale, x, axis, block_size)
    zero = None if y_zero_point is None else _along(y_zero_point, x, axis, block_size)
    return quantized(x.as_float(), scale, zero, to)


@operator("DequantizeLinear", since=10)
def dequantize_linear(
    x: Tensor, x_scale: Tensor, x_zero_point: Tensor | None = None, *,
    axis: int = 1, block_size: int = 0, output_dtype: int = 0,
) -> Tensor:  # fmt: skip
    if x_zero_point is not None and x_zero_point.dtype != x.dtype:
        raise ModelError(f"its zero point is {x_zero_point.dtype}, and its input {x.dtype}")
    to = element_type(output_dtype, "its output") if output_dtype else x_scale.dtype
    scale = _along(x_scale, x, axis, block_size)
    zero = None if x_zero_point is None else _along(x_zero_point, x, axis, block_size)
    return (integer_products.less(x, zero) * scale.cast("float32")).type(to)


@operator("MatMulInteger")
def matmul_integer(
    a: Tensor, b: Tensor, a_zero_point: Tensor | None = None, b_zero_point: Tensor | None = None
) -> Tensor:
    rows = None if a_zero_point is None else _by_row(a_zero_point)
    return integer_products.product(integer_products.less(a, rows), integer_products.less(b, b_zero_point))


@operator("QLinearMatMul")
def qlinear_matmul(
    a: Tensor, a_scale: Tensor, a_zero_point: Tensor, b: Tensor, b_scale: Tensor, b_zero_point: Tensor,
    y_scale: Tensor, y_zero_point: Tensor,
) -> Tensor:  # fmt: skip
    sums = matmul_integer(a, b, a_zero_point, b_zero_point).cast("float32")
    scale = _by_row(a_scale).cast("float32") * b_scale.cast("float32") / _by_row(y_scale).cast("float32")
    return _rounded(sums * scale, _by_row(y_zero_point), y_zero_point.dtype)


@operator("ConvInteger")
def conv_integer(
    x: Tensor, w: Tensor, x_zero_point: Tensor | None = None, w_zero_point: Tensor | None = None, *,
    auto_pad: str = "NOTSET", dilations: Numbers = None, group: int = 1, kernel_shape: Numbers = None,
    pads: Numbers = None, strides: Numbers = None,
) -> Tensor:  # fmt: skip
    """The image is padded with its zero point, which is 0 once that is taken from it."""
    window = convolution_window(x, w, auto_pad, dilations, group, kernel_shape, pads, strides)
    by_output = None if w_zero_point is None else _by_channel(w_zero_point, w, 0)
    return integer_products.convolution(
        lambda image, weight: convolved(image, weight, None, window, group),
        integer_products.less(x, x_zero_point), integer_products.less(w, by_output), group,
    )  # fmt: skip


@operator("QLinearConv")
def qlinear_conv(
    x: Tensor, x_scale: Tensor, x_zero_point: Tensor, w: Tensor, w_scale: Tensor, w_zero_point: Tensor,
    y_scale: Tensor, y_zero_point: Tensor, b: Tensor | None = None, *,
    auto_pad: str = "NOTSET", dilations: Numbers = None, group: int = 1, kernel_shape: Numbers = None,
    pads: Numbers = None, strides: Numbers = None,
) -> Tensor:  # fmt: skip
    sums = conv_integer(
        x, w, x_zero_point, w_zero_point, auto_pad=auto_pad, dilations=dilations, group=group,
        kernel_shape=kernel_shape, pads=pads, strides=strides,
    )  # fmt: skip
    if b is not None:
        sums = sums + _by_channel(b, sums, 1)
    scale = x_scale * w_scale / y_scale
    return _rounded(sums.cast("float32") * _by_channel(scale, sums, 1), y_zero_point, y_zero_point.dtype)


def quantized(x: Tensor, scale: Tensor, zero_point: Tensor | None, to: DType) -> Tensor:
    """Return round(x / scale) + zero point within the limits of an integer dtype."""
    return _rounded(x / scale, zero_point, to)


def _rounded(x: Tensor, zero_point: Tensor | None, to: DType) -> Tensor:
    if to.name not in _QUANTISED:
        raise UnsupportedError(f"it makes {to}, which is not supported; supported are {', '.join(_QUANTISED)}")
    x = x.cast("float32").round() if x.dtype.name == "float16" else x.round()
    if zero_point is not None:
        x = x + zero_point.cast(x.dtype)
    limits = np.iinfo(to.name)
    return x.clamp(float(limits.min), float(limits.max)).cast(to)


def _along(given: Tensor, x: Tensor, axis: int, block_size: int) -> Tensor:
    """Return a scale or zero point so that it broadcasts: one for all, for each place of an axis, or for a block."""
    if given.ndim == 0 or given.shape == (1,):
        return given.reshape(()) if given.ndim else given
    at = axis_of(axis, x.ndim)
    if given.ndim == 1 and not block_size:
        return _by_channel(given, x, at)
    n, count = x.shape[at], given.shape[at] if given.ndim == x.ndim else 0
    if block_size < 1 or isinstance(n, Dim) or -(-n // block_size) != count:
        raise ModelError(
            f"its scale or zero point {list(given.shape)} is none for an input {list(x.shape)} in blocks of "
            f"{block_size} along axis {axis}"
        )
    each = given.repeat_interleave(block_size, at) if block_size <= n else given.repeat_interleave(n, at)
    return each.narrow(at, 0, n)


def _by_channel(given: Tensor, x: Tensor, axis: int) -> Tensor:
    """Return a vector that lies along one axis of x."""
    if given.ndim == 0 or given.shape == (1,):
        return given.reshape(())
    if given.shape != (x.shape[axis],):
        raise ModelError(f"it has {list(given.shape)} numbers for an axis of {x.shape[axis]}")
    return given.reshape((-1, *(1,) * (x.ndim - 1 - axis)))


def _by_row(given: Tensor) -> Tensor:
    """Return a vector of one number for each row as a column."""
    return given.reshape((-1, 1)) if given.ndim == 1 and given.shape != (1,) else given
