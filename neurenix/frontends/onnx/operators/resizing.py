"""Operators that change an image's resolution: Resize and its forerunner Upsample."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from neurenix.dims import Dim, Size
from neurenix.errors import ModelError, UnsupportedError
from neurenix.frontends.onnx.limits import affordable
from neurenix.frontends.onnx.operator import Constant, Sizes, operator
from neurenix.frontends.onnx.windows import Numbers, require
from neurenix.ops.shapes import axis_of
from neurenix.tensor import Tensor
from neurenix.tensor.interpolation import COORDINATES, NEAREST, Rule

# More elements than this along one axis are a mistake or an attack.
_LARGEST = 1 << 24

_MODES = ("nearest", "linear", "cubic")
_POLICIES = ("stretch", "not_larger", "not_smaller")


@operator("Upsample", since=7)
def upsample_7(x: Tensor, *, scales: tuple[float, ...], mode: str = "nearest") -> Tensor:
    return _as_before(x, _floats("scales", np.array(scales)), mode)


@operator("Upsample", since=9)
@operator("Resize", since=10)
def upsample(x: Tensor, scales: Constant, *, mode: str = "nearest") -> Tensor:
    return _as_before(x, _floats("scales", scales), mode)


def _as_before(x: Tensor, scales: Sequence[float], mode: str) -> Tensor:
    """Resize as before opset 11: places are multiples of the step, rounded down, or up where there are fewer."""
    require("mode", mode, ("nearest", "linear", "bilinear"))
    kind = "nearest" if mode == "nearest" else "linear"
    _require_count("scales", scales, x.ndim)
    for axis, scale in enumerate(scales):
        rule = Rule(kind, "asymmetric", "floor" if scale >= 1 else "ceil")
        count = _count(x, axis, scale)
        affordable((*x.shape[:axis], count, *x.shape[axis + 1 :]))
        x = x.resize([count], [scale], [axis], rule)
    return x


@operator("Resize", since=11)
def resize(
    x: Tensor, roi: Constant | None = None, scales: Constant | None = None, sizes: Sizes | None = None, *,
    antialias: bool = False, axes: Numbers = None,
    coordinate_transformation_mode: str = "half_pixel", cubic_coeff_a: float = -0.75, exclude_outside: bool = False,
    extrapolation_value: float = 0.0, keep_aspect_ratio_policy: str = "stretch", mode: str = "nearest",
    nearest_mode: str = "round_prefer_floor",
) -> Tensor:  # fmt: skip
    """An empty roi, scales or sizes is none. The axes that stay as they are may be symbolic."""
    require("mode", mode, _MODES)
    require("coordinate_transformation_mode", coordinate_transformation_mode, COORDINATES)
    require("nearest_mode", nearest_mode, NEAREST)
    require("keep_aspect_ratio_policy", keep_aspect_ratio_policy, _POLICIES)
    along = [axis_of(a, x.ndim) for a in (range(x.ndim) if axes is None else axes)]
    if len(set(along)) != len(along):
        raise ModelError(f"its axes {list(axes or ())} name an axis twice")
    factors = None if scales is None or scales.size == 0 else _floats("scales", scales)
    if (factors is None) == (not sizes):
        raise ModelError("it takes either scales or sizes")
    if factors is not None:
        _require_count("scales", factors, len(along))
        counts: list[Size] = [_count(x, axis, scale) for axis, scale in zip(along, factors)]
    else:
        assert sizes is not None
        _require_count("sizes", sizes, len(along))
        counts, factors = _kept_aspect(x, along, list(sizes), keep_aspect_ratio_policy)
    for count in counts:
        if isinstance(count, int) and not 0 <= count <= _LARGEST:
            raise ModelError(f"its new sizes {counts} must lie within 0 and {_LARGEST}")
    region = None
    if coordinate_transformation_mode == "tf_crop_and_resize":
        if roi is None or roi.size != 2 * len(along):
            raise ModelError(f"its roi must have a start and an end for each of {len(along)} axes")
        ends = _floats("roi", roi, least=-math.inf)
        region = list(zip(ends[: len(along)], ends[len(along) :]))
    new = dict(zip(along, counts))
    affordable(tuple(new.get(axis, size) for axis, size in enumerate(x.shape)))
    rule = Rule(mode, coordinate_transformation_mode, nearest_mode, cubic_coeff_a, exclude_outside, antialias)
    kind = x.dtype
    y = x if kind.numpy.kind == "f" or mode == "nearest" else x.cast("float32")
    y = y.resize(counts, factors, along, rule, region, extrapolation_value)
    return y if y.dtype == kind else y.round().cast(kind)


def _count(x: Tensor, axis: int, scale: float) -> Size:
    """Return how many elements an axis has when scaled; as onnxruntime, in float32."""
    n = x.shape[axis]
    if isinstance(n, Dim):
        return x._scaled(axis, scale)
    return int(np.float32(n) * np.float32(scale)) if n * scale <= _LARGEST else _LARGEST + 1


def _kept_aspect(
    x: Tensor, axes: Sequence[int], sizes: list[Size], policy: str
) -> tuple[list[Size], list[float] | None]:
    """Return new sizes, and the scale of all axes where they are to keep their aspect."""
    if policy == "stretch":
        return sizes, None
    known = [(x.shape[axis], size) for axis, size in zip(axes, sizes)]
    ratios = [size / n for n, size in known if isinstance(n, int) and isinstance(size, int) and n > 0]
    if len(ratios) != len(known):
        raise UnsupportedError(f"its keep_aspect_ratio_policy '{policy}' needs fixed sizes: fix them with dims")
    scale = min(ratios) if policy == "not_larger" else max(ratios)
    return [math.floor(scale * n + 0.5) for n, _ in known if isinstance(n, int)], [scale] * len(known)


def _floats(name: str, given: Constant, least: float = 0.0) -> list[float]:
    numbers = [float(v) for v in given.reshape(-1)]
    if any(not least < v < math.inf for v in numbers):
        raise ModelError(f"its {name} {numbers[:8]} must be finite numbers" + (" above 0" if least == 0 else ""))
    return numbers


def _require_count(name: str, given: Sequence[object], count: int) -> None:
    if len(given) != count:
        raise ModelError(f"its {name} are {len(given)}, and must be {count}, one for each axis")
