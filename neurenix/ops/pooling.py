"""The geometry of pooling windows: how many fit, what they cover, how their kernels are called."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from neurenix.dims import Shape, Size, smaller
from neurenix.errors import GraphError
from neurenix.ops import shapes
from neurenix.ops.op import Array, Attrs
from neurenix.ops.windows import sample_padding

# Letters: N batch, C channels, H W image, OH OW windows; `padding` is (height, width), on both sides of an axis, or
# (top, left, bottom, right).


def image_sizes(shape: Shape, attrs: Attrs) -> tuple[Size, Size, Size, Size]:
    """Return N, C, H, W of an image in the layout that the attributes name. Raises GraphError for another rank."""
    if len(shape) != 4:
        raise GraphError(f"a 2-D pool takes a rank-4 image, got {shapes.show(shape)}")
    if attrs["layout"] == "NHWC":
        n, h, w, c = shape
        return n, c, h, w
    return shape[0], shape[1], shape[2], shape[3]


def image_shape(n: Size, c: Size, h: Size, w: Size, attrs: Attrs) -> Shape:
    """Return the shape of an image in the layout that the attributes name."""
    return (n, h, w, c) if attrs["layout"] == "NHWC" else (n, c, h, w)


def window_count(
    size: Size, kernel: int, stride: int, padding: tuple[int, int], dilation: int, ceil_mode: bool
) -> Size:
    """Return how many windows an axis has; with `ceil_mode` the last one may hang over the end.

    As in PyTorch: a window must start inside the image or its left padding.
    """
    reach, before = dilation * (kernel - 1) + 1, padding[0]
    spare = size + (sum(padding) - reach)
    if not ceil_mode:
        return spare // stride + 1
    return smaller((spare + (stride - 1)) // stride + 1, (size + (before - 1)) // stride + 1)


def _require_narrow(attrs: Attrs) -> None:
    """Raise GraphError where a window could hold nothing but padding. PyTorch's rule for equal sides is stricter."""
    kernel, _, padding, dilation = _window(attrs)
    for k, pair, d in zip(kernel, padding, dilation):
        reach = d * (k - 1) + 1
        if len(attrs["padding"]) == 2 and sum(pair) > reach:
            raise GraphError(f"padding {pair[0]} is more than half of a window of {k}, which could hold nothing else")
        if max(pair) >= reach:
            raise GraphError(f"padding {max(pair)} is not less than a window of {reach}, which could hold nothing else")


