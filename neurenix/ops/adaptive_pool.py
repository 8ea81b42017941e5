"""The adaptive pooling rows: an image cut into a given number of windows, which overlap where it does not divide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurenix.dims import Shape, Size
from neurenix.errors import GraphError
from neurenix.ops import max_pool, shapes
from neurenix.ops.op import REQUIRED, Array, Attrs, Family, Kernel, Op
from neurenix.ops.pooling import expect, image_shape, image_sizes, in_either_layout
from neurenix.ops.windows import needs_nchw

_ATTRS = {"output_size": REQUIRED, "layout": "NCHW"}
_ADAPTIVE = {"NX_POOL_ADAPTIVE": "1"}
_MEAN = {
    "NX_POOL_FIRST": "0.0f",
    "NX_POOL_JOIN(a, b)": "((a) + (b))",
    "NX_POOL_FINISH(a, taken, whole)": "((a) / nx_set((float)(taken)))",
}


def _shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    n, c, h, w = image_sizes(ins[0], attrs)
    oh, ow = attrs["output_size"]
    if any(isinstance(s, int) and s < 1 for s in (oh, ow)):
        raise GraphError(f"output_size {oh, ow} must be at least 1")
    if any(isinstance(s, int) and s < 1 for s in (h, w)):
        raise GraphError(f"an image of {h}x{w} has nothing to pool")
    return image_shape(n, c, oh, ow, attrs)


def _spread_shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    image: Shape = tuple(attrs["shape"])
    made = _shape([image], {"output_size": ins[0][2:] if len(ins[0]) == 4 else (1, 1), "layout": "NCHW"})
    expect(ins[0], made, f"the means of {shapes.show(image)}")
    return image


def _scattered(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    expect(ins[1], _shape(ins[:1], attrs), "what goes back to the maxima")
    return ins[0]


def _gathered(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    expect(ins[1], ins[0], "what is taken from")
    return _shape(ins[:1], attrs)


def _sizes(ins: Sequence[Shape], out: Shape, attrs: Attrs) -> dict[str, Size]:
    (n, h, w, c) = ins[0]
    return {"N": n, "H": h, "W": w, "C": c, "OH": out[1], "OW": out[2]}


def _bounds(size: int, count: int) -> tuple[Array, Array]:
    """Where each of `count` windows of an axis begins and ends: floor(i size / count) to ceil((i + 1) size / count)."""
    i = np.arange(count)
    return i * size // count, -(-(i + 1) * size // count)


def _reduce(function: Any, x: Array, axis: int, count: int) -> Array:
    """Reduce the windows of one axis; `reduceat` takes pairs of bounds, and what lies between two pairs is left out."""
    if x.shape[axis] % count == 0:  # windows side by side
        cut = x.reshape(*x.shape[:axis], count, x.shape[axis] // count, *x.shape[axis + 1 :])
        return np.asarray(function.reduce(cut, axis=axis + 1))
    begin, end = _bounds(x.shape[axis], count)
    longer = np.concatenate([x, np.take(x, [0], axis=axis)], axis=axis)  # a bound must be an index
    pairs = np.stack([begin, end], axis=1).ravel()
    found = function.reduceat(longer, pairs, axis=axis)
    return np.asarray(np.take(found, np.arange(count) * 2, axis=axis))


def _counts(shape: Sequence[int], out: Sequence[int]) -> Array:
    rows, cols = (np.subtract(*_bounds(size, count)[::-1]) for size, count in zip(shape[2:], out))
    return np.asarray(rows[:, None] * cols)


@in_either_layout
def _avg(x: Array, output_size: Any, layout: str) -> Array:
    total = _reduce(np.add, _reduce(np.add, x, 3, output_size[1]), 2, output_size[0])
    return np.asarray(total / _counts(x.shape, output_size).astype(x.dtype))


@in_either_layout
def _max(x: Array, output_size: Any, layout: str) -> Array:
    return _reduce(np.maximum, _reduce(np.maximum, x, 3, output_size[1]), 2, output_size[0])


def _loop(function: Any, x: Array, output_size: Any, layout: str) -> Array:
    if layout == "NHWC":
        return np.moveaxis(_loop(function, x.transpose(0, 3, 1, 2), output_size, "NCHW"), 1, -1)
    result = np.empty((*x.shape[:2], *output_size), dtype=x.dtype)
    high, wide = ([*zip(*map(np.ndarray.tolist, _bounds(s, c)))] for s, c in zip(x.shape[2:], output_size))
    for i, (top, bottom) in enumerate(high):
        for j, (left, right) in enumerate(wide):
            result[:, :, i, j] = function(x[:, :, top:bottom, left:right], axis=(2, 3))
    return result


def _avg_oracle(x: Array, **attrs: Any) -> Array:
    return _loop(np.mean, x, **attrs)


def _max_oracle(x: Array, **attrs: Any) -> Array:
    return _loop(np.max, x, **attrs)


def _spread(g: Array, shape: Sequence[int]) -> Array:
    parts = g / _counts(shape, g.shape[2:]).astype(g.dtype)
    for axis in (2, 3):
        if shape[axis] % g.shape[axis] == 0:
            parts = np.repeat(parts, shape[axis] // g.shape[axis], axis=axis)
            continue
        places = [np.arange(*pair) for pair in zip(*_bounds(shape[axis], g.shape[axis]))]
        repeated = np.repeat(parts, [len(p) for p in places], axis=axis)
        parts = _folded(repeated, np.concatenate(places), axis, shape[axis])
    return np.asarray(parts)


def _folded(parts: Array, places: Array, axis: int, size: int) -> Array:
    """Add slice i of an axis to slice `places[i]` of a new one."""
    result = np.zeros((*parts.shape[:axis], size, *parts.shape[axis + 1 :]), dtype=parts.dtype)
    np.add.at(np.moveaxis(result, axis, 0), places, np.moveaxis(parts, axis, 0))
    return result


def _even(x_shape: Sequence[int], attrs: Attrs) -> tuple[Array, Array, dict[str, Any]]:
    """Rows and columns that lay the windows side by side, all as large as the largest, and the window they then have.

    A smaller window repeats its last element, which never wins against itself.
    """
    needs_nchw("adaptive_max_pool2d", attrs)
    places, kernel = [], []
    for size, count in zip(x_shape[2:], attrs["output_size"]):
        begin, end = _bounds(size, count)
        kernel.append(int((end - begin).max()))
        places.append(np.minimum(begin[:, None] + np.arange(kernel[-1]), end[:, None] - 1).ravel())
    return places[0], places[1], {**max_pool.ATTRS, "kernel_size": tuple(kernel), "stride": tuple(kernel)}


def _scatter(x: Array, g: Array, **attrs: Any) -> Array:
    rows, cols, window = _even(x.shape, attrs)
    spread = max_pool.scatter(x[:, :, rows][:, :, :, cols], g, **window)
    return _folded(_folded(spread, rows, 2, x.shape[2]), cols, 3, x.shape[3])


def _gather(x: Array, v: Array, **attrs: Any) -> Array:
    rows, cols, window = _even(x.shape, attrs)
    return max_pool.gather(x[:, :, rows][:, :, :, cols], v[:, :, rows][:, :, :, cols], **window)


def _spread_gradient(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any]:
    return (g.apply("adaptive_avg_pool2d", output_size=tuple(inputs[0].shape[2:])),)


def _avg_gradient(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any]:
    needs_nchw("adaptive_avg_pool2d", attrs)
    return (g.apply("adaptive_avg_pool2d_spread", shape=inputs[0].shape),)


def _sample(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    n, c = int(rng.integers(1, 4)), int(rng.choice([1, 3, 4, 8, 13, 33]))
    h, w, oh, ow = (int(v) for v in rng.integers(1, 12, 4))
    return [(n, c, h, w)], {"output_size": (oh, ow)}


def _sample_scatter(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    (x,), attrs = _sample(rng)
    return [x, (*x[:2], *attrs["output_size"])], attrs


def _sample_gather(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    (x,), attrs = _sample(rng)
    return [x, x], attrs


def _sample_spread(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    (x,), attrs = _sample(rng)
    return [(*x[:2], *attrs["output_size"])], {"shape": x}


def _kernel(finish: dict[str, str]) -> Kernel:
    return Kernel("pool2d.c", _sizes, (None,), channels_last=True, defines=lambda attrs: {**finish, **_ADAPTIVE})


ROWS = (
    Op("adaptive_avg_pool2d", Family.WINDOW, "The mean of each of `output_size` windows of x (N, C, H, W).", 1, _shape,
       _avg_oracle, compute=_avg, attrs=_ATTRS, samples=_sample, gradient=_avg_gradient, kernel=_kernel(_MEAN)),
    Op("adaptive_avg_pool2d_spread", Family.WINDOW, "The transpose of adaptive_avg_pool2d from images of `shape`.", 1,
       _spread_shape, _spread, attrs={"shape": REQUIRED}, samples=_sample_spread,
       gradient=_spread_gradient),
    Op("adaptive_max_pool2d", Family.WINDOW, "The largest of each of `output_size` windows of x (N, C, H, W).", 1,
       _shape, _max_oracle, compute=_max, attrs=_ATTRS, samples=_sample, kernel=_kernel(max_pool.LARGEST),
       gradient=lambda g, y, inputs, attrs: (inputs[0].apply("adaptive_max_pool2d_scatter", g, **attrs),)),
    Op("adaptive_max_pool2d_scatter", Family.WINDOW, "Put g where adaptive_max_pool2d found the maxima of x; add up.",
       2, _scattered, _scatter, attrs=_ATTRS, samples=_sample_scatter,
       gradient=lambda g, y, inputs, attrs: (None, inputs[0].apply("adaptive_max_pool2d_gather", g, **attrs))),
    Op("adaptive_max_pool2d_gather", Family.WINDOW, "Take v where adaptive_max_pool2d found the maxima of x.", 2,
       _gathered, _gather, attrs=_ATTRS, samples=_sample_gather,
       gradient=lambda g, y, inputs, attrs: (None, inputs[0].apply("adaptive_max_pool2d_scatter", g, **attrs))),
)  # fmt: skip
