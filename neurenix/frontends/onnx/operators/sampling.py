"""Operators that read an image at places which other tensors name: GridSample, RoiAlign, DeformConv."""

from __future__ import annotations

import math

import numpy as np

from neurenix.dims import product
from neurenix.errors import ModelError, UnsupportedError
from neurenix.frontends.onnx.operator import operator
from neurenix.frontends.onnx.operators.convolution import convolution_window
from neurenix.frontends.onnx.sampling import neighbours, number, rows_of, total, weighted
from neurenix.frontends.onnx.symbolic import materialized, symbolic
from neurenix.frontends.onnx.windows import Numbers, require, spatial
from neurenix.tensor import Tensor, arange, cat

_MODES = {"bilinear": "linear", "bicubic": "cubic", "linear": "linear", "cubic": "cubic", "nearest": "nearest"}

_LARGEST = 1 << 12


@operator("GridSample")
def grid_sample(
    x: Tensor, grid: Tensor, *, align_corners: bool = False, mode: str = "linear", padding_mode: str = "zeros"
) -> Tensor:
    """The grid's last axis holds a place, the last axis of the image first, from -1 at one border to 1 at the other."""
    sizes = spatial(x)
    require("mode", mode, tuple(_MODES))
    require("padding_mode", padding_mode, ("zeros", "border", "reflection"))
    if grid.ndim != x.ndim or grid.shape[-1] != len(sizes) or grid.shape[0] != x.shape[0]:
        raise ModelError(f"its grid {list(grid.shape)} is none for an image {list(x.shape)}")
    out = grid.shape[1:-1]
    places = grid.reshape((x.shape[0], product(out), len(sizes)))
    around = []
    for axis, size in enumerate(sizes):
        at = places[..., len(sizes) - 1 - axis] + 1
        n = number(size)
        at = at * 0.5 * (n - 1) if align_corners else (at * n - 1) * 0.5
        low, high = (0.0, n - 1) if align_corners else (-0.5, n - 0.5)
        around.append(neighbours(at, size, _MODES[mode], padding_mode, low, high))
    first = _firsts(x, arange(x.shape[0]))
    y = total(weighted(rows_of(x), sizes, first, around))
    return y.transpose(1, 2).reshape((*x.shape[:2], *out))


@operator("RoiAlign")
def roi_align_10(
    x: Tensor, rois: Tensor, batch_indices: Tensor, *,
    mode: str = "avg", output_height: int = 1, output_width: int = 1, sampling_ratio: int = 0,
    spatial_scale: float = 1.0,
) -> Tensor:  # fmt: skip
    size = (output_height, output_width)
    return _roi_align(x, rois, batch_indices, mode, size, sampling_ratio, spatial_scale, half_pixel=False)


@operator("RoiAlign", since=16)
def roi_align(
    x: Tensor, rois: Tensor, batch_indices: Tensor, *,
    coordinate_transformation_mode: str = "half_pixel", mode: str = "avg", output_height: int = 1,
    output_width: int = 1, sampling_ratio: int = 0, spatial_scale: float = 1.0,
) -> Tensor:  # fmt: skip
    require("coordinate_transformation_mode", coordinate_transformation_mode, ("half_pixel", "output_half_pixel"))
    half, size = coordinate_transformation_mode == "half_pixel", (output_height, output_width)
    return _roi_align(x, rois, batch_indices, mode, size, sampling_ratio, spatial_scale, half)


def _roi_align(
    x: Tensor, rois: Tensor, batch: Tensor, mode: str, size: tuple[int, int], ratio: int, scale: float,
    half_pixel: bool,
) -> Tensor:  # fmt: skip
    require("mode", mode, ("avg", "max"))
    if x.ndim != 4 or rois.ndim != 2 or rois.shape[1] != 4 or batch.ndim != 1:
        raise ModelError(f"it takes (N, C, H, W) and rois (R, 4), got {list(x.shape)} and {list(rois.shape)}")
    if not all(1 <= s <= _LARGEST for s in size) or not 0 <= ratio <= _LARGEST:
        raise ModelError(f"its output of {size} with sampling_ratio {ratio} must lie within 1 and {_LARGEST}")
    corners = rois * scale - (0.5 if half_pixel else 0.0)
    lows, spans = corners[:, :2], corners[:, 2:] - corners[:, :2]
    if not half_pixel:
        spans = spans.maximum(1.0)
    rows = rows_of(x)
    if ratio:
        return _aligned(x, rows, lows, spans, batch, mode, size, (ratio, ratio))
    if rois.traced is not None:
        raise UnsupportedError(
            "with sampling_ratio 0 the number of samples depends on its input 'rois', which must be known when the "
            "model is built: export the model with another sampling_ratio"
        )
    parts = []
    for at, (width, height) in enumerate(spans.numpy()):
        steps = (max(math.ceil(height / size[0]), 0), max(math.ceil(width / size[1]), 0))
        if max(steps) > _LARGEST or min(steps) < 1:
            raise ModelError(f"its region {at} has no samples, or more than {_LARGEST} of them along one axis")
        one = slice(at, at + 1)
        parts.append(_aligned(x, rows, lows[one], spans[one], batch[one], mode, size, steps))
    return cat(parts)


