"""The max-pooling rows: the largest element of each window, and the moves that its gradient is made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from neurenix.ops import shapes, types
from neurenix.ops.op import REQUIRED, Array, Attrs, Family, Kernel, Op
from neurenix.ops.pooling import (
    axis_taps,
    borders,
    in_either_layout,
    inner,
    padded,
    pool_sizes,
    pooled,
    reduce_windows,
    sample_pool,
)
from neurenix.ops.windows import needs_nchw

ATTRS = {
    "kernel_size": REQUIRED, "stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "ceil_mode": False,
    "layout": "NCHW",
}  # fmt: skip

# What pool2d.c does for the largest: a NaN beats every number, padding nothing.
LARGEST = {
    "NX_POOL_FIRST": "-__builtin_inff()",
    "NX_POOL_JOIN(a, b)": "nx_max(b, a)",
    "NX_POOL_FINISH(a, taken, whole)": "(a)",
}


@in_either_layout
def _max_pool2d(x: Array, **attrs: Any) -> Array:
    out = shapes.known(pooled([x.shape], attrs))[2:]
    return reduce_windows(np.maximum, padded(x, attrs, -np.inf), attrs, out)


@in_either_layout
def _max_pool2d_oracle(x: Array, **attrs: Any) -> Array:
    (sh, sw), (dh, dw) = attrs["stride"], attrs["dilation"]
    reach = tuple(d * (k - 1) + 1 for d, k in zip(attrs["dilation"], attrs["kernel_size"]))
    xp = np.pad(x, borders(x.shape, attrs), constant_values=-np.inf)
    views = np.lib.stride_tricks.sliding_window_view(xp, reach, axis=(2, 3))
    picked = views[:, :, ::sh, ::sw, ::dh, ::dw]
    oh, ow = shapes.known(pooled([x.shape], attrs))[2:]
    return np.asarray(picked[:, :, :oh, :ow].max(axis=(4, 5)))


def _winners(x: Array, attrs: Attrs) -> Iterator[tuple[slice, slice, Array]]:
    """Yield for each tap where it is the first to hold its window's maximum (PyTorch's rule for equal ones)."""
    needs_nchw("max_pool2d", attrs)
    xp, out = padded(x, attrs, -np.inf), shapes.known(pooled([x.shape], attrs))[2:]
    y = reduce_windows(np.maximum, xp, attrs, out)
    free = np.ones(y.shape, dtype=bool)
    for rows in axis_taps(0, out, attrs):
        for cols in axis_taps(1, out, attrs):
            wins = xp[:, :, rows, cols] == y
            wins &= free
            free ^= wins
            yield rows, cols, wins


def scatter(x: Array, g: Array, **attrs: Any) -> Array:
    result = np.zeros(padded(x, attrs, 0).shape, dtype=g.dtype)
    apart = all(s >= d * (k - 1) + 1 for s, d, k in zip(attrs["stride"], attrs["dilation"], attrs["kernel_size"]))
    for rows, cols, wins in _winners(x, attrs):
        place = result[:, :, rows, cols]
        if apart:  # windows that share no element: every place is written once
            np.multiply(g, wins, out=place)
        else:
            place += g * wins
    return inner(result, x.shape, attrs)


def gather(x: Array, v: Array, **attrs: Any) -> Array:
    vp = padded(v, attrs, 0)
    return np.asarray(sum(vp[:, :, rows, cols] * wins for rows, cols, wins in _winners(x, attrs)))


def _indices(x: Array, **attrs: Any) -> Array:
    _, _, (top, _), (left, _) = borders(x.shape, attrs)
    result = np.zeros(shapes.known(pooled([x.shape], attrs)), dtype=np.int64)
    for rows, cols, wins in _winners(x, attrs):
        h = np.arange(rows.start, rows.stop, rows.step) - top
        w = np.arange(cols.start, cols.stop, cols.step) - left
        result += wins * (h[:, None] * x.shape[3] + w)
    return result


def _sample_spread(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    (x,), attrs = sample_pool(rng)
    return [x, shapes.known(pooled([x], {**ATTRS, **attrs}))], attrs


def _sample_pick(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    (x,), attrs = sample_pool(rng)
    return [x, x], attrs


ROWS = (
    Op("max_pool2d", Family.WINDOW, "The largest element of each window of x (N, C, H, W).", 1, pooled,
       _max_pool2d_oracle, compute=_max_pool2d, attrs=ATTRS, samples=sample_pool,
       gradient=lambda g, y, inputs, attrs: (inputs[0].apply("max_pool2d_scatter", g, **attrs),),
       kernel=Kernel("pool2d.c", pool_sizes, (None,), channels_last=True, defines=lambda attrs: LARGEST)),
    Op("max_pool2d_scatter", Family.WINDOW, "Put g where max_pool2d found each window's maximum in x; add up.", 2,
       lambda ins, attrs: ins[0], scatter, attrs=ATTRS, samples=_sample_spread,
       gradient=lambda g, y, inputs, attrs: (None, inputs[0].apply("max_pool2d_gather", g, **attrs))),
    Op("max_pool2d_gather", Family.WINDOW, "Take v where max_pool2d found each window's maximum in x.", 2,
       pooled, gather, attrs=ATTRS, samples=_sample_pick,
       gradient=lambda g, y, inputs, attrs: (None, inputs[0].apply("max_pool2d_scatter", g, **attrs))),
    Op("max_pool2d_indices", Family.WINDOW, "Where max_pool2d found each window's maximum: h * W + w.", 1, pooled,
       _indices, dtype=types.int64, attrs=ATTRS, samples=sample_pool),
)  # fmt: skip
