"""Operators whose result is as large as the data makes it: planned at what it can be at most, cut to what it is."""

from __future__ import annotations

from neurenix.errors import ModelError
from neurenix.frontends.onnx.operator import operator
from neurenix.tensor import Tensor, selecting


@operator("NonZero")
def nonzero(x: Tensor) -> Tensor:
    return selecting.nonzero(x)


@operator("Compress")
def compress(input: Tensor, condition: Tensor, *, axis: int | None = None) -> Tensor:
    return selecting.compress(input, condition, axis)


@operator("Unique", since=11)
def unique(x: Tensor, *, axis: int | None = None, sorted: bool = True) -> tuple[Tensor, ...]:
    return selecting.unique(x, sorted, axis)


@operator("NonMaxSuppression", since=10)
def non_max_suppression(
    boxes: Tensor,
    scores: Tensor,
    max_output_boxes_per_class: Tensor | None = None,
    iou_threshold: Tensor | None = None,
    score_threshold: Tensor | None = None,
    *,
    center_point_box: int = 0,
) -> Tensor:
    if center_point_box not in (0, 1):
        raise ModelError(f"its attribute 'center_point_box' is {center_point_box}, and must be 0 or 1")
    return selecting.non_max_suppression(
        boxes,
        scores,
        0 if max_output_boxes_per_class is None else max_output_boxes_per_class,
        0.0 if iou_threshold is None else iou_threshold,
        score_threshold,
        center_point_box,
    )
