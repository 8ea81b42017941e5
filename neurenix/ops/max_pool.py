"""The max-pooling rows: the largest element of each window, and the moves that its gradient is made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from neurenix.dims import Shape
from neurenix.ops import pieces, shapes, types
from neurenix.ops.op import REQUIRED, Array, Attrs, Family, Kernel, Op
from neurenix.ops.pooling import (
    axis_taps,
    borders,
    expect,
    in_either_layout,
    inner,
    padded,
    pool_sizes,
    pooled,
    reduce_windows,
    sample_pool,
)
from neurenix.ops.windows import needs_nchw
from neurenix.threads import each, empty

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

# Elements of an image into which a thread scatters with profit.
_WORTH = 1 << 17


@in_either_layout
def _max_pool2d(x: Array, **attrs: Any) -> Array:
    shape, grown = shapes.known(pooled([x.shape], attrs)), _grown(x, attrs)
    result = empty(shape, x.dtype)

    def compute(part: slice) -> None:
        xp = padded(x[part], attrs, -np.inf) if grown else x[part]
        reduce_windows(np.maximum, xp, attrs, shape[2:], result[part])

    each(compute, pieces.shared(x.shape))
    return result


def _grown(x: Array, attrs: Attrs) -> bool:
    """Say whether some windows reach over the image's edge."""
    return any(map(any, borders(x.shape, attrs)))


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
    """Yield for each tap of the padded image where it is the first to hold its window's maximum."""
    needs_nchw("max_pool2d", attrs)
    xp, out = padded(x, attrs, -np.inf), shapes.known(pooled([x.shape], attrs))[2:]
    yield from _first(xp, reduce_windows(np.maximum, xp, attrs, out), _taps(out, attrs), False)


def _taps(out: Sequence[int], attrs: Attrs) -> list[tuple[slice, slice]]:
    return [(rows, cols) for rows in axis_taps(0, out, attrs) for cols in axis_taps(1, out, attrs)]


def _first(
    xp: Array, y: Array, taps: Sequence[tuple[slice, slice]], inside: bool
) -> Iterator[tuple[slice, slice, Array]]:
    """Yield for each tap where it is the first that is y: PyTorch's rule for equal ones.

    Where all windows lie `inside` the image the last tap takes what is left.
    """
    free = np.ones(y.shape, dtype=bool)
    for rows, cols in taps[:-1] if inside else taps:
        wins = xp[:, :, rows, cols] == y
        wins &= free
        free ^= wins
        yield rows, cols, wins
    if inside:
        yield *taps[-1], free


def scatter(x: Array, g: Array, y: Array | None = None, **attrs: Any) -> Array:
    """Put g where the maxima y are, found where they are not given, in pieces of samples."""
    needs_nchw("max_pool2d", attrs)
    grown, out, kernel = _grown(x, attrs), g.shape[2:], attrs["kernel_size"]
    apart = all(s >= d * (k - 1) + 1 for s, d, k in zip(attrs["stride"], attrs["dilation"], kernel))
    # Windows that lie side by side write every place once.
    whole = apart and not grown and all(o * k == s for o, k, s in zip(out, kernel, x.shape[2:]))
    result, taps = empty(x.shape, g.dtype), _taps(out, attrs)

    def compute(part: slice) -> None:
        xp = padded(x[part], attrs, -np.inf) if grown else x[part]
        largest = reduce_windows(np.maximum, xp, attrs, out) if y is None else y[part]
        piece = np.zeros(xp.shape, dtype=g.dtype) if grown else result[part]
        if not (grown or whole):
            piece.fill(0)
        for rows, cols, wins in _first(xp, largest, taps, inside=not grown):
            place = piece[:, :, rows, cols]
            if apart:  # windows that share no element
                np.multiply(g[part], wins, out=place)
            else:
                place += g[part] * wins
        if grown:
            result[part] = inner(piece, x[part].shape, attrs)

    each(compute, pieces.shared(x.shape, _WORTH))
    return result


def gather(x: Array, v: Array, **attrs: Any) -> Array:
    vp = padded(v, attrs, 0)
    return np.asarray(sum(vp[:, :, rows, cols] * wins for rows, cols, wins in _winners(x, attrs)))


def _scattered(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    expect(ins[1], pooled(ins[:1], attrs), "what goes back to the maxima")
    expect(ins[2], ins[1], "the maxima")
    return ins[0]


def _gathered(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    expect(ins[1], ins[0], "what is taken from")
    return pooled(ins[:1], attrs)


def _gather_gradient(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any, Any]:
    x = inputs[0]
    return None, x.apply("max_pool2d_scatter", g, x.detach().apply("max_pool2d", **attrs), **attrs)


def _indices(x: Array, **attrs: Any) -> Array:
    _, _, (top, _), (left, _) = borders(x.shape, attrs)
    result = np.zeros(shapes.known(pooled([x.shape], attrs)), dtype=np.int64)
    for rows, cols, wins in _winners(x, attrs):
        h = np.arange(rows.start, rows.stop, rows.step) - top
        w = np.arange(cols.start, cols.stop, cols.step) - left
        result += wins * (h[:, None] * x.shape[3] + w)
    return result


def _sample_spread(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    (shape,), attrs = sample_pool(rng)
    x = rng.uniform(-10, 10, shape)
    y = _max_pool2d_oracle(x, **{**ATTRS, **attrs})
    return [x, y.shape, y], attrs


def _sample_pick(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    (x,), attrs = sample_pool(rng)
    return [x, x], attrs


ROWS = (
    Op("max_pool2d", Family.WINDOW, "The largest element of each window of x (N, C, H, W).", 1, pooled,
       _max_pool2d_oracle, compute=_max_pool2d, attrs=ATTRS, samples=sample_pool,
       gradient=lambda g, y, inputs, attrs: (inputs[0].apply("max_pool2d_scatter", g, y, **attrs),),
       kernel=Kernel("pool2d.c", pool_sizes, (None,), channels_last=True, defines=lambda attrs: LARGEST)),
    Op("max_pool2d_scatter", Family.WINDOW, "Put g where max_pool2d found each window's maximum, y, in x; add up.", 3,
       _scattered, scatter, attrs=ATTRS, samples=_sample_spread,
       gradient=lambda g, y, inputs, attrs: (None, inputs[0].apply("max_pool2d_gather", g, **attrs), None)),
    Op("max_pool2d_gather", Family.WINDOW, "Take v where max_pool2d found each window's maximum in x.", 2,
       _gathered, gather, attrs=ATTRS, samples=_sample_pick,
       gradient=_gather_gradient),
    Op("max_pool2d_indices", Family.WINDOW, "Where max_pool2d found each window's maximum: h * W + w.", 1, pooled,
       _indices, dtype=types.int64, attrs=ATTRS, samples=sample_pool),
)  # fmt: skip
