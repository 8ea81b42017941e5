"""The contracting rows: matrix multiplication, convolution, and the two moves that convolution is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from neurenix.dims import Shape, Size, product, smaller
from neurenix.errors import GraphError
from neurenix.ops import shapes
from neurenix.ops.op import REQUIRED, Array, Attrs, Family, Kernel, Op

# Letters: N batch, C/O channels in/out, H W image, KH KW kernel, P = OH * OW windows, K = C * KH * KW.

_WINDOW = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1)}


def _matmul_gradient(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any, Any]:
    a, b = inputs
    return (g @ b.transpose(-1, -2)).sum_to(a.shape), (a.transpose(-1, -2) @ g).sum_to(b.shape)


def _matmul_sizes(ins: Sequence[Shape], out: Shape, attrs: Attrs) -> dict[str, Size]:
    a, b = ins
    return {"M": product(out[:-1]), "N": b[-1], "K": a[-1]}


def _padded(x: Array, padding: tuple[int, int]) -> Array:
    ph, pw = padding
    return np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw))) if ph or pw else x


def _taps(kernel: Sequence[int], out: Sequence[int], attrs: Attrs) -> list[tuple[int, int, slice, slice]]:
    """The kernel's positions, each with the rows and columns of the padded image that it touches."""
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


def _conv2d_oracle(x: Array, w: Array, layout: str, **window: Any) -> Array:
    if layout == "NHWC":
        nchw = _conv2d_oracle(x.transpose(0, 3, 1, 2), w.transpose(3, 2, 0, 1), "NCHW", **window)
        return np.moveaxis(nchw, 1, -1)
    out = shapes.known(shapes.conv2d([x.shape, w.shape], {**window, "layout": layout}))
    result = np.zeros(out, dtype=x.dtype)
    xp = _padded(x, window["padding"])
    for i, j, rows, cols in _taps(w.shape[2:], out[2:], window):
        result += np.einsum("nchw,oc->nohw", xp[:, :, rows, cols], w[:, :, i, j], optimize=True)
    return result


def _im2col(x: Array, kernel_size: tuple[int, int], **window: Any) -> Array:
    n, c, h, w = x.shape
    oh, ow = shapes.known(shapes.windows(h, w, kernel_size, window))
    xp = _padded(x, window["padding"]).transpose(1, 0, 2, 3)
    cols = np.empty((c, *kernel_size, n, oh, ow), dtype=x.dtype)
    for i, j, rows, columns in _taps(kernel_size, (oh, ow), window):
        cols[:, i, j] = xp[:, :, rows, columns]
    return cols.reshape(c * kernel_size[0] * kernel_size[1], -1)


