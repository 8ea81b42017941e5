"""The geometry that convolutions and pools share: which pixels each tap of a window touches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurenix.errors import GraphError
from neurenix.ops.op import Array, Attrs
from neurenix.ops.shapes import sides

# `padding` is (height, width), or (top, left, bottom, right): shapes.sides reads it.
WINDOW = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1)}


def padded(x: Array, padding: Sequence[int]) -> Array:
    """Return x (N, C, H, W) with zeros around each image; x itself when there is nothing to add."""
    if not any(padding):
        return x
    result = zeros_around(x.shape, padding, x.dtype)
    unpadded(result, x.shape, padding)[...] = x
    return result


def zeros_around(shape: Sequence[int], padding: Sequence[int], dtype: Any) -> Array:
    """Return zeros of the shape of a padded image."""
    (top, bottom), (left, right) = sides(padding)
    return np.zeros((*shape[:2], top + shape[2] + bottom, left + shape[3] + right), dtype=dtype)


def unpadded(x: Array, shape: Sequence[int], padding: Sequence[int]) -> Array:
    """Return the view of a padded image that is the image, of this shape."""
    (top, _), (left, _) = sides(padding)
    return x[..., top : top + shape[2], left : left + shape[3]]


def taps(kernel: Sequence[int], out: Sequence[int], attrs: Attrs) -> list[tuple[int, int, slice, slice]]:
    """Return the kernel's positions, each with the rows and columns of the padded image that it touches."""
    (sh, sw), (dh, dw) = attrs["stride"], attrs["dilation"]
    return [
        (
            i,
            j,
            slice(i * dh, i * dh + sh * (out[0] - 1) + 1, sh),
            slice(j * dw, j * dw + sw * (out[1] - 1) + 1, sw),
        )
        for i in range(kernel[0])
        for j in range(kernel[1])
    ]


def needs_nchw(op: str, attrs: Attrs) -> None:
    """Raise GraphError for NHWC, which is for compiled plans: no gradient is written for it."""
    if attrs["layout"] != "NCHW":
        raise GraphError(f"op '{op}' has a gradient in the layout NCHW only, got {attrs['layout']}")


def sample_window(rng: np.random.Generator, kernel: tuple[int, int]) -> dict[str, Any]:
    """Return a random stride, padding and dilation for a kernel."""
    dilation = tuple(int(v) for v in rng.integers(1, 3, 2))
    return {
        "stride": tuple(int(v) for v in rng.integers(1, 4, 2)),
        "padding": sample_padding(rng, kernel),
        "dilation": dilation,
    }


def sample_padding(rng: np.random.Generator, kernel: tuple[int, int]) -> tuple[int, ...]:
    """Return a random padding, of up to half the kernel, that is the same on both sides or not."""
    ends = kernel if rng.random() < 0.5 else (*kernel, *kernel)
    return tuple(int(rng.integers(0, k // 2 + 1)) for k in ends)
