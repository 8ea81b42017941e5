"""Operators that compare, choose, and combine conditions and bits."""

from __future__ import annotations

import numpy as np

from neurenix.errors import ModelError
from neurenix.frontends.onnx.operator import operator
from neurenix.frontends.onnx.size_arithmetic import compared
from neurenix.tensor import Tensor, full_like, where


@operator("Equal", sizes=compared("equal"))
def equal(a: Tensor, b: Tensor) -> Tensor:
    return a.eq(b)


@operator("Less", sizes=compared("less"))
def less(a: Tensor, b: Tensor) -> Tensor:
    return a < b


@operator("Greater", sizes=compared("less", swapped=True))
def greater(a: Tensor, b: Tensor) -> Tensor:
    return a > b


@operator("LessOrEqual", since=12, sizes=compared("less_equal"))
def less_or_equal(a: Tensor, b: Tensor) -> Tensor:
    return a <= b


@operator("GreaterOrEqual", since=12, sizes=compared("less_equal", swapped=True))
def greater_or_equal(a: Tensor, b: Tensor) -> Tensor:
    return a >= b


@operator("Where", since=9, sizes=lambda condition, x, y: np.where(condition.astype(bool), x, y))
def choose(condition: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return where(condition, x, y)


@operator("And")
def both(a: Tensor, b: Tensor) -> Tensor:
    return a.logical_and(b)


@operator("Or")
def either(a: Tensor, b: Tensor) -> Tensor:
    return a.logical_or(b)


@operator("Xor")
def one_of(a: Tensor, b: Tensor) -> Tensor:
    return a.logical_xor(b)


@operator("Not")
def negation(x: Tensor) -> Tensor:
    return x.logical_not()


@operator("BitwiseAnd", since=18)
def bitwise_and(a: Tensor, b: Tensor) -> Tensor:
    return a.bitwise_and(b)


@operator("BitwiseOr", since=18)
def bitwise_or(a: Tensor, b: Tensor) -> Tensor:
    return a.bitwise_or(b)


@operator("BitwiseXor", since=18)
def bitwise_xor(a: Tensor, b: Tensor) -> Tensor:
    return a.bitwise_xor(b)


@operator("BitwiseNot", since=18)
def bitwise_not(x: Tensor) -> Tensor:
    return x.bitwise_not()


@operator("BitShift", since=11)
def bit_shift(x: Tensor, y: Tensor, *, direction: str) -> Tensor:
    if direction not in ("LEFT", "RIGHT"):
        raise ModelError(f"its attribute 'direction' is {direction[:20]!r}, and is LEFT or RIGHT")
    return x.bitwise_left_shift(y) if direction == "LEFT" else x.bitwise_right_shift(y)


@operator("IsNaN", since=9)
def is_nan(x: Tensor) -> Tensor:
    return x.isnan()


@operator("IsInf", since=10)
def is_inf(x: Tensor, *, detect_negative: bool = True, detect_positive: bool = True) -> Tensor:
    if detect_negative and detect_positive:
        return x.isinf()
    if detect_negative == detect_positive:
        return full_like(x, False, "bool")
    return x.isinf().logical_and(x > 0 if detect_positive else x < 0)
