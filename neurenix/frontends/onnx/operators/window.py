"""Pools: a window slides over an image and leaves one number for each place."""

from __future__ import annotations

import itertools

import numpy as np

from neurenix.dims import Shape, Size, product
from neurenix.errors import ModelError, UnsupportedError
from neurenix.frontends.onnx.limits import affordable
from neurenix.frontends.onnx.operator import Call, Sizes, operator
from neurenix.frontends.onnx.symbolic import materialized, symbolic
from neurenix.frontends.onnx.windows import Numbers, Window, padded, require, spatial, window_of
from neurenix.tensor import Tensor, arange, ones, stack, zeros

_CONVOLVE = {1: Tensor.conv1d, 2: Tensor.conv2d, 3: Tensor.conv3d}
_MAX = {1: Tensor.max_pool1d, 2: Tensor.max_pool2d, 3: Tensor.max_pool3d}
_AVERAGE = {1: Tensor.avg_pool1d, 2: Tensor.avg_pool2d, 3: Tensor.avg_pool3d}


@operator("MaxPool")
def max_pool(
    call: Call, x: Tensor, *,
    kernel_shape: tuple[int, ...], auto_pad: str = "NOTSET", ceil_mode: bool = False, dilations: Numbers = None,
    pads: Numbers = None, storage_order: int = 0, strides: Numbers = None,
) -> tuple[Tensor, Tensor | None]:  # fmt: skip
    require("storage_order", storage_order, (0, 1))
    sizes = spatial(x)
    window = window_of(sizes, kernel_shape, strides, pads, dilations, auto_pad)
    _require_smaller_padding(window)
    kind = x.dtype
    image = x if kind.numpy.kind == "f" else x.cast("float32")
    if kind.numpy.kind != "f" and kind.size > 2:
        raise UnsupportedError(f"it pools {kind}; floats and integers of up to 16 bits are supported")
    rank, counts = len(sizes), window.counts(sizes, ceil_mode)
    if _is_plain(window):
        y = _MAX[rank](image, window.kernel, window.strides, window.before, window.dilations, ceil_mode)  # type: ignore[arg-type]
    else:
        border = padded(image, window.before, window.ends(sizes, counts), float("-inf"))
        y = _MAX[rank](border, window.kernel, window.strides, 0, window.dilations)
    y = y if y.dtype == kind else y.cast(kind)
    return y, _largest_places(image, window, counts, bool(storage_order)) if call.wants(1) else None


def _largest_places(x: Tensor, window: Window, counts: Shape, column_major: bool) -> Tensor:
    """Return where in the whole tensor each window's first largest element is."""
    sizes, rank = x.shape[2:], x.ndim - 2
    border = padded(x, window.before, window.ends(sizes, counts), float("-inf"))
    taps = list(itertools.product(*(range(k) for k in window.kernel)))
    parts = []
    for tap in taps:
        part = border
        for axis, (i, d, s, n) in enumerate(zip(tap, window.dilations, window.strides, counts), start=2):
            part = part.narrow_to(axis, i * d, i * d + (n - 1) * s + 1, s)
        parts.append(part)
    first = stack(parts).argmax(0)
    offsets = np.array(taps, np.int64) * np.array(window.dilations)
    order = range(rank - 1, -1, -1) if column_major else range(rank)
    place: Tensor | None = None
    for axis in order:
        start = arange(counts[axis]) * window.strides[axis] - _tensor(window.before[axis])
        at = Tensor(offsets[:, axis]).index_select(0, first.flatten()).reshape(first.shape)
        at = at + start.reshape((-1, *(1,) * (rank - 1 - axis)))
        place = at if place is None else place * _tensor(sizes[axis]) + at
    assert place is not None
    images = arange(product(x.shape[:2])).reshape((*x.shape[:2], *(1,) * rank))
    return place + images * _tensor(product(sizes))


def _tensor(size: Size) -> Tensor:
    return materialized(symbolic(np.array(size, dtype=object)))


@operator("AveragePool", since=7)
def average_pool(
    x: Tensor, *,
    kernel_shape: tuple[int, ...], auto_pad: str = "NOTSET", ceil_mode: bool = False, count_include_pad: bool = False,
    dilations: Numbers = None, pads: Numbers = None, strides: Numbers = None,
) -> Tensor:  # fmt: skip
    sizes = spatial(x)
    window = window_of(sizes, kernel_shape, strides, pads, dilations, auto_pad)
    _require_smaller_padding(window)
    counts, rank = window.counts(sizes, ceil_mode), len(sizes)
    if _is_plain(window) and set(window.dilations) == {1}:
        return _AVERAGE[rank](x, window.kernel, window.strides, window.before, ceil_mode, count_include_pad)  # type: ignore[arg-type]
    if rank < 3 and _is_known(window) and set(window.dilations) == {1} and not (ceil_mode and count_include_pad):
        return _uneven_means(x, window, ceil_mode, count_include_pad)
    counted = ones((1, 1, *sizes), dtype=x.dtype)
    if count_include_pad:
        counted = ones((1, 1, *(b + s + a for b, s, a in zip(window.before, sizes, window.after))), dtype=x.dtype)
        inside = Window(window.kernel, window.strides, window.dilations, (0,) * rank, (0,) * rank)
        number = _window_sums(counted, inside, counts)
    else:
        number = _window_sums(counted, window, counts)
    return _window_sums(x, window, counts) / number


