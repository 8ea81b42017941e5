"""Pooling: the oracles against plain loops, PyTorch's rules at the edges, and pools that are made of others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from layer_cases import compiled_layers_equal_the_oracle
from op_cases import FORMS, random_case

from neurenix import ops
from neurenix.errors import GraphError, InputError
from neurenix.nn import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveAvgPool3d,
    AdaptiveMaxPool2d,
    AvgPool1d,
    AvgPool2d,
    AvgPool3d,
    Conv2d,
    LPPool2d,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
    Sequential,
)
from neurenix.tensor import Tensor

RNG = np.random.default_rng(0)


def _spans(size: int, at: int, attrs: Any) -> list[tuple[list[int], int]]:
    """Each window of one axis: its elements inside the image, and its length in the padded image."""
    k, s, p = (attrs[name][at] for name in ("kernel_size", "stride", "padding"))
    end = size + attrs["padding"][at - 2]  # the padding is (top, left, bottom, right), or the same on both sides
    d, spans, start = attrs.get("dilation", (1, 1))[at], [], -p
    # floor: whole windows; ceil: one more where a part is left and it starts inside the image or its left padding
    while start + d * (k - 1) + 1 <= end or (attrs["ceil_mode"] and start < size and start - s + d * (k - 1) + 1 < end):
        inside = [i for i in range(start, start + d * k, d) if 0 <= i < size]
        spans.append((inside, min(start + k, end) - start))
        start += s
    return spans


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
def test_pool_oracles_equal_plain_loops(name: str, seed: int, layout: str) -> None:
    case = random_case(ops.get(name), seed, "float64")
    (x,), attrs = case.arrays, case.attrs
    rows, cols = (_spans(x.shape[2 + axis], axis, attrs) for axis in (0, 1))
    expected = np.empty((*x.shape[:2], len(rows), len(cols)))
    for i, (high, whole_h) in enumerate(rows):
        for j, (wide, whole_w) in enumerate(cols):
            window = x[:, :, high][:, :, :, wide]
            if name == "max_pool2d":
                expected[:, :, i, j] = window.max(axis=(2, 3), initial=-np.inf)
            else:
                size = whole_h * whole_w if attrs["count_include_pad"] else len(high) * len(wide)
                expected[:, :, i, j] = window.sum(axis=(2, 3)) / (attrs["divisor_override"] or size)
    if layout == "NHWC":
        x, expected = x.transpose(0, 2, 3, 1), expected.transpose(0, 2, 3, 1)
    answer = ops.get(name).oracle(x, **{**attrs, "layout": layout})
    np.testing.assert_allclose(answer, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(ops.get(name).evaluate([x], {**attrs, "layout": layout}), expected, atol=1e-12)


def test_the_last_window_starts_inside_the_image_or_its_left_padding() -> None:
    x = Tensor(np.arange(5, dtype=np.float32).reshape(1, 1, 5))
    assert [1.0, 3.0, 4.0] == x.max_pool1d(2, ceil_mode=True).numpy().ravel().tolist()
    assert [1.0, 3.0] == x.max_pool1d(2).numpy().ravel().tolist()
    # A third window would start in the right padding, at 5.
    assert [1.0, 4.0] == x.max_pool1d(3, stride=3, padding=1, ceil_mode=True).numpy().ravel().tolist()


def test_indices_say_where_the_maxima_are() -> None:
    x = Tensor(RNG.permutation(2 * 3 * 7 * 8).reshape(2, 3, 7, 8).astype(np.float32))
    y, where = x.max_pool2d(3, stride=2, padding=1, return_indices=True)
    assert "int64" == where.dtype.name
    there = np.take_along_axis(x.numpy().reshape(2, 3, -1), where.numpy().reshape(2, 3, -1), 2)
    np.testing.assert_array_equal(y.numpy(), there.reshape(y.shape))


def test_images_need_no_batch() -> None:
    x = Tensor(RNG.standard_normal((3, 6, 8)).astype(np.float32))
    batched = x.reshape(1, 3, 6, 8)
    for pool in (MaxPool2d(2), AvgPool2d(3, 2, 1), AdaptiveAvgPool2d((2, None))):
        np.testing.assert_array_equal(pool(batched).numpy()[0], pool(x).numpy())


def test_pools_say_what_is_wrong_with_their_window() -> None:
    x = Tensor(np.ones((1, 1, 4, 4), np.float32))
    with pytest.raises(GraphError, match="more than half of a window"):
        x.max_pool2d(2, padding=2)
    with pytest.raises(GraphError, match="does not fit an image of 4x4"):
        x.avg_pool2d(5)
    with pytest.raises(GraphError, match="divisor_override is a whole number other than 0"):
        x.avg_pool2d(2, divisor_override=0)
    with pytest.raises(GraphError, match=r"3-D pool takes .*got the shape \[4, 4\]"):
        Tensor(np.ones((4, 4), np.float32)).max_pool3d(2)
    with pytest.raises(InputError, match="one number or 2"):
        MaxPool2d((2, 2, 2))
    with pytest.raises(GraphError, match="output_size"):
        x.adaptive_avg_pool2d(0)


@pytest.mark.parametrize("forms", FORMS)
def test_compiled_pools_take_any_size(forms: tuple[str, ...]) -> None:
    """All of them in one module; batch, height and width are symbols."""
    images = [
        MaxPool2d(3, 2, 1), MaxPool2d(2, ceil_mode=True), MaxPool2d((2, 3), dilation=(2, 1)), AvgPool2d(3, 2, 1),
        AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), AvgPool2d(2, divisor_override=3), LPPool2d(2, 2),
        AdaptiveAvgPool2d(1), AdaptiveAvgPool2d((3, None)), AdaptiveMaxPool2d((5, 4)),
        Sequential(Conv2d(3, 20, 3, padding=1), MaxPool2d(2), AdaptiveAvgPool2d(1)),
    ]  # fmt: skip
    compiled_layers_equal_the_oracle(images, "float32[batch, 3, high, wide]", [(2, 3, 9, 8), (1, 3, 12, 7)], forms)
    lines = [MaxPool1d(3, 2, 1, ceil_mode=True), AvgPool1d(4, padding=2), AdaptiveAvgPool1d(3)]
    compiled_layers_equal_the_oracle(lines, "float32[batch, 5, long]", [(3, 5, 11), (1, 5, 9)], forms)
    boxes = [MaxPool3d(2, ceil_mode=True), AvgPool3d(3, 2, 1), AdaptiveAvgPool3d((2, 3, 1))]
    compiled_layers_equal_the_oracle(boxes, "float32[batch, 2, deep, high, wide]", [(2, 2, 5, 6, 7)], forms)