def _im2col_oracle(x: Array, kernel_size: tuple[int, int], stride: Any, padding: Any, dilation: Any) -> Array:
    xp = _padded(x, padding)
    reach = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel_size))
    views = np.lib.stride_tricks.sliding_window_view(xp, reach, axis=(2, 3))
    picked = views[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    columns = picked.transpose(1, 4, 5, 0, 2, 3)
    return np.asarray(columns.reshape(xp.shape[1] * kernel_size[0] * kernel_size[1], -1))


def _col2im(cols: Array, shape: tuple[int, int, int, int], kernel_size: tuple[int, int], **window: Any) -> Array:
    n, c, h, w = shape
    ph, pw = window["padding"]
    oh, ow = shapes.known(shapes.windows(h, w, kernel_size, window))
    image = np.zeros((c, n, h + 2 * ph, w + 2 * pw), dtype=cols.dtype)
    parts = cols.reshape(c, *kernel_size, n, oh, ow)
    for i, j, rows, columns in _taps(kernel_size, (oh, ow), window):
        image[:, :, rows, columns] += parts[:, i, j]
    return np.ascontiguousarray(image[:, :, ph : ph + h, pw : pw + w].transpose(1, 0, 2, 3))


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


def _conv2d(x: Array, w: Array, layout: str, **window: Any) -> Array:
    if layout == "NHWC":
        return _conv2d_oracle(x, w, layout, **window)
    n, o, oh, ow = shapes.known(shapes.conv2d([x.shape, w.shape], {**window, "layout": layout}))
    cols = _im2col(x, (w.shape[2], w.shape[3]), **window)
    flat = w.reshape(w.shape[0], -1) @ cols
    return np.ascontiguousarray(flat.reshape(o, n, oh, ow).transpose(1, 0, 2, 3))


def needs_nchw(op: str, attrs: Attrs) -> None:
    """Raise GraphError for NHWC, which is for compiled plans: no gradient is written for it."""
    if attrs["layout"] != "NCHW":
        raise GraphError(f"op '{op}' has a gradient in the layout NCHW only, got {attrs['layout']}")


def _conv2d_gradient(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any, Any]:
    x, w = inputs
    needs_nchw("conv2d", attrs)
    window = {k: attrs[k] for k in _WINDOW}
    kernel = tuple(w.shape[2:])
    flat = g.permute((1, 0, 2, 3)).reshape((w.shape[0], -1))
    dx = (w.reshape((w.shape[0], -1)).transpose(0, 1) @ flat).col2im(shape=x.shape, kernel_size=kernel, **window)
    dw = flat @ x.im2col(kernel_size=kernel, **window).transpose(0, 1)
    return dx, dw.reshape(w.shape)


def _conv2d_sizes(ins: Sequence[Shape], out: Shape, attrs: Attrs) -> dict[str, Size]:
    (n, h, w, c), (kh, kw, _, o) = ins[0], ins[1]
    rows = n * out[1] * out[2]
    depth = kh * kw * c
    assert isinstance(depth, int)
    # The windows of one chunk are gathered into some 64 KiB, which the level-2 cache keeps; 12 is a multiple of the
    # rows of every tile.
    chunk = smaller(max(12, min(60, 32768 // depth // 12 * 12)), (rows + 11) // 12 * 12)
    (sh, sw), (ph, pw), (dh, dw) = attrs["stride"], attrs["padding"], attrs["dilation"]
    return {
        "N": n, "H": h, "W": w, "C": c, "OH": out[1], "OW": out[2], "O": o, "KH": kh, "KW": kw,
        "stride_h": sh, "stride_w": sw, "pad_h": ph, "pad_w": pw, "dilation_h": dh, "dilation_w": dw, "chunk": chunk,
    }  # fmt: skip


def _conv2d_scratch(sizes: Mapping[str, Size]) -> Size:
    return sizes["chunk"] * sizes["KH"] * sizes["KW"] * sizes["C"]


def _sample_matmul(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    m, k, n = (int(v) for v in rng.integers(1, 40, 3))
    return [(m, k), (k, n)], {}


def _sample_window(rng: np.random.Generator, kernel: tuple[int, int]) -> dict[str, Any]:
    dilation = tuple(int(v) for v in rng.integers(1, 3, 2))
    return {
        "stride": tuple(int(v) for v in rng.integers(1, 4, 2)),
        "padding": tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel),
        "dilation": dilation,
    }


def _sample_conv2d(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    kernel = (int(rng.integers(1, 5)), int(rng.integers(1, 5)))
    n, c, o = (int(v) for v in rng.integers(1, 14, 3))
    h, w = (int(rng.integers(2 * k, 2 * k + 9)) for k in kernel)
    return [(n, c, h, w), (o, c, *kernel)], _sample_window(rng, kernel)


def _sample_im2col(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    (image, weight), window = _sample_conv2d(rng)
    return [image], {"kernel_size": weight[2:], **window}


def _sample_col2im(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    (image,), attrs = _sample_im2col(rng)
    return [shapes.known(_im2col_shape([image], attrs))], {"shape": image, **attrs}


ROWS = (
    Op("matmul", Family.CONTRACTION, "(…, M, K) times (…, K, N); leading axes broadcast.", 2, shapes.matmul,
       lambda a, b: np.einsum("...mk,...kn->...mn", a, b), compute=np.matmul, gradient=_matmul_gradient,
       kernel=Kernel("matmul.c", _matmul_sizes, (None, "panel8"), epilogue=True),
       domain=(-1, 1), samples=_sample_matmul),
    Op("conv2d", Family.CONTRACTION, "2-D cross-correlation of x (N, C, H, W) with w (O, C, KH, KW).", 2,
       shapes.conv2d, _conv2d_oracle, compute=_conv2d, gradient=_conv2d_gradient,
       attrs={**_WINDOW, "layout": "NCHW"}, domain=(-1, 1), samples=_sample_conv2d,
       kernel=Kernel("conv2d.c", _conv2d_sizes, (None, "panel8"), epilogue=True,
                     scratch=_conv2d_scratch, channels_last=True)),
    Op("im2col", Family.CONTRACTION, "The windows of x (N, C, H, W) as the columns of a (C KH KW, N OH OW) matrix.", 1,
       _im2col_shape, _im2col_oracle, compute=_im2col, attrs={"kernel_size": REQUIRED, **_WINDOW},
       samples=_sample_im2col, gradient=lambda g, y, inputs, attrs: (g.col2im(shape=inputs[0].shape, **attrs),)),
    Op("col2im", Family.CONTRACTION, "The transpose of im2col: every column added back to its window in `shape`.", 1,
       lambda ins, attrs: tuple(attrs["shape"]), _col2im_oracle, compute=_col2im,
       attrs={"shape": REQUIRED, "kernel_size": REQUIRED, **_WINDOW}, samples=_sample_col2im,
       gradient=lambda g, y, inputs, attrs: (g.im2col(**{k: v for k, v in attrs.items() if k != "shape"}),)),
)  # fmt: skip
