"""Operators that change the dtype. CastLike is expanded from ONNX's body, to Cast."""

from __future__ import annotations

from neurenix.errors import ModelError, UnsupportedError
from neurenix.frontends.onnx import size_arithmetic as sizes
from neurenix.frontends.onnx.operator import operator
from neurenix.frontends.onnx.symbolic import Array, Value
from neurenix.frontends.onnx.tensors import element_type
from neurenix.tensor import Tensor


def _cast_sizes(array: Array, *, to: int, saturate: bool = True, round_mode: str = "up") -> Value:
    return sizes.cast(array, element_type(to, "its attribute 'to'").name)


@operator("Cast", since=6, sizes=_cast_sizes)
def cast(input: Tensor, *, to: int, saturate: bool = True, round_mode: str = "up") -> Tensor:
    """`saturate` and `round_mode` are about floats of 8 bits, which are not supported."""
    return input.type(element_type(to, "its attribute 'to'"))


@operator("BitCast", since=26)
def bit_cast(input: Tensor, *, to: int) -> Tensor:
    """The same bits as another dtype of as many, for constants."""
    wanted = element_type(to, "its attribute 'to'")
    if wanted.size != input.dtype.size:
        raise ModelError(f"{input.dtype} has another size than {wanted}, and its bits cannot be one")
    if wanted == input.dtype:
        return input
    if input.traced is not None:
        raise UnsupportedError("the bits of numbers that the model computes cannot be looked at: use Cast")
    return Tensor(input.numpy().view(wanted.numpy))
