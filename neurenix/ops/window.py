"""The window rows: a small rectangle slides over an image and each position becomes one value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurenix.dims import Shape, Size
from neurenix.ops import shapes
from neurenix.ops.contraction import _sample_window, _taps, needs_nchw
from neurenix.ops.op import REQUIRED, Array, Attrs, Family, Kernel, Op

_ATTRS = {
    "kernel_size": REQUIRED, "stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "layout": "NCHW",
}  # fmt: skip


def _lowest(x: Array, padding: tuple[int, int]) -> Array:
    """Pad with -infinity: a window never takes its padding, even where all else is negative."""
    ph, pw = padding
    if not (ph or pw):
        return x
    return np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)), constant_values=-np.inf)


def _slices(x: Array, attrs: Attrs) -> list[tuple[slice, slice]]:
    out = shapes.known(shapes.pool2d([x.shape], attrs))
    return [(rows, cols) for _, _, rows, cols in _taps(attrs["kernel_size"], out[2:], attrs)]


def _max_pool2d(x: Array, **attrs: Any) -> Array:
    if attrs["layout"] == "NHWC":
        return np.moveaxis(_max_pool2d(x.transpose(0, 3, 1, 2), **{**attrs, "layout": "NCHW"}), 1, -1)
    xp = _lowest(x, attrs["padding"])
    result: Array | None = None
    for rows, cols in _slices(x, attrs):
        part = xp[:, :, rows, cols]
        result = part.copy() if result is None else np.maximum(result, part, out=result)
    assert result is not None
    return result


def _max_pool2d_oracle(x: Array, kernel_size: Any, stride: Any, padding: Any, dilation: Any, layout: str) -> Array:
    if layout == "NHWC":
        nchw = _max_pool2d_oracle(x.transpose(0, 3, 1, 2), kernel_size, stride, padding, dilation, "NCHW")
        return np.moveaxis(nchw, 1, -1)
    reach = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel_size))
    views = np.lib.stride_tricks.sliding_window_view(_lowest(x, padding), reach, axis=(2, 3))
    return np.asarray(views[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]].max(axis=(4, 5)))


def _winners(x: Array, attrs: Attrs) -> list[tuple[slice, slice, Array]]:
    """For each tap, where it is the first to hold its window's maximum (PyTorch's rule for equal ones)."""
    needs_nchw("max_pool2d", attrs)
    y, xp = _max_pool2d(x, **attrs), _lowest(x, attrs["padding"])
    free = np.ones(y.shape, dtype=bool)
    result = []
    for rows, cols in _slices(x, attrs):
        wins = free & (xp[:, :, rows, cols] == y)
        free &= ~wins
        result.append((rows, cols, wins))
    return result


def _scatter(x: Array, g: Array, **attrs: Any) -> Array:
    (n, c, h, w), (ph, pw) = x.shape, attrs["padding"]
    result = np.zeros((n, c, h + 2 * ph, w + 2 * pw), dtype=g.dtype)
    for rows, cols, wins in _winners(x, attrs):
        result[:, :, rows, cols] += g * wins
    return result[:, :, ph : ph + h, pw : pw + w]


def _gather(x: Array, v: Array, **attrs: Any) -> Array:
    ph, pw = attrs["padding"]
    vp = np.pad(v, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    return np.asarray(sum(vp[:, :, rows, cols] * wins for rows, cols, wins in _winners(x, attrs)))


def _pool_sizes(ins: Sequence[Shape], out: Shape, attrs: Attrs) -> dict[str, Size]:
    (n, h, w, c) = ins[0]
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = (attrs[k] for k in ("kernel_size", "stride", "padding", "dilation"))
    return {
        "N": n, "H": h, "W": w, "C": c, "OH": out[1], "OW": out[2], "KH": kh, "KW": kw,
        "stride_h": sh, "stride_w": sw, "pad_h": ph, "pad_w": pw, "dilation_h": dh, "dilation_w": dw,
    }  # fmt: skip


def _sample_pool(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    kernel = (int(rng.integers(1, 5)), int(rng.integers(1, 5)))
    n, c = (int(v) for v in rng.integers(1, 14, 2))
    h, w = (int(rng.integers(2 * k, 2 * k + 9)) for k in kernel)
    return [(n, c, h, w)], {"kernel_size": kernel, **_sample_window(rng, kernel)}


def _sample_spread(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    (x,), attrs = _sample_pool(rng)
    return [x, shapes.known(shapes.pool2d([x], {**_ATTRS, **attrs}))], attrs


def _sample_pick(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    (x,), attrs = _sample_pool(rng)
    return [x, x], attrs


ROWS = (
    Op("max_pool2d", Family.WINDOW, "The largest element of each window of x (N, C, H, W).", 1, shapes.pool2d,
       _max_pool2d_oracle, compute=_max_pool2d, attrs=_ATTRS, samples=_sample_pool,
       gradient=lambda g, y, inputs, attrs: (inputs[0].max_pool2d_scatter(g, **attrs),),
       kernel=Kernel("max_pool2d.c", _pool_sizes, (None,), channels_last=True)),
    Op("max_pool2d_scatter", Family.WINDOW, "Put g where max_pool2d found each window's maximum in x; add up.", 2,
       lambda ins, attrs: ins[0], _scatter, attrs=_ATTRS, samples=_sample_spread,
       gradient=lambda g, y, inputs, attrs: (None, inputs[0].max_pool2d_gather(g, **attrs))),
    Op("max_pool2d_gather", Family.WINDOW, "Take v where max_pool2d found each window's maximum in x.", 2,
       shapes.pool2d, _gather, attrs=_ATTRS, samples=_sample_pick,
       gradient=lambda g, y, inputs, attrs: (None, inputs[0].max_pool2d_scatter(g, **attrs))),
)  # fmt: skip
