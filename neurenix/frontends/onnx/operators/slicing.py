"""Slice: windows of a tensor, between positions that may count from the end, lie beyond it, or be symbolic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neurenix.dims import Dim, Size, bounds
from neurenix.errors import ModelError, UnsupportedError
from neurenix.frontends.onnx.operator import Sizes, operator
from neurenix.frontends.onnx.size_arithmetic import integers
from neurenix.frontends.onnx.symbolic import Array, ranges
from neurenix.ops.shapes import axis_of
from neurenix.tensor import Tensor

Given = Sequence[Size]


def _of_sizes(data: Array, starts: Array, ends: Array, axes: Array | None = None, steps: Array | None = None) -> Array:
    given = [None if a is None else integers(np.asarray(a, dtype=object)) for a in (starts, ends, axes, steps)]
    return data[_windows(data.shape, given[0] or (), given[1] or (), given[2], given[3])]


@operator("Slice", sizes=_of_sizes)
def slice_7(
    data: Tensor, *, starts: tuple[int, ...], ends: tuple[int, ...], axes: tuple[int, ...] | None = None
) -> Tensor:
    return data[_windows(data.shape, starts, ends, axes, None)]


@operator("Slice", since=10, sizes=_of_sizes)
def slice_axes(
    data: Tensor, starts: Sizes, ends: Sizes, axes: Sizes | None = None, steps: Sizes | None = None
) -> Tensor:
    return data[_windows(data.shape, starts, ends, axes, steps)]


def _windows(
    shape: tuple[Size, ...], starts: Given, ends: Given, axes: Given | None, steps: Given | None
) -> tuple[slice, ...]:
    """Return the slice of each axis."""
    named = list(range(len(starts))) if axes is None else list(axes)
    by = [1] * len(starts) if steps is None else list(steps)
    if not len(starts) == len(ends) == len(named) == len(by):
        raise ModelError(f"it has {len(starts)} starts, {len(ends)} ends, {len(named)} axes and {len(by)} steps")
    found: dict[int, slice] = {}
    for start, end, axis, step in zip(starts, ends, named, by):
        if isinstance(axis, Dim) or isinstance(step, Dim):
            raise UnsupportedError(f"its axis '{axis}' and its step '{step}' must be numbers")
        at = axis_of(axis, len(shape))
        if at in found or at >= len(shape) or step == 0:
            raise ModelError(f"it slices axis {axis} of {len(shape)} by steps of {step}, or twice")
        found[at] = slice(_position(start, shape[at]), _position(end, shape[at]), step)
    return tuple(found.get(at, slice(None)) for at in range(len(shape)))


def _position(given: Size, n: Size) -> Size | None:
    """Return a position as Python and the table's `slice` take it.

    One beyond the end for every size of the axis is the end; a symbolic one must count from one side always.
    """
    low, high = bounds(given, ranges())
    if low >= bounds(n, ranges())[1]:
        return n
    if isinstance(given, int) or low >= 0:
        return given
    if high < 0:
        return n + given
    raise UnsupportedError(f"its position '{given}' could count from either side: from {low} to {high}")
