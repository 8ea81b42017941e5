"""The rows that conv2d's gradients are, and the matrices that all three of them multiply.

All of them work on a few samples at a time, whose windows stay in the cache from the copy to the product: how many
depends on the shapes alone, so that sums are the same on every machine's number of threads.

Where windows are one pixel apart the image's rows are laid out one after the other with their padding in between: what
follows one row precedes the next. Each tap of the kernel is then one long run of memory, and the few columns too many
are cut off, or meet zeros.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from neurenix.dims import Shape
from neurenix.errors import GraphError
from neurenix.ops import shapes
from neurenix.ops.op import REQUIRED, Array, Attrs, Family, Op
from neurenix.ops.windows import WINDOW, padded, sample_window, taps, unpadded, zeros_around
from neurenix.threads import each, empty

_Kernel = tuple[int, int]

# Elements of the windows that are worked on at a time: four megabytes of float32. Fewer would stay in a nearer cache,
# but threads pass Python's lock to and fro between NumPy's calls, which have to be long for that.
CHUNK = 1 << 20

# Elements of the windows of all samples from which threads gain more than they cost.
_SHARED = 1 << 18


def sample_chunks(n: int, windows: int) -> list[slice]:
    """Return which samples to work on together, when the windows of one have so many elements."""
    count = -(-n // max(1, CHUNK // max(windows, 1)))
    if n * windows > _SHARED:  # enough for two threads, or for as many as there are chunks
        count = min(n, -(-count // 2) * 2)
    return [slice(n * i // count, n * (i + 1) // count) for i in range(count)]


def is_wide(window: Attrs) -> bool:
    """Say whether windows are laid out with the image's padding in between."""
    return tuple(window["stride"]) == (1, 1)


def columns_of(x: Array, kernel: _Kernel, window: Attrs) -> tuple[Array, int]:
    """Return the windows of x (N, C, H, W) as (C * KH * KW, N * OH * width), and the width: OW, or more."""
    n, c, h, w = x.shape
    oh, ow = shapes.known(shapes.windows(h, w, kernel, window))
    dh, dw = window["dilation"]
    if kernel == (1, 1) and is_wide(window) and not any(window["padding"]):
        return np.ascontiguousarray(x.transpose(1, 0, 2, 3)).reshape(c, n * oh * ow), ow
    if not is_wide(window):
        image = padded(x, window["padding"]).transpose(1, 0, 2, 3)
        sparse = np.empty((c, *kernel, n, oh, ow), dtype=x.dtype)
        for i, j, rows, columns in taps(kernel, (oh, ow), window):
            sparse[:, i, j] = image[:, :, rows, columns]
        return sparse.reshape(c * kernel[0] * kernel[1], n * oh * ow), ow
    flat, pixels, width = _laid_out((c, n, h, w), kernel, ow, window, x.dtype)
    pixels[...] = x.transpose(1, 0, 2, 3)
    # One copy of overlapping runs, all taps at a time.
    steps = (flat.strides[0], dh * width * flat.itemsize, dw * flat.itemsize, flat.strides[1], flat.itemsize)
    wide = empty((c, *kernel, n, oh * width), x.dtype)
    wide[...] = np.ndarray(wide.shape, flat.dtype, flat, 0, steps)
    return wide.reshape(c * kernel[0] * kernel[1], n * oh * width), width


def _laid_out(
    shape: tuple[int, int, int, int], kernel: _Kernel, ow: int, window: Attrs, dtype: Any
) -> tuple[Array, Array, int]:
    """Return zeros (C, N, length), the view of them that is an image (C, N, H, W), and how far its rows are apart."""
    c, n, h, w = shape
    ((top, bottom), (left, right)), dw = shapes.sides(window["padding"]), window["dilation"][1]
    width = max(w + max(left, right), ow)
    flat = np.zeros((c, n, (top + h + bottom) * width + left + (kernel[1] - 1) * dw), dtype=dtype)
    first = left + top * width
    return flat, flat[:, :, first : first + h * width].reshape(c, n, h, width)[..., :w], width


def spread(g: Array, width: int) -> Array:
    """Return g (N, O, OH, OW) as (O, N * OH * width), zeros where the width is more than OW."""
    n, o, oh, ow = g.shape
    result = empty((o, n, oh, width), g.dtype)
    result[..., :ow] = g.transpose(1, 0, 2, 3)
    result[..., ow:] = 0
    return result.reshape(o, n * oh * width)