def _aligned(
    x: Tensor, rows: Tensor, lows: Tensor, spans: Tensor, batch: Tensor, mode: str, size: tuple[int, int],
    steps: tuple[int, int],
) -> Tensor:  # fmt: skip
    """Return each region's cells (R, C, height, width), from `steps` samples along each axis of each cell."""
    count, ends = lows.shape[0], x.shape[2:]
    around, outside = [], []
    for axis, (cells, samples) in enumerate(zip(size, steps)):
        share = (np.arange(cells)[:, None] + (np.arange(samples) + 0.5) / samples) / cells
        at = lows[:, 1 - axis : 2 - axis] + spans[:, 1 - axis : 2 - axis] * share.reshape(1, -1).astype(np.float32)
        n = number(ends[axis])
        outside.append((at < -1.0).logical_or(at > n).cast("float32"))
        shape = (count, cells, 1, samples, 1) if axis == 0 else (count, 1, cells, 1, samples)
        full = (count, *size, *steps)
        around.append([
            (_spread(place, shape, full), _spread(weight, shape, full))
            for place, weight in neighbours(at, ends[axis], "linear", "border", 0.0, n)
        ])  # fmt: skip
        outside[-1] = _spread(outside[-1], shape, full)
    hidden = (1 - outside[0]) * (1 - outside[1])
    parts = [p * hidden.unsqueeze(-1) for p in weighted(rows, ends, _firsts(x, batch), around)]
    cells_shape = (count, *size, steps[0] * steps[1], x.shape[1])
    if mode == "avg":
        y = total(parts).reshape(cells_shape).mean(3)
    else:  # the largest of the weighted pixels, not of the samples that they make
        y = parts[0]
        for part in parts[1:]:
            y = y.maximum(part)
        y = y.reshape(cells_shape).amax(3)
    return y.permute(0, 3, 1, 2)


def _spread(t: Tensor, shape: tuple[object, ...], full: tuple[object, ...]) -> Tensor:
    return t.reshape(shape).expand(full).reshape((full[0], -1))  # type: ignore[arg-type]


def _firsts(x: Tensor, batch: Tensor) -> Tensor:
    """Return where the rows of each image begin, as a column."""
    pixels = materialized(symbolic(np.array(product(x.shape[2:]), dtype=object)))
    return (batch.cast("int64") * pixels).unsqueeze(-1)


@operator("DeformConv", since=19)
def deform_conv(
    x: Tensor, w: Tensor, offset: Tensor, b: Tensor | None = None, mask: Tensor | None = None, *,
    dilations: Numbers = None, group: int = 1, kernel_shape: Numbers = None, offset_group: int = 1,
    pads: Numbers = None, strides: Numbers = None,
) -> Tensor:  # fmt: skip
    """The pixels under each window, moved by their offsets, become a row; the weight is a matrix."""
    if x.ndim != 4:
        raise UnsupportedError(f"it works on images (N, C, H, W), got the shape {list(x.shape)}")
    window = convolution_window(x, w, "NOTSET", dilations, group, kernel_shape, pads, strides)
    (n, channels), out, taps = x.shape[:2], window.counts(x.shape[2:]), product(window.kernel)
    if offset_group < 1 or not isinstance(channels, int) or channels % offset_group:
        raise ModelError(f"its {channels} channels cannot be cut into {offset_group} groups of offsets")
    if offset.shape != (n, offset_group * taps * 2, *out):
        raise ModelError(f"its offset must be {[n, offset_group * taps * 2, *out]}, got {list(offset.shape)}")
    groups, pixels = n * offset_group, product(out)
    moves = offset.reshape((groups, taps, 2, *out))
    around = []
    for axis in range(2):
        tap = np.indices(window.kernel)[axis].reshape(-1, 1, 1) * window.dilations[axis]
        start = arange(out[axis]) * window.strides[axis] - _whole(window.before[axis])
        start = start.cast("float32").reshape((-1, 1) if axis == 0 else (1, -1))
        at = moves[:, :, axis] + (start + tap.astype(np.float32))
        size = x.shape[2 + axis]
        around.append(neighbours(at.reshape((groups, taps * pixels)), size, "linear", "zeros", 0.0, number(size)))
    images = x.reshape((groups, channels // offset_group, *x.shape[2:]))
    y = total(weighted(rows_of(images), x.shape[2:], _firsts(images, arange(groups)), around))
    if mask is not None:
        y = y * mask.reshape((groups, taps * pixels, 1))
    # (N, offset groups, taps, pixels, channels) to (N, groups, pixels, channels of a group * taps)
    y = y.reshape((n, offset_group, taps, pixels, channels // offset_group)).permute(0, 1, 4, 2, 3)
    rows = y.reshape((n, group, channels // group * taps, pixels)).mT
    made = w.shape[0] // group
    matrix = w.reshape((group, made, channels // group * taps)).mT
    y = (rows @ (matrix[0] if group == 1 else matrix)).mT.reshape((n, w.shape[0], *out))
    return y if b is None else y + b.reshape((1, -1, 1, 1))


def _whole(size: object) -> Tensor:
    return materialized(symbolic(np.array(size, dtype=object)))
