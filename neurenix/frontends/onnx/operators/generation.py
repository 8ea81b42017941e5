"""Operators that make tensors from nothing but sizes: Constant, ConstantOfShape, EyeLike, Range."""

from __future__ import annotations

import math

import numpy as np

from neurenix import expr as ex
from neurenix.dims import Size
from neurenix.errors import ModelError, UnsupportedError
from neurenix.frontends.onnx.limits import affordable
from neurenix.frontends.onnx.operator import Constant, Sizes, operator
from neurenix.frontends.onnx.ratio import Ratio
from neurenix.frontends.onnx.size_arithmetic import larger
from neurenix.frontends.onnx.symbolic import Value, all_sizes, as_objects, materialized
from neurenix.frontends.onnx.tensors import element_type
from neurenix.tensor import Tensor, arange, full
from neurenix.tensor.limits import check_size


@operator("Constant")
def constant(
    *,
    value: Constant | None = None,
    value_float: float | None = None,
    value_floats: tuple[float, ...] | None = None,
    value_int: int | None = None,
    value_ints: tuple[int, ...] | None = None,
) -> Tensor:
    if value is not None:
        return Tensor(value)
    floats = value_float if value_float is not None else value_floats
    if floats is not None:
        return Tensor(np.array(floats, np.float32))
    integers = value_int if value_int is not None else value_ints
    if integers is None:
        raise ModelError("it has no value, or one of a kind that is not supported")
    return Tensor(np.array(integers, np.int64))


@operator("ConstantOfShape", since=9)
def constant_of_shape(input: Sizes, *, value: Constant | None = None) -> Tensor:
    fill = np.zeros(1, np.float32) if value is None else value
    if fill.size != 1:
        raise ModelError(f"its attribute 'value' has {fill.size} elements, and must have one")
    return full(affordable(tuple(input)), fill.reshape(())[()], dtype=str(fill.dtype))


@operator("EyeLike", since=9)
def eye_like(input: Value, *, dtype: int | None = None, k: int = 0) -> Tensor:
    if len(input.shape) != 2:
        raise ModelError(f"it makes a matrix like one, and its input has the shape {list(input.shape)}")
    of = input.dtype if dtype is None else element_type(dtype, "its attribute 'dtype'")
    rows, columns = (arange(n) for n in affordable(tuple(input.shape)))
    return rows.unsqueeze(1).map(ex.call("eq", ex.operand(0) + k, ex.operand(1)), columns, dtype="bool").type(of)


@operator("Range", since=11)
def count_up(start: Value, limit: Value, delta: Value, *, stash_type: int = 1) -> Tensor:
    """Written here, since ONNX's body is a Loop with one turn for each number."""
    if all_sizes(start, limit, delta):
        return _between_sizes(start, *(_size(v) for v in (start, limit, delta)))
    if any(not isinstance(v, Tensor) or v.traced for v in (start, limit, delta)):
        raise UnsupportedError(
            "it counts between numbers that must be known when the model is built, and depend on the model's data: "
            "fix them with constants={…} if they are inputs of the model"
        )
    first, end, step = (np.asarray(v.numpy()).reshape(()) for v in (start, limit, delta) if isinstance(v, Tensor))
    if step == 0 or not np.isfinite([first, end, step]).all():
        raise ModelError(f"it counts from {first} to {end} by steps of {step}")
    a, b, c = first.item(), end.item(), step.item()
    count = max(0, math.ceil((b - a) / c) if first.dtype.kind == "f" else -((a - b) // c))
    check_size(affordable((count,)), 8)
    return Tensor((first + np.arange(count).astype(first.dtype) * step).astype(first.dtype))


def _between_sizes(start: Value, first: Size, end: Size, step: Size) -> Tensor:
    if not isinstance(step, int) or step == 0:
        raise UnsupportedError(f"it counts by steps of '{step}': the step must be a number, and not 0")
    distance = end - first if step > 0 else first - end
    count = larger((distance + (abs(step) - 1)) // abs(step), 0)
    assert not isinstance(count, Ratio)
    places = arange(affordable((count,))[0], dtype=start.dtype)
    places = places if step == 1 else places * step
    return places if first == 0 else places + materialized(start)


def _size(value: Value) -> Size:
    """Return the one whole number of a value."""
    numbers = as_objects(value).reshape(-1)
    whole = numbers[0] if len(numbers) == 1 else None
    if isinstance(whole, Ratio):
        whole = whole.top if whole.bottom == 1 else None
    if whole is None:
        raise UnsupportedError("it counts between numbers that are not whole, and depend on symbolic sizes")
    size: Size = whole
    return size