def gathered(flat: Array, shape: Sequence[int]) -> Array:
    """Undo `spread`: return a view of shape (N, O, OH, OW) on (O, N * OH * width)."""
    n, o, oh, ow = shape
    width = flat.shape[-1] // (n * oh) if n * oh else ow
    return np.asarray(flat.reshape(o, n, oh, width)[..., :ow].transpose(1, 0, 2, 3))


def _by_group(matrix: Array, groups: int) -> Array:
    return matrix.reshape(groups, matrix.shape[0] // groups, matrix.shape[1])


def _input_gradient(g: Array, w: Array, shape: Any, groups: int, **window: Any) -> Array:
    n, c, h, wd = shape
    result = empty(shape, g.dtype)

    def compute(part: slice) -> None:
        piece = g[part]
        result[part] = _images(piece, w, (len(piece), c, h, wd), groups, window)

    each(compute, sample_chunks(n, c * math.prod(w.shape[2:]) * math.prod(g.shape[2:])))
    return result


def _images(g: Array, w: Array, shape: tuple[int, int, int, int], groups: int, window: Attrs) -> Array:
    """Return conv2d's gradient by all the images of a chunk, as a view of their padded form."""
    n, c, h, wd = shape
    kernel, (_, _, oh, ow) = (w.shape[2], w.shape[3]), g.shape
    dh, dw = window["dilation"]
    by = w.reshape(groups, w.shape[0] // groups, math.prod(w.shape[1:])).transpose(0, 2, 1)
    if is_wide(window):
        flat, rows, width = _laid_out((c, n, h, wd), kernel, ow, window, g.dtype)
        lines = multiplied(by, _by_group(spread(g, width), groups)).reshape(c, *kernel, n, oh * width)
        for i in range(kernel[0]):
            for j in range(kernel[1]):
                start = i * dh * width + j * dw
                flat[:, :, start : start + oh * width] += lines[:, i, j]
        return np.asarray(rows.transpose(1, 0, 2, 3))
    parts = multiplied(by, _by_group(spread(g, ow), groups)).reshape(c, *kernel, n, oh, ow)
    image = zeros_around((c, n, h, wd), window["padding"], g.dtype)
    for i, j, lines_of, columns in taps(kernel, (oh, ow), window):
        image[:, :, lines_of, columns] += parts[:, i, j]
    return np.asarray(unpadded(image, shape, window["padding"]).transpose(1, 0, 2, 3))


def multiplied(a: Array, b: Array) -> Array:
    """Return the products of two stacks of matrices."""
    return np.asarray(np.matmul(a, b, out=empty((a.shape[0], a.shape[1], b.shape[2]), b.dtype)))


def _weight_gradient(g: Array, x: Array, kernel_size: Any, groups: int, **window: Any) -> Array:
    (n, o), inner = g.shape[:2], x.shape[1] // groups
    parts = sample_chunks(n, x.shape[1] * math.prod(kernel_size) * math.prod(g.shape[2:]))
    sums = np.empty((len(parts), groups, o // groups, inner * math.prod(kernel_size)), dtype=g.dtype)

    def compute(index: int) -> None:
        part = parts[index]
        columns, width = columns_of(x[part], kernel_size, window)
        left, right = _by_group(spread(g[part], width), groups), _by_group(columns, groups)
        for group in range(groups):  # dot: where the result is small, matmul keeps Python's lock
            np.dot(left[group], right[group].T, out=sums[index, group])

    each(compute, range(len(parts)))
    return np.asarray(sums.sum(axis=0).reshape(o, inner, *kernel_size))


def _input_oracle(g: Array, w: Array, shape: Any, groups: int, **window: Any) -> Array:
    n, c, h, wd = shape
    image = zeros_around((n, c, h, wd), window["padding"], g.dtype)
    image = image.reshape(n, groups, c // groups, *image.shape[2:])
    gg = g.reshape(n, groups, g.shape[1] // groups, *g.shape[2:])
    wg = w.reshape(groups, len(w) // groups, *w.shape[1:])
    for i, j, rows, cols in taps(w.shape[2:], g.shape[2:], window):
        image[:, :, :, rows, cols] += np.einsum("ngohw,goc->ngchw", gg, wg[..., i, j], optimize=True)
    return np.asarray(unpadded(image, shape, window["padding"]).reshape(shape))


def _weight_oracle(g: Array, x: Array, kernel_size: Any, groups: int, **window: Any) -> Array:
    xp = padded(x, window["padding"])
    xg = xp.reshape(len(xp), groups, xp.shape[1] // groups, *xp.shape[2:])
    gg = g.reshape(len(g), groups, g.shape[1] // groups, *g.shape[2:])
    result = np.empty((groups, gg.shape[2], xg.shape[2], *kernel_size), dtype=g.dtype)
    for i, j, rows, cols in taps(kernel_size, g.shape[2:], window):
        result[..., i, j] = np.einsum("ngohw,ngchw->goc", gg, xg[:, :, :, rows, cols], optimize=True)
    return np.asarray(result.reshape(g.shape[1], *result.shape[2:]))


def _convolved(x: Shape, w: Shape, g: Shape, attrs: Attrs) -> None:
    made = shapes.conv2d([x, w], {**{k: attrs[k] for k in (*WINDOW, "groups")}, "layout": "NCHW"})
    if made != tuple(g):
        raise GraphError(f"conv2d of {shapes.show(x)} and {shapes.show(w)} makes {shapes.show(made)}, not "
                         f"{shapes.show(g)}")  # fmt: skip


def _input_shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    g, w = ins
    _convolved(tuple(attrs["shape"]), w, g, attrs)
    return tuple(attrs["shape"])


def _weight_shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    g, x = ins
    made: Shape = (g[1], x[1] // attrs["groups"], *attrs["kernel_size"])
    _convolved(x, made, g, attrs)
    return made


def _options(attrs: Attrs) -> dict[str, Any]:
    return {k: attrs[k] for k in (*WINDOW, "groups")}


def _of_input(v: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any, Any]:
    g, w = inputs
    dg = v.apply("conv2d", w, **_options(attrs)) if g.requires_grad else None
    return dg, g.apply("conv2d_weight_gradient", v, kernel_size=tuple(w.shape[2:]), **_options(attrs))


def _of_weight(v: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any, Any]:
    g, x = inputs
    dg = x.apply("conv2d", v, **_options(attrs)) if g.requires_grad else None
    return dg, g.apply("conv2d_input_gradient", v, shape=x.shape, **_options(attrs))


def _sample(rng: np.random.Generator) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], dict[str, Any]]:
    kernel, groups = (int(rng.integers(1, 5)), int(rng.integers(1, 5))), int(rng.choice([1, 1, 2, 3]))
    n, c, o = (int(v) for v in rng.integers(1, 5, 3))
    h, w = (int(rng.integers(2 * k, 2 * k + 9)) for k in kernel)
    window = sample_window(rng, kernel)
    if rng.random() < 0.5:
        window["stride"] = (1, 1)
    attrs = {"groups": groups, **window}
    x, weight = (n, c * groups, h, w), (o * groups, c, *kernel)
    return x, weight, shapes.known(shapes.conv2d([x, weight], {**attrs, "layout": "NCHW"})), attrs


def _sample_input(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    x, w, g, attrs = _sample(rng)
    return [g, w], {"shape": x, **attrs}


def _sample_weight(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    x, w, g, attrs = _sample(rng)
    return [g, x], {"kernel_size": w[2:], **attrs}


ROWS = (
    Op("conv2d_input_gradient", Family.CONTRACTION, "conv2d's gradient by its image of a `shape`, from its result's "
       "gradient and the weight.", 2, _input_shape, _input_oracle, compute=_input_gradient, gradient=_of_input,
       attrs={"shape": REQUIRED, **WINDOW, "groups": 1}, domain=(-1, 1), samples=_sample_input),
    Op("conv2d_weight_gradient", Family.CONTRACTION, "conv2d's gradient by its weight, from its result's gradient "
       "and the image.", 2, _weight_shape, _weight_oracle, compute=_weight_gradient, gradient=_of_weight,
       attrs={"kernel_size": REQUIRED, **WINDOW, "groups": 1}, domain=(-1, 1), samples=_sample_weight),
)  # fmt: skip
