"""The row of depthwise convolution: what the compiler makes of a conv2d with a group for each channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurenix.dims import Shape, Size
from neurenix.errors import GraphError
from neurenix.ops import convolution, flops, shapes, types
from neurenix.ops.op import REQUIRED, Array, Attrs, Family, Kernel, Op
from neurenix.ops.windows import WINDOW, needs_nchw, sample_window

# Kernels of at most so many columns have their loop over columns written out, for strides that a strip of pixels can
# share loads at.
WIDEST_UNROLLED = 7


def _shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    x, w = ins
    last = attrs["layout"] == "NHWC"
    if len(x) != 4 or len(w) != (3 if last else 4):
        raise GraphError(f"depthwise2d takes a rank-4 image, got {shapes.show(x)} and a weight {shapes.show(w)}")
    channels = x[3] if last else x[1]
    if channels == 0:
        raise GraphError(f"an image of {shapes.show(x)} has no channels")
    wanted = (*attrs["kernel_size"], channels) if last else (channels, 1, *attrs["kernel_size"])
    if tuple(w) != wanted:
        raise GraphError(f"the weight must be {shapes.show(wanted)}, got {shapes.show(w)}")
    h, wd = (x[1], x[2]) if last else (x[2], x[3])
    oh, ow = shapes.windows(h, wd, attrs["kernel_size"], attrs)
    return (x[0], oh, ow, channels) if last else (x[0], channels, oh, ow)


def _window(attrs: Attrs) -> dict[str, Any]:
    return {k: attrs[k] for k in WINDOW}


def _oracle(x: Array, w: Array, **attrs: Any) -> Array:
    oracle = convolution.conv2d_oracle
    if attrs["layout"] == "NHWC":
        x, w = x.transpose(0, 3, 1, 2), w.transpose(2, 0, 1)[:, None]
        return np.moveaxis(oracle(x, w, "NCHW", x.shape[1], **_window(attrs)), 1, -1)
    return oracle(x, w, "NCHW", x.shape[1], **_window(attrs))


def _gradient(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any, Any]:
    needs_nchw("depthwise2d", attrs)
    as_conv2d = {**_window(attrs), "groups": inputs[0].shape[1], "layout": "NCHW"}
    return convolution.conv2d_gradient(g, y, inputs, as_conv2d)


def _sizes(ins: Sequence[Shape], out: Shape, attrs: Attrs) -> dict[str, Size]:
    (n, h, w, c), (kh, kw) = ins[0], attrs["kernel_size"]
    (sh, sw), (ph, pw), (dh, dw) = attrs["stride"], attrs["padding"][:2], attrs["dilation"]
    return {
        "N": n, "H": h, "W": w, "C": c, "OH": out[1], "OW": out[2], "KH": kh, "KW": kw,
        "stride_h": sh, "stride_w": sw, "pad_h": ph, "pad_w": pw, "dilation_h": dh, "dilation_w": dw,
    }  # fmt: skip


def _defines(attrs: Attrs) -> dict[str, str]:
    """Constants where they change the loop: the columns of the kernel and the stride that neighbours share them at."""
    (_, kw), stride, dilation = attrs["kernel_size"], attrs["stride"][1], attrs["dilation"][1]
    if kw > WIDEST_UNROLLED or stride > 2 or dilation > 1:
        return {}
    return {"NX_KW": str(kw), "NX_STRIDE": str(stride)}


def _samples(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    kernel = (int(rng.integers(1, 6)), int(rng.integers(1, 6)))
    n, c = int(rng.integers(1, 4)), int(rng.integers(1, 30))
    h, w = (int(rng.integers(2 * k, 2 * k + 12)) for k in kernel)
    window = sample_window(rng, kernel)
    if rng.random() < 0.5:
        window["dilation"] = (1, 1)
    return [(n, c, h, w), (c, 1, *kernel)], {"kernel_size": kernel, **window}


ROWS = (
    Op("depthwise2d", Family.CONTRACTION, "conv2d of x (N, C, H, W) with a kernel for each channel, w (C, 1, KH, KW).",
       2, _shape, _oracle, dtype=types.number, gradient=_gradient, domain=(-1, 1), samples=_samples,
       attrs={"kernel_size": REQUIRED, **WINDOW, "layout": "NCHW"},
       compute=lambda x, w, layout, kernel_size, **window: convolution.conv2d(x, w, "NCHW", x.shape[1], **window)
       if layout == "NCHW" else _oracle(x, w, layout=layout, kernel_size=kernel_size, **window),
       kernel=Kernel("depthwise2d.c", _sizes, (None, "rows"), epilogue=True, defines=_defines, channels_last=True),
       flops=flops.conv2d),
)  # fmt: skip