def pooled(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    """Return the shape of one value for each window, in the input's layout."""
    n, c, h, w = image_sizes(ins[0], attrs)
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = _window(attrs)
    if min(kh, kw, sh, sw, dh, dw) < 1 or min(*ph, *pw) < 0:
        given = tuple(attrs["padding"])
        raise GraphError(f"kernel {kh, kw}, stride {sh, sw} and dilation {dh, dw} start at 1, padding {given} at 0")
    _require_narrow(attrs)
    oh = window_count(h, kh, sh, ph, dh, attrs["ceil_mode"])
    ow = window_count(w, kw, sw, pw, dw, attrs["ceil_mode"])
    if any(isinstance(s, int) and s < 1 for s in (oh, ow)):
        raise GraphError(f"a {kh}x{kw} window does not fit an image of {h}x{w}")
    return image_shape(n, c, oh, ow, attrs)


def expect(found: Shape, wanted: Shape, what: str) -> None:
    """Raise GraphError unless a shape is the one that it must be."""
    if tuple(found) != tuple(wanted):
        raise GraphError(f"{what} must be {shapes.show(tuple(wanted))}, got {shapes.show(tuple(found))}")


def _window(attrs: Attrs) -> tuple[Any, Any, tuple[tuple[int, int], tuple[int, int]], Any]:
    """Return kernel size, stride, padding and dilation, for each axis; the padding before and behind it."""
    return attrs["kernel_size"], attrs["stride"], shapes.sides(attrs["padding"]), attrs.get("dilation", (1, 1))


def pool_sizes(ins: Sequence[Shape], out: Shape, attrs: Attrs) -> dict[str, Size]:
    """Return the integer arguments of pool2d.c for windows with a stride; the layout is NHWC there."""
    (n, h, w, c) = ins[0]
    (kh, kw), (sh, sw), ((ph, _), (pw, _)), (dh, dw) = _window(attrs)
    return {
        "N": n, "H": h, "W": w, "C": c, "OH": out[1], "OW": out[2], "KH": kh, "KW": kw,
        "stride_h": sh, "stride_w": sw, "pad_h": ph, "pad_w": pw, "dilation_h": dh, "dilation_w": dw,
    }  # fmt: skip


def borders(shape: Sequence[int], attrs: Attrs) -> tuple[tuple[int, int], ...]:
    """Return how much an NCHW image grows on either side of each axis so that every window lies inside."""
    grown = [(0, 0), (0, 0)]
    out = shapes.known(pooled([tuple(shape)], attrs))
    for size, count, kernel, stride, padding, dilation in zip(shape[2:], out[2:], *_window(attrs)):
        last = (count - 1) * stride + dilation * (kernel - 1) + 1
        grown.append((padding[0], max(padding[1], last - size - padding[0])))
    return tuple(grown)


def padded(x: Array, attrs: Attrs, value: float) -> Array:
    """Return an NCHW image with its borders, filled with a value."""
    grown = borders(x.shape, attrs)
    return np.pad(x, grown, constant_values=value) if any(map(any, grown)) else x


def inner(x: Array, shape: Sequence[int], attrs: Attrs) -> Array:
    """Return what `padded` grew around: an image of this shape."""
    _, _, (top, _), (left, _) = borders(shape, attrs)
    return x[:, :, top : top + shape[2], left : left + shape[3]]


def axis_taps(axis: int, out: Sequence[int], attrs: Attrs) -> Iterator[slice]:
    """Yield for each place in a window the padded rows (axis 0) or columns (axis 1) that all windows have there."""
    kernel, stride, dilation = (attrs.get(name, (1, 1))[axis] for name in ("kernel_size", "stride", "dilation"))
    for i in range(kernel):
        yield slice(i * dilation, i * dilation + stride * (out[axis] - 1) + 1, stride)


def reduce_windows(function: Any, xp: Array, attrs: Attrs, out: Sequence[int], into: Array | None = None) -> Array:
    """Combine each window of a padded NCHW image by a NumPy function of two arrays: first rows, then columns.

    The result is `into` where that is given.
    """
    made = xp
    for axis in (0, 1):
        parts = axis_taps(axis, out, attrs)
        first, *others = (made[:, :, part] if axis == 0 else made[:, :, :, part] for part in parts)
        made = function(first, others[0], out=into if axis == 1 else None) if others else first
        for piece in others[1:]:
            function(made, piece, out=made)
    if into is not None:
        if made is not into:
            into[...] = made
        return into
    return made.copy() if made.base is not None else made


def in_either_layout(compute: Callable[..., Array]) -> Callable[..., Array]:
    """Let a function of one NCHW image take NHWC too."""

    @functools.wraps(compute)
    def turned(x: Array, layout: str, **attrs: Any) -> Array:
        if layout == "NHWC":
            return np.moveaxis(compute(x.transpose(0, 3, 1, 2), layout="NCHW", **attrs), 1, -1)
        return compute(x, layout="NCHW", **attrs)

    return turned


def sample_pool(rng: np.random.Generator, dilated: bool = True) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    """Return a random image shape and a window that fits it."""
    kernel = (int(rng.integers(1, 5)), int(rng.integers(1, 5)))
    n, c = int(rng.integers(1, 4)), int(rng.choice([1, 3, 4, 8, 13, 33]))
    h, w = (int(rng.integers(2 * k, 2 * k + 9)) for k in kernel)
    attrs: dict[str, Any] = {
        "kernel_size": kernel,
        "stride": tuple(int(v) for v in rng.integers(1, 4, 2)),
        "padding": sample_padding(rng, kernel),
        "ceil_mode": bool(rng.integers(2)),
    }
    attrs["ceil_mode"] &= len(attrs["padding"]) == 2  # of uneven padding PyTorch would start windows in its end
    if dilated:
        attrs["dilation"] = tuple(int(v) for v in rng.integers(1, 3, 2))
    return [(n, c, h, w)], attrs
