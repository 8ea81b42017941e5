"""Numbers that depend on symbolic dimensions: what Shape returns, and the arithmetic that models do with it.

An ONNX model computes shapes with ordinary operators: Shape, Gather, Concat, Mul. Here such a value is a NumPy array
of objects, each an integer or a Dim, or a Ratio where the model calls it a float, so that NumPy itself does the moving
and the sums, exactly. `size_arithmetic` has what NumPy cannot do to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Union

import numpy as np

from neurenix.dims import Dim, Ranges, Shape, Size, bounds
from neurenix.dtypes import DType, dtype
from neurenix.frontends.onnx.ratio import Ratio
from neurenix.graph.builder import active_builder
from neurenix.tensor import Tensor, stack

Array = np.ndarray[Any, Any]

# A shape has a few sizes. What has more is data, and is computed at run time.
MOST_SIZES = 256


@dataclass(frozen=True, eq=False)
class Symbolic:
    """An array of sizes (`int | Dim`), or of Ratios for a dtype of floats. `dtype` is what ONNX takes it for."""

    array: Array
    dtype: DType

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)


Value = Union[Tensor, Symbolic]


def symbolic(sizes: Shape | Array, of: str = "int64") -> Value:
    """Return sizes as a value: an ordinary constant where none of them is symbolic."""
    array = np.asarray(sizes, dtype=object)
    if not any(isinstance(s, Dim) or (isinstance(s, Ratio) and isinstance(s.top, Dim)) for s in array.flat):
        numbers = [float(s) if isinstance(s, Ratio) else s for s in array.flat]
        return Tensor(np.array(numbers, dtype(of).numpy).reshape(array.shape))
    return Symbolic(array, dtype(of))


def as_objects(value: Value) -> Array:
    """Return the numbers of a symbolic value or a constant as objects. Raises NotExact for floats of no use."""
    if isinstance(value, Symbolic):
        return value.array
    objects = value.numpy().astype(object)
    if value.dtype.numpy.kind == "f":
        for at, number in np.ndenumerate(objects):
            objects[at] = Ratio.of(number, value.dtype.numpy)
    return objects


def all_sizes(*values: Value | None) -> bool:
    """Say whether these are all known or symbolic, at least one of them symbolic, and none longer than shapes are."""
    given = [v for v in values if v is not None]
    kinds = "iubf" if any(isinstance(v, Symbolic) and v.dtype.numpy.kind == "f" for v in given) else "iub"
    for v in given:
        if not isinstance(v, Symbolic) and (
            v.traced is not None or v.dtype.numpy.kind not in kinds or v.numpy().size > MOST_SIZES
        ):
            return False
    return any(isinstance(v, Symbolic) for v in given)


def ranges() -> Ranges:
    """Return the ranges of the dims of the model that is being read."""
    builder = active_builder()
    assert builder is not None, "symbolic sizes exist only while a model is being read"
    return builder.dims


def materialized(value: Value) -> Tensor:
    """Return the tensor that a symbolic value is at run time."""
    if isinstance(value, Tensor):
        return value
    parts = [_at_run_time(s, value.dtype.name) for s in value.array.flat]
    if not value.shape:
        return parts[0]
    return (stack(parts) if len(parts) > 1 else parts[0]).reshape(value.shape)


def number(size: Size) -> Tensor:
    """Return a size as the int64 tensor of no axes that it is at run time."""
    return _at_run_time(size, "int64")


def _at_run_time(number: Size | Ratio, of: str) -> Tensor:
    builder = active_builder()
    assert builder is not None, "symbolic sizes exist only while a model is being read"
    if isinstance(number, Ratio):
        top = _at_run_time(number.top, of)
        return top if number.bottom == 1 else top / number.bottom
    if isinstance(number, Dim):
        return Tensor(builder.add("dimension", [], {"size": number, "dtype": of}))
    return Tensor(number, of)


def decided(relation: str, left: Size, right: Size, ranges: Ranges) -> bool | None:
    """Say whether `left relation right` holds for all dims in their ranges; None where it depends on them."""
    low, high = bounds(right - left, ranges)
    answers: Mapping[str, tuple[bool, bool]] = {
        "equal": (low == high == 0, low > 0 or high < 0),
        "less": (low > 0, high <= 0),
        "less_equal": (low >= 0, high < 0),
    }
    always, never = answers[relation]
    return True if always else False if never else None
