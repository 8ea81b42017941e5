"""The geometry that convolutions and pools share: which pixels each tap of a window touches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurenix.errors import GraphError
from neurenix.ops.op import Array, Attrs

WINDOW = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1)}


def padded(x: Array, padding: tuple[int, int]) -> Array:
    """Return x (N, C, H, W) with zeros around each image; x itself when there is nothing to add."""
    ph, pw = padding
    if not (ph or pw):
        return x
    n, c, h, w = x.shape
    result = np.zeros((n, c, h + 2 * ph, w + 2 * pw), dtype=x.dtype)
    result[:, :, ph : ph + h, pw : pw + w] = x
    return result


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
        "padding": tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel),
        "dilation": dilation,
    }
