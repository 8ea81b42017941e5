"""The rows that select by values: where elements are not 0, and which boxes are kept.

How many there are depends on data: each row's result is as large as it can be at most, what counts comes first, and the
rest is -1. `graph.propagation` gives it its length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from neurenix.dims import Shape, Size, product, smaller
from neurenix.dtypes import DTYPES, DType
from neurenix.errors import GraphError, UnsupportedError
from neurenix.ops import shapes, types
from neurenix.ops.movement import KINDS
from neurenix.ops.op import Array, Attrs, Family, Kernel, Op

_MOST_AXES = 6

# ── nonzero ─────────────────────────────────────────────────────────────────────────────────────────


def _nonzero_shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    if not ins[0]:
        raise GraphError("a scalar has no axis to name places of: reshape it to [1]")
    return (len(ins[0]), product(ins[0]))


def _nonzero(x: Array) -> Array:
    places = np.full((x.ndim, x.size), -1)
    found = np.argwhere(x)
    places[:, : len(found)] = found.T
    return places


def _nonzero_sizes(ins: Sequence[Shape], out: Shape, attrs: Attrs) -> dict[str, Size]:
    (x,) = ins
    if len(x) > _MOST_AXES:
        raise UnsupportedError(f"places in {shapes.show(x)} have {len(x)} axes; their kernel takes {_MOST_AXES}")
    # Axes of 1 in front: the kernel counts its places from the last axis on.
    return {"rank": len(x), **{f"n{i}": n for i, n in enumerate((*(1,) * (_MOST_AXES - len(x)), *x))}}


def _sample_nonzero(rng: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
    shape = tuple(int(s) for s in rng.integers(1, 7, int(rng.integers(1, 5))))
    x = np.where(rng.random(shape) < rng.choice([0, 0.1, 0.5, 1]), rng.integers(1, 9, shape), 0)
    if rng.random() < 0.5:
        return [x.astype(str(rng.choice(KINDS)))], {}
    return [np.where(x == 8, np.nan, np.where(x == 7, -0.0, x - 4.0 * (x != 0)))], {}


# ── non_max_suppression ─────────────────────────────────────────────────────────────────────────────


def _boxes_dtype(dtypes: Sequence[DType], attrs: Mapping[str, Any]) -> DType:
    types.floating([dtypes[i] for i in (0, 1, 3, 4)], attrs)
    types.first([dtypes[0], dtypes[2]], attrs)
    return DTYPES["int64"]


def _boxes_shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    boxes, scores, *settings = ins
    if len(boxes) != 3 or boxes[2] != 4 or len(scores) != 3 or boxes[0] != scores[0] or boxes[1] != scores[2]:
        raise GraphError(f"boxes are [batch, count, 4] and scores [batch, classes, count], got "
                         f"{shapes.show(boxes)} and {shapes.show(scores)}")  # fmt: skip
    if any(product(s) != 1 for s in settings):
        raise GraphError(f"its limits are one number each, got {', '.join(map(shapes.show, settings))}")
    if type(attrs["center_point_box"]) is not int or attrs["center_point_box"] not in (0, 1):
        raise GraphError(f"center_point_box is {attrs['center_point_box']!r}; it is 0 or 1")
    return (boxes[0] * scores[1] * _most(boxes[1], attrs), 3)


def _most(count: Size, attrs: Attrs) -> Size:
    """Return how many boxes of a class can be kept."""
    most = attrs["most"]
    if most is None:
        return count
    if type(most) is not int or most < 1:
        raise GraphError(f"most is {most!r}; it is a number of boxes, 1 or more")
    return smaller(count, most)


def _corners(boxes: Array, centred: int) -> tuple[Array, Array]:
    """Return the low and the high corner of each box."""
    if centred:
        return boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2
    return np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])


def _overlaps(boxes: Array, centred: int) -> Array:
    """Return the area that each two boxes share, over the area that they cover: 0 where either has none."""
    low, high = _corners(boxes, centred)
    sides = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    shared = np.where((sides > 0).all(-1), sides.prod(-1), 0)
    area = (high - low).prod(-1)
    covered = area[:, None] + area - shared
    real = (shared > 0) & (area[:, None] > 0) & (area > 0) & (covered > 0)
    return np.asarray(np.where(real, shared / np.where(real, covered, 1), 0))


def _non_max_suppression(
    boxes: Array, scores: Array, limit: Array, overlap: Array, least: Array, center_point_box: int, most: int | None
) -> Array:
    batch, classes, count = scores.shape
    each = int(limit.reshape(()))
    each = min(each, count if most is None else min(most, count))
    rows: list[tuple[int, int, int]] = []
    for b in range(batch):
        shared = _overlaps(boxes[b], center_point_box) > overlap.reshape(())
        for c in range(classes):
            order = np.argsort(-scores[b, c], kind="stable")
            left = [int(i) for i in order if np.isnan(least).all() or scores[b, c, i] > least.reshape(())]
            kept = 0
            while left and kept < each:
                best, *left = left
                rows.append((b, c, best))
                left = [i for i in left if not shared[best, i]]
                kept += 1
    result = np.full((batch * classes * (count if most is None else min(most, count)), 3), -1)
    result[: len(rows)] = np.asarray(rows).reshape(-1, 3)
    return result


def _boxes_sizes(ins: Sequence[Shape], out: Shape, attrs: Attrs) -> dict[str, Size]:
    batch, classes, count = ins[1]
    return {"batch": batch, "classes": classes, "n": count, "most": _most(count, attrs)}


def _sample_boxes(rng: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
    batch, classes, count = int(rng.integers(1, 3)), int(rng.integers(1, 4)), int(rng.integers(1, 40))
    boxes = rng.random((batch, count, 4)) * rng.choice([0.3, 1, 3])
    scores = rng.integers(0, int(rng.choice([3, 1000])), (batch, classes, count)) / 8  # some of them equal
    limit = np.asarray([rng.integers(0, count + 3)]).astype(str(rng.choice(["int64", "int32"])))
    overlap = np.asarray([rng.choice([0, 0.2, 0.5, 1])])
    least = np.asarray(rng.choice([np.nan, -np.inf, 0.1, 60]))
    most = None if rng.random() < 0.4 else int(rng.integers(1, count + 3))
    return [boxes, scores, limit, overlap, least], {"center_point_box": int(rng.integers(2)), "most": most}


ROWS = (
    Op("nonzero", Family.REDUCE, "The places of the elements that are not 0, in order: a row for each axis. What is "
       "left of the row is -1.", 1, _nonzero_shape, _nonzero, dtype=types.int64, samples=_sample_nonzero,
       kernel=Kernel("nonzero.c", _nonzero_sizes, (None,), typed=True)),
    Op("non_max_suppression", Family.REDUCE, "Batch, class and box of the best boxes of each class, `most` at most: "
       "those that overlap a better one too much are left out. Takes boxes, scores, the number to keep, the overlap, "
       "and the score that is too low, NaN for none. What is left of the result is -1.",
       5, _boxes_shape, _non_max_suppression, dtype=_boxes_dtype, samples=_sample_boxes,
       attrs={"center_point_box": 0, "most": None},
       kernel=Kernel("non_max_suppression.c", _boxes_sizes, (None,) * 5, typed=True, index=2,
                     defines=lambda attrs: {"NX_CENTRED": str(attrs["center_point_box"])},
                     scratch=lambda sizes: sizes["n"])),
)  # fmt: skip
