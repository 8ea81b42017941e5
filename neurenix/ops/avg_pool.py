"""The averaging rows: the mean of each window, and its transpose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurenix.dims import Shape
from neurenix.errors import GraphError
from neurenix.ops import shapes
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

_ATTRS = {
    "kernel_size": REQUIRED, "stride": (1, 1), "padding": (0, 0), "ceil_mode": False, "count_include_pad": True,
    "divisor_override": None, "layout": "NCHW",
}  # fmt: skip

_DIVISORS = {True: "(whole)", False: "(taken)"}


def _shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    divisor = attrs["divisor_override"]
    if divisor is not None and (type(divisor) is not int or divisor == 0):
        raise GraphError(f"divisor_override is a whole number other than 0, got {divisor!r}")
    if divisor is None and attrs["count_include_pad"] and any(a != b for a, b in shapes.sides(attrs["padding"])):
        raise GraphError(
            f"padding {tuple(attrs['padding'])} counts where it is alike on both sides; else name a divisor"
        )
    return pooled(ins, attrs)


def _defines(attrs: Attrs) -> dict[str, str]:
    divisor = attrs["divisor_override"]
    text = _DIVISORS[bool(attrs["count_include_pad"])] if divisor is None else f"({int(divisor)})"
    return {
        "NX_POOL_FIRST": "0.0f",
        "NX_POOL_JOIN(a, b)": "((a) + (b))",
        "NX_POOL_FINISH(a, taken, whole)": f"((a) / nx_set((float){text}))",
    }


def _divisors(shape: Sequence[int], attrs: Attrs, of: Any) -> Array:
    """What each window's sum is divided by, (OH, OW): the elements that count in it."""
    out = shapes.known(pooled([tuple(shape)], attrs))[2:]
    if attrs["divisor_override"] is not None:
        return np.full(out, attrs["divisor_override"], dtype=of)
    counts = []
    for size, count, kernel, stride, padding in zip(
        shape[2:], out, attrs["kernel_size"], attrs["stride"], (p for p, _ in shapes.sides(attrs["padding"]))
    ):
        first = np.arange(count) * stride - padding
        if attrs["count_include_pad"]:
            counts.append(np.minimum(first + kernel, size + padding) - first)
        else:
            counts.append(np.minimum(first + kernel, size) - np.maximum(first, 0))
    return np.asarray(counts[0][:, None] * counts[1], dtype=of)


@in_either_layout
def _avg_pool2d(x: Array, **attrs: Any) -> Array:
    out = shapes.known(pooled([x.shape], attrs))[2:]
    total = reduce_windows(np.add, padded(x, attrs, 0), attrs, out)
    return np.asarray(total / _divisors(x.shape, attrs, x.dtype))


@in_either_layout
def _avg_pool2d_oracle(x: Array, **attrs: Any) -> Array:
    (sh, sw), (oh, ow) = attrs["stride"], shapes.known(pooled([x.shape], attrs))[2:]
    grown = borders(x.shape, attrs)

    def sums(array: Array) -> Array:
        views = np.lib.stride_tricks.sliding_window_view(array, attrs["kernel_size"], axis=(2, 3))
        return np.asarray(views[:, :, ::sh, ::sw][:, :, :oh, :ow].sum(axis=(4, 5)))

    if attrs["divisor_override"] is not None:
        return np.asarray(sums(np.pad(x, grown)) / attrs["divisor_override"])
    counted = np.ones((1, 1, *x.shape[2:]), dtype=x.dtype)
    if attrs["count_include_pad"]:
        counted = np.pad(counted, [(0, 0), (0, 0), *shapes.sides(attrs["padding"])], constant_values=1)
        rest = [(0, 0), (0, 0), *((0, g[1] - p) for g, (_, p) in zip(grown[2:], shapes.sides(attrs["padding"])))]
    else:
        rest = list(grown)
    return np.asarray(sums(np.pad(x, grown)) / sums(np.pad(counted, rest)))


def _spread(g: Array, shape: Sequence[int], **attrs: Any) -> Array:
    needs_nchw("avg_pool2d", attrs)
    (_, _, (top, bottom), (left, right)), out = borders(shape, attrs), g.shape[2:]
    share = g / _divisors(shape, attrs, g.dtype)
    wide = np.zeros((*share.shape[:3], shape[3] + left + right), dtype=g.dtype)
    for cols in axis_taps(1, out, attrs):
        wide[:, :, :, cols] += share
    result = np.zeros((*g.shape[:2], shape[2] + top + bottom, wide.shape[3]), dtype=g.dtype)
    for rows in axis_taps(0, out, attrs):
        result[:, :, rows] += wide
    return inner(result, shape, attrs)


def _spread_shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    shape = tuple(attrs["shape"])
    if _shape([shape], attrs) != ins[0]:
        raise GraphError(f"the windows of {shapes.show(shape)} are not {shapes.show(ins[0])}")
    return shape


def _pool_gradient(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any]:
    return (g.apply("avg_pool2d_spread", shape=inputs[0].shape, **attrs),)


def _spread_gradient(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any]:
    return (g.apply("avg_pool2d", **{k: v for k, v in attrs.items() if k != "shape"}),)


def _sample(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    shape, attrs = sample_pool(rng, dilated=False)
    divisor = int(rng.integers(1, 9)) if rng.random() < 0.3 else None
    counted = bool(rng.integers(2)) and (divisor is not None or len(attrs["padding"]) == 2)
    return shape, {**attrs, "count_include_pad": counted, "divisor_override": divisor}


def _sample_spread(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    (image,), attrs = _sample(rng)
    return [shapes.known(pooled([image], {**_ATTRS, **attrs}))], {"shape": image, **attrs}


ROWS = (
    Op("avg_pool2d", Family.WINDOW, "The mean of each window of x (N, C, H, W).", 1, _shape, _avg_pool2d_oracle,
       compute=_avg_pool2d, attrs=_ATTRS, samples=_sample, gradient=_pool_gradient,
       kernel=Kernel("pool2d.c", pool_sizes, (None,), channels_last=True, defines=_defines)),
    Op("avg_pool2d_spread", Family.WINDOW, "The transpose of avg_pool2d: each mean's share, added to its window.", 1,
       _spread_shape, _spread, attrs={"shape": REQUIRED, **_ATTRS}, samples=_sample_spread,
       gradient=_spread_gradient),
)  # fmt: skip
