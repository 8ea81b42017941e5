"""Functions whose result is as large as the data makes it: places that are not 0, what a condition picks, what differs.

While a model is being traced such a tensor has the shape that it can have at most, and `lengths` says how much of it
counts: every op carries that along or is refused, and as an output the tensor is cut to it. Eagerly it simply has the
size that it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from neurenix.dims import Size
from neurenix.errors import GraphError
from neurenix.graph.builder import active_builder
from neurenix.ops.shapes import axis_of, show
from neurenix.tensor.creation import arange, full
from neurenix.tensor.joining import stack
from neurenix.tensor.methods import Operand
from neurenix.tensor.tensor import Tensor, as_tensor

# As many boxes as nobody has: exporters write the largest int64 for "all", and a GPU's integers have 32 bits.
MOST_BOXES = 2**31 - 1


class Unique(NamedTuple):
    """What differs; where each was first; for each element of the input its number; and how many there are of each."""

    values: Tensor
    indices: Tensor
    inverse: Tensor
    counts: Tensor


# ── lengths ─────────────────────────────────────────────────────────────────────────────────────────


def lengths(x: Tensor) -> Mapping[int, Tensor]:
    """Return, by axis, how much of a traced tensor counts, as int64 scalars; nothing where all of it does."""
    builder = active_builder()
    if x.traced is None or builder is None:
        return {}
    return {axis: Tensor(length) for axis, length in builder.lengths.get(x.traced.name, {}).items()}


def with_length(x: Tensor, axis: int, length: Tensor) -> Tensor:
    """Say that along an axis only the first `length` elements count, an int64 scalar that data decides.

    `length` must never be larger than the axis: an output for which it is makes the call fail. Eagerly the rest is cut
    off. Raises GraphError for a length that is no int64 scalar.
    """
    at = axis_of(axis, x.ndim)
    if length.shape != () or length.dtype.name != "int64":
        raise GraphError(f"a length is an int64 scalar, got {length.dtype}{show(length.shape)}")
    builder = active_builder()
    if builder is None or (x.traced is None and length.traced is None):
        return x.narrow(at, 0, int(length.numpy()))
    source = x.traced or builder.constant(x.numpy())
    marked = builder.add("reshape", [source], {"shape": x.shape})
    known = {**builder.lengths.get(source.name, {}), at: length.traced or builder.constant(length.numpy())}
    builder.lengths[marked.name] = known
    return Tensor(marked)


def sizes(x: Tensor) -> Tensor:
    """Return a tensor's true shape as an int64 vector: what ONNX's Shape gives."""
    known = lengths(x)
    return stack([known[axis] if axis in known else _number(size) for axis, size in enumerate(x.shape)])


def _number(size: Size) -> Tensor:
    if isinstance(size, int):
        return Tensor(np.asarray(size, np.int64))
    builder = active_builder()
    assert builder is not None, "symbolic sizes exist only while a model is being traced"
    return Tensor(builder.add("dimension", [], {"size": size}))


# ── what selects ────────────────────────────────────────────────────────────────────────────────────


def nonzero(x: Tensor) -> Tensor:
    """Return the places of the elements that are not 0, in order: int64 [rank, how many], as ONNX and NumPy have it."""
    places = x.apply("nonzero")
    return places if places.traced else places.narrow(1, 0, int(x.count_nonzero().numpy()))


def compress(x: Tensor, condition: Tensor, dim: int | None = None) -> Tensor:
    """Return the slices along `dim` for which a bool vector is true; without `dim` both are flattened.

    The vector may be shorter than the axis. Raises GraphError when it is no vector, or longer.
    """
    if dim is None:
        return compress(x.flatten(), condition.flatten(), 0)
    size = x.shape[axis_of(dim, x.ndim)]
    known = isinstance(size, int) and isinstance(condition.shape[0] if condition.ndim else None, int)
    if condition.ndim != 1 or (known and condition.shape[0] > size):  # type: ignore[operator]
        raise GraphError(f"a condition for the {size} elements of axis {dim} has the shape {show(condition.shape)}")
    return x.index_select(dim, nonzero(condition)[0])


def unique(x: Tensor, sorted: bool = True, dim: int | None = None) -> Unique:
    """Return what differs among the elements, or the slices along `dim`: in order, or as they first appear.

    NaN counts as equal to itself, and as the largest.
    """
    if dim is None:
        return unique(x.flatten(), sorted, 0)
    rows = x.movedim(dim, 0)
    order = rows.apply("argsort_rows")
    ordered = rows.index_select(0, order)
    count = rows.shape[0]
    known = lengths(rows).get(0)
    places = arange(count) if known is None else with_length(arange(count), 0, known)
    before = ordered.index_select(0, places.apply("maximum", 1) - 1)
    differs = ordered.apply("ne", before)
    if x.dtype.numpy.kind == "f":
        differs = differs.logical_and(ordered.isnan().logical_and(before.isnan()).logical_not())
    if rows.ndim > 1:
        differs = differs.any(tuple(range(1, rows.ndim)))
    first = differs.logical_or(places.apply("eq", 0))
    group = first.cumsum(0) - 1  # the number of each in their order
    start = nonzero(first)[0]
    none = full((count,), 0, "int64")
    if sorted:
        indices, number = order.index_select(0, start), group
    else:
        appears = full((count,), False, "bool").index_copy(0, order, first)
        indices = nonzero(appears)[0]
        number = (appears.cumsum(0) - 1).index_select(0, order.index_select(0, start).index_select(0, group))
    inverse = none.index_copy(0, order, number)
    counts = none.index_add(0, number, full((count,), 1, "int64"))
    found = lengths(indices).get(0)
    if found is None:
        counts = counts.narrow(0, 0, indices.shape[0])
    else:
        counts = with_length(counts, 0, found)
    inverse = inverse if known is None else with_length(inverse, 0, known)
    return Unique(x.index_select(dim, indices), indices, inverse, counts)


def non_max_suppression(
    boxes: Tensor,
    scores: Tensor,
    max_output_boxes_per_class: Operand = 0,
    iou_threshold: Operand = 0.0,
    score_threshold: Operand | None = None,
    center_point_box: int = 0,
) -> Tensor:
    """Return batch, class and box, int64 [how many, 3], of the best boxes that do not overlap a better one too much.

    `boxes` are [batch, count, 4], `scores` [batch, classes, count], as ONNX's NonMaxSuppression has them; the limits
    are numbers or tensors of one element.
    """
    limit = _limit(max_output_boxes_per_class, "int64")
    least = float("nan") if score_threshold is None else score_threshold
    most = None if limit.traced else max(1, int(limit.numpy().reshape(())))
    if most is not None and most > MOST_BOXES:
        limit = _limit(MOST_BOXES, "int64")
    chosen = boxes.apply(
        "non_max_suppression", scores, limit, _limit(iou_threshold, boxes.dtype.name), _limit(least, boxes.dtype.name),
        center_point_box=center_point_box, most=most,
    )  # fmt: skip
    return chosen if chosen.traced else chosen.narrow(0, 0, int((chosen[:, 2].numpy() >= 0).sum()))


def _limit(value: Operand, dtype: str) -> Tensor:
    return value if isinstance(value, Tensor) else as_tensor(np.asarray(value, dtype))
