"""The rows of convolution, and the two moves that it is made of when it is trained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from neurenix.dims import Shape, Size, smaller
from neurenix.errors import GraphError
from neurenix.ops import flops, shapes, types
from neurenix.ops.convolution_gradients import columns_of, gathered, multiplied, sample_chunks
from neurenix.ops.op import REQUIRED, Array, Attrs, Family, Kernel, Op
from neurenix.ops.windows import WINDOW, needs_nchw, padded, sample_window, taps, unpadded, zeros_around
from neurenix.threads import each, empty

# Letters: N batch, C/O channels in/out, G groups, H W image, KH KW kernel, P = OH * OW windows, K = C / G * KH * KW.


def conv2d_oracle(x: Array, w: Array, layout: str, groups: int, **window: Any) -> Array:
    """Return the sum over the kernel's taps of one product each."""
    if layout == "NHWC":
        x, w = x.transpose(0, 3, 1, 2), from_last(w, groups)
        return np.moveaxis(conv2d_oracle(x, w, "NCHW", groups, **window), 1, -1)
    n, o, oh, ow = shapes.known(shapes.conv2d([x.shape, w.shape], {**window, "layout": layout, "groups": groups}))
    result = np.zeros((n, groups, o // groups, oh, ow), dtype=x.dtype)
    xp = padded(x, window["padding"])
    xp = xp.reshape(n, groups, xp.shape[1] // groups, *xp.shape[2:])
    wg = w.reshape(groups, o // groups, *w.shape[1:])
    for i, j, rows, cols in taps(w.shape[2:], (oh, ow), window):
        result += np.einsum("ngchw,goc->ngohw", xp[:, :, :, rows, cols], wg[:, :, :, i, j], optimize=True)
    return result.reshape(n, o, oh, ow)


def to_last(w: Array, groups: int) -> Array:
    """Turn a weight (O, C / G, KH, KW) into what the channels-last kernel reads: (KH, KW, C, O), or with groups
    (G, KH, KW, C / G, O / G)."""
    if groups == 1:
        return np.asarray(w.transpose(2, 3, 1, 0))
    return np.asarray(w.reshape(groups, len(w) // groups, *w.shape[1:]).transpose(0, 3, 4, 2, 1))


def from_last(w: Array, groups: int) -> Array:
    """Undo `to_last`."""
    if groups == 1:
        return np.asarray(w.transpose(3, 2, 0, 1))
    grouped = w.transpose(0, 4, 3, 1, 2)
    return np.asarray(grouped.reshape(grouped.shape[0] * grouped.shape[1], *grouped.shape[2:]))


def _im2col(x: Array, kernel_size: tuple[int, int], **window: Any) -> Array:
    n, c, h, w = x.shape
    oh, ow = shapes.known(shapes.windows(h, w, kernel_size, window))
    if kernel_size == (1, 1) and window["stride"] == (1, 1) and not any(window["padding"]):
        return np.ascontiguousarray(x.transpose(1, 0, 2, 3)).reshape(c, n * oh * ow)
    xp = padded(x, window["padding"]).transpose(1, 0, 2, 3)
    cols = np.empty((c, *kernel_size, n, oh, ow), dtype=x.dtype)
    for i, j, rows, columns in taps(kernel_size, (oh, ow), window):
        cols[:, i, j] = xp[:, :, rows, columns]
    return cols.reshape(c * kernel_size[0] * kernel_size[1], n * oh * ow)


def _im2col_oracle(x: Array, kernel_size: tuple[int, int], stride: Any, padding: Any, dilation: Any) -> Array:
    xp = padded(x, padding)
    reach = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel_size))
    views = np.lib.stride_tricks.sliding_window_view(xp, reach, axis=(2, 3))
    picked = views[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    columns = picked.transpose(1, 4, 5, 0, 2, 3)
    return np.asarray(columns.reshape(math.prod(columns.shape[:3]), math.prod(columns.shape[3:])))


def _col2im(cols: Array, shape: tuple[int, int, int, int], kernel_size: tuple[int, int], **window: Any) -> Array:
    n, c, h, w = shape
    oh, ow = shapes.known(shapes.windows(h, w, kernel_size, window))
    image = zeros_around((c, n, h, w), window["padding"], cols.dtype)
    parts = cols.reshape(c, *kernel_size, n, oh, ow)
    for i, j, rows, columns in taps(kernel_size, (oh, ow), window):
        image[:, :, rows, columns] += parts[:, i, j]
    return np.ascontiguousarray(unpadded(image, shape, window["padding"]).transpose(1, 0, 2, 3))


def _col2im_oracle(cols: Array, shape: Any, kernel_size: Any, **window: Any) -> Array:
    """The transpose of im2col, found by moving an image of indices instead of values."""
    index = np.arange(1, np.prod(shape) + 1, dtype=np.float64).reshape(shape)
    places = _im2col_oracle(index, kernel_size, **window).astype(np.int64)
    flat = np.zeros(int(np.prod(shape)) + 1, dtype=cols.dtype)
    np.add.at(flat, places.ravel(), cols.ravel())
    return np.asarray(flat[1:].reshape(shape))


def _im2col_shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    (n, c, h, w), (kh, kw) = ins[0], attrs["kernel_size"]
    oh, ow = shapes.windows(h, w, (kh, kw), attrs)
    return (c * kh * kw, n * oh * ow)


def _col2im_shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    shape: Shape = tuple(attrs["shape"])
    wanted = _im2col_shape([shape], attrs)
    if ins[0] != wanted:
        raise GraphError(f"the windows of {shapes.show(shape)} are {shapes.show(wanted)}, got {shapes.show(ins[0])}")
    return shape


def conv2d(x: Array, w: Array, layout: str, groups: int, bias: Array | None = None, **window: Any) -> Array:
    """Return one matrix product for each group and chunk of samples, plus a bias for each channel."""
    if layout == "NHWC":
        return conv2d_oracle(x, w, layout, groups, **window)
    n, o, oh, ow = shapes.known(shapes.conv2d([x.shape, w.shape], {**window, "layout": layout, "groups": groups}))
    if groups > 1 and w.shape[1] == 1 and o == groups:
        made = _each_channel(x, w, (oh, ow), window)
        return made if bias is None else np.add(made, bias[:, None, None], out=made)
    result, by_group = empty((n, o, oh, ow), x.dtype), w.reshape(groups, o // groups, math.prod(w.shape[1:]))

    def compute(part: slice) -> None:
        columns, _ = columns_of(x[part], (w.shape[2], w.shape[3]), window)
        flat = multiplied(by_group, columns.reshape(groups, len(columns) // groups, columns.shape[1]))
        if bias is not None:
            flat += bias.reshape(groups, o // groups, 1)
        result[part] = gathered(flat, result[part].shape)

    each(compute, sample_chunks(n, x.shape[1] * w.shape[2] * w.shape[3] * oh * ow))
    return result


def _biased(x: Array, w: Array, b: Array, **attrs: Any) -> Array:
    return conv2d(x, w, "NCHW", bias=b, **attrs)


def _biased_shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    if ins[2] != ins[1][:1]:
        raise GraphError(f"a weight {shapes.show(ins[1])} takes a bias of {ins[1][0]}, got {shapes.show(ins[2])}")
    return shapes.conv2d(ins[:2], {**attrs, "layout": "NCHW"})


def _biased_gradient(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any, Any, Any]:
    dx, dw = conv2d_gradient(g, y, inputs[:2], {**attrs, "layout": "NCHW"})
    return dx, dw, g.sum((0, 2, 3)) if inputs[2].requires_grad else None


def _each_channel(x: Array, w: Array, out: tuple[int, int], window: Attrs) -> Array:
    """A kernel for each channel: there is nothing to multiply matrices for."""
    xp = padded(x, window["padding"])
    result = np.zeros((*x.shape[:2], *out), dtype=x.dtype)
    part = np.empty_like(result)
    for i, j, rows, columns in taps(w.shape[2:], out, window):
        np.multiply(xp[:, :, rows, columns], w[None, :, 0, i, j, None, None], out=part)
        result += part
    return result


def conv2d_gradient(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any, Any]:
    """Return the gradients of x and w, ops of their own."""
    x, w = inputs
    needs_nchw("conv2d", attrs)
    options = {k: attrs[k] for k in (*WINDOW, "groups")}
    dx = g.apply("conv2d_input_gradient", w, shape=x.shape, **options) if x.requires_grad else None
    if not w.requires_grad:
        return dx, None
    return dx, g.apply("conv2d_weight_gradient", x, kernel_size=tuple(w.shape[2:]), **options)


def _conv2d_sizes(ins: Sequence[Shape], out: Shape, attrs: Attrs) -> dict[str, Size]:
    (n, h, w, c), (kh, kw, inner, _) = ins[0], ins[1][-4:]
    rows = n * out[1] * out[2]
    depth = kh * kw * inner
    assert isinstance(depth, int)
    # The windows of one chunk are gathered into some 64 KiB, which the level-2 cache keeps; 12 is a multiple of the
    # rows of every tile.
    chunk = smaller(max(12, min(60, 32768 // max(depth, 1) // 12 * 12)), (rows + 11) // 12 * 12)
    (sh, sw), (ph, pw), (dh, dw) = attrs["stride"], attrs["padding"][:2], attrs["dilation"]
    return {
        "N": n, "H": h, "W": w, "C": c, "OH": out[1], "OW": out[2], "O": out[3], "KH": kh, "KW": kw,
        "stride_h": sh, "stride_w": sw, "pad_h": ph, "pad_w": pw, "dilation_h": dh, "dilation_w": dw, "chunk": chunk,
        "groups": attrs["groups"],
    }  # fmt: skip


def _conv2d_scratch(sizes: Mapping[str, Size]) -> Size:
    return sizes["chunk"] * sizes["KH"] * sizes["KW"] * (sizes["C"] // sizes["groups"])


def _moves_sizes(n: Size, c: Size, h: Size, w: Size, attrs: Attrs) -> dict[str, Size]:
    (kh, kw), (sh, sw), (dh, dw) = (attrs[k] for k in ("kernel_size", "stride", "dilation"))
    ph, pw = attrs["padding"][:2]  # where the image begins; where it ends follows from its size
    oh, ow = shapes.windows(h, w, (kh, kw), attrs)
    return {
        "N": n, "C": c, "H": h, "W": w, "OH": oh, "OW": ow, "KH": kh, "KW": kw,
        "stride_h": sh, "stride_w": sw, "pad_h": ph, "pad_w": pw, "dilation_h": dh, "dilation_w": dw,
    }  # fmt: skip


def _im2col_sizes(ins: Sequence[Shape], out: Shape, attrs: Attrs) -> dict[str, Size]:
    n, c, h, w = ins[0]
    return _moves_sizes(n, c, h, w, attrs)


def _col2im_sizes(ins: Sequence[Shape], out: Shape, attrs: Attrs) -> dict[str, Size]:
    n, c, h, w = out
    return _moves_sizes(n, c, h, w, attrs)


def _sample_conv2d(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    kernel = (int(rng.integers(1, 5)), int(rng.integers(1, 5)))
    n, c, o = (int(v) for v in rng.integers(1, 14, 3))
    h, w = (int(rng.integers(2 * k, 2 * k + 9)) for k in kernel)
    groups = int(rng.choice([1, 1, 2, 3, 5]))
    if groups > 1:
        c, o = (min(v, 6) * groups for v in (c, o))
    if groups > 1 and rng.random() < 0.4:
        c = o = groups * int(rng.integers(1, 5))
        groups = c
    return [(n, c, h, w), (o, c // groups, *kernel)], {"groups": groups, **sample_window(rng, kernel)}


def _sample_biased(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    (x, w), attrs = _sample_conv2d(rng)
    return [x, w, w[:1]], attrs


def _sample_im2col(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    kernel = (int(rng.integers(1, 5)), int(rng.integers(1, 5)))
    n, c = (int(v) for v in rng.integers(1, 8, 2))
    h, w = (int(rng.integers(2 * k, 2 * k + 9)) for k in kernel)
    return [(n, c, h, w)], {"kernel_size": kernel, **sample_window(rng, kernel)}


def _sample_col2im(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    (image,), attrs = _sample_im2col(rng)
    return [shapes.known(_im2col_shape([image], attrs))], {"shape": image, **attrs}


ROWS = (
    Op("conv2d", Family.CONTRACTION, "2-D cross-correlation of x (N, C, H, W) with w (O, C / groups, KH, KW).", 2,
       shapes.conv2d, conv2d_oracle, dtype=types.number, compute=conv2d, gradient=conv2d_gradient,
       attrs={**WINDOW, "groups": 1, "layout": "NCHW"}, domain=(-1, 1), samples=_sample_conv2d,
       kernel=Kernel("conv2d.c", _conv2d_sizes, (None, "panel8"), epilogue=True,
                     defines=lambda attrs: {"NX_GROUPED": ""} if attrs["groups"] > 1 else {},
                     scratch=_conv2d_scratch, channels_last=True), flops=flops.conv2d),
    # What training runs: the bias is added while the result is in the cache. A traced model holds conv2d and add, which
    # are compiled; so it has no kernel.
    Op("biased_conv2d", Family.CONTRACTION, "conv2d of x and w in NCHW, plus a bias (O,) for each channel.", 3,
       _biased_shape, lambda x, w, b, **attrs: conv2d_oracle(x, w, "NCHW", **attrs) + b[:, None, None],
       dtype=types.floating, compute=_biased, gradient=_biased_gradient, attrs={**WINDOW, "groups": 1}, domain=(-1, 1),
       samples=_sample_biased, flops=flops.conv2d),
    Op("im2col", Family.CONTRACTION, "The windows of x (N, C, H, W) as the columns of a (C KH KW, N OH OW) matrix.", 1,
       _im2col_shape, _im2col_oracle, compute=_im2col, attrs={"kernel_size": REQUIRED, **WINDOW},
       samples=_sample_im2col, gradient=lambda g, y, inputs, attrs: (g.col2im(shape=inputs[0].shape, **attrs),),
       kernel=Kernel("im2col.c", _im2col_sizes, (None,), typed=True), flops=flops.per_output(0)),
    Op("col2im", Family.CONTRACTION, "The transpose of im2col: every column added back to its window in `shape`.", 1,
       _col2im_shape, _col2im_oracle, compute=_col2im,
       attrs={"shape": REQUIRED, "kernel_size": REQUIRED, **WINDOW}, samples=_sample_col2im,
       gradient=lambda g, y, inputs, attrs: (g.im2col(**{k: v for k, v in attrs.items() if k != "shape"}),),
       kernel=Kernel("col2im.c", _col2im_sizes, (None,), typed=True), flops=flops.per_input(1)),
)  # fmt: skip