def _uneven_means(x: Tensor, window: Window, ceil_mode: bool, count_include_pad: bool) -> Tensor:
    """Return the means of windows whose padding is not the same on both sides, which only the row itself can say."""
    image, along, none = (x, (), ()) if x.ndim == 4 else (x.unsqueeze(2), (1,), (0,))
    y = image.apply(
        "avg_pool2d", kernel_size=(*along, *window.kernel), stride=(*along, *window.strides),
        padding=(*none, *window.before, *none, *window.after), ceil_mode=ceil_mode, count_include_pad=False,
        divisor_override=product(window.kernel) if count_include_pad else None,
    )  # fmt: skip
    return y if x.ndim == 4 else y.squeeze(2)


@operator("LpPool", since=2)
def lp_pool(
    x: Tensor, *,
    kernel_shape: tuple[int, ...], auto_pad: str = "NOTSET", ceil_mode: bool = False, dilations: Numbers = None,
    p: int = 2, pads: Numbers = None, strides: Numbers = None,
) -> Tensor:  # fmt: skip
    _require_power(p)
    sizes = spatial(x)
    window = window_of(sizes, kernel_shape, strides, pads, dilations, auto_pad)
    _require_smaller_padding(window)
    powers = x.abs() if p == 1 else x * x if p == 2 else x.abs() ** p
    sums = _window_sums(powers, window, window.counts(sizes, ceil_mode))
    return sums if p == 1 else sums.sqrt() if p == 2 else sums ** (1 / p)


@operator("GlobalAveragePool")
def global_average_pool(x: Tensor) -> Tensor:
    sizes = spatial(x, most=8)
    return _flat(x).adaptive_avg_pool2d(1).reshape((*x.shape[:2], *(1 for _ in sizes)))


@operator("GlobalMaxPool")
def global_max_pool(x: Tensor) -> Tensor:
    sizes = spatial(x, most=8)
    return _flat(x).adaptive_max_pool2d(1).reshape((*x.shape[:2], *(1 for _ in sizes)))


@operator("GlobalLpPool", since=2)
def global_lp_pool(x: Tensor, *, p: int = 2) -> Tensor:
    _require_power(p)
    return x.norm(p, tuple(range(2, 2 + len(spatial(x, most=8)))), keepdim=True)


@operator("MaxUnpool")
def max_unpool(
    x: Tensor, i: Tensor, output_shape: Sizes | None = None, *,
    kernel_shape: tuple[int, ...], pads: Numbers = None, strides: Numbers = None,
) -> Tensor:  # fmt: skip
    """The indices count in the image that the pool would have had; `output_shape` may only add to its ends."""
    sizes = spatial(x, most=8)
    window = window_of(sizes, kernel_shape, strides, pads, None, "NOTSET")
    image = tuple(
        (n - 1) * s - b - a + k
        for n, s, b, a, k in zip(sizes, window.strides, window.before, window.after, window.kernel)
    )
    if any(isinstance(s, int) and s < 1 for s in image):
        raise ModelError(f"its pads {list(pads or ())} leave nothing of the image")
    whole = affordable((*x.shape[:2], *image))
    flat = zeros((product(whole),), dtype=x.dtype).scatter(0, i.flatten(), x.flatten()).reshape(whole)
    if output_shape is None:
        return flat
    if len(output_shape) != x.ndim or tuple(output_shape[:2]) != x.shape[:2]:
        raise ModelError(f"its output_shape {list(output_shape)} is none for an input of the shape {list(x.shape)}")
    return padded(flat, (0,) * len(image), [o - s for o, s in zip(output_shape[2:], image)], 0.0)


def _is_plain(window: Window) -> bool:
    """Say whether the pooling rows take a window as it is: padded alike on both sides, by half of it at most."""
    return window.before == window.after and all(
        isinstance(p, int) and 2 * p <= r for p, r in zip(window.before, window.reach)
    )


def _is_known(window: Window) -> bool:
    """Say whether no padding depends on a symbolic size."""
    return all(isinstance(p, int) for p in (*window.before, *window.after))


def _window_sums(x: Tensor, window: Window, counts: Shape) -> Tensor:
    """Return each window's sum; what lies outside the image counts nothing."""
    rank = x.ndim - 2
    border = padded(x, window.before, window.ends(x.shape[2:], counts), 0.0)
    if set(window.dilations) == {1} and rank < 3:
        return border.avg_pool2d(window.kernel, window.strides, divisor_override=1) if rank == 2 else (
            border.unsqueeze(2).avg_pool2d((1, *window.kernel), (1, *window.strides), divisor_override=1).squeeze(2)
        )  # fmt: skip
    if set(window.dilations) == {1}:
        return border.avg_pool3d(window.kernel, window.strides, divisor_override=1)
    images = border.reshape((product(x.shape[:2]), 1, *border.shape[2:]))
    weight = np.ones((1, 1, *window.kernel), x.dtype.numpy)
    sums = _CONVOLVE[rank](images, weight, None, window.strides, 0, window.dilations)
    return sums.reshape((*x.shape[:2], *sums.shape[2:]))


def _flat(x: Tensor) -> Tensor:
    """Return any image as a flat one."""
    if x.ndim == 4:
        return x
    return x.reshape((*x.shape[:2], product(x.shape[2:-1]), x.shape[-1]))


def _require_smaller_padding(window: Window) -> None:
    """Raise ModelError where a window could lie wholly in the padding, which leaves nothing to pool."""
    for reach, before, after in zip(window.reach, window.before, window.after):
        for pad in (before, after):
            if isinstance(pad, int) and pad >= reach:
                raise ModelError(f"its padding {pad} is not less than its window of {reach}, which could hold nothing")


def _require_power(p: int) -> None:
    if p < 1:
        raise ModelError(f"its attribute 'p' is {p}, and must be at least 1")
