"""Methods of Tensor that resize images: `interpolate` as PyTorch has it, `resize` with all of ONNX's conventions."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from neurenix.dims import Size
from neurenix.errors import GraphError
from neurenix.ops.shapes import axis_of
from neurenix.tensor.indexing import as_indices
from neurenix.tensor.interpolation import Array, Rule, coordinates, matrix, nearest_places, taps
from neurenix.tensor.rearranging import RearrangingMethods
from neurenix.tensor.symbolic_resizing import resized_as_it_runs

if TYPE_CHECKING:
    from neurenix.tensor.tensor import Tensor

# With more elements than this behind each new one, a product with the whole matrix is faster than gathers.
_MOST_TAPS = 4

_KINDS = {"nearest", "nearest-exact", "area", "linear", "bilinear", "trilinear", "bicubic"}


class ResizingMethods(RearrangingMethods):
    """Images are (N, C, …), as PyTorch has them; `resize` takes any axes."""

    def interpolate(
        self,
        size: int | Sequence[int] | None = None,
        scale_factor: float | Sequence[float] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
        antialias: bool = False,
    ) -> Tensor:
        """Resize the axes behind batch and channel, as `torch.nn.functional.interpolate`."""
        if mode not in _KINDS:
            raise GraphError(f"interpolate: mode {mode!r} is none of {', '.join(sorted(_KINDS))}")
        rank = self.ndim - 2
        if rank < 1 or (size is None) == (scale_factor is None):
            raise GraphError("interpolate takes (N, C, …) and either a size or a scale_factor")
        if align_corners and mode in ("nearest", "nearest-exact", "area"):
            raise GraphError(f"align_corners means nothing for mode {mode!r}")
        dims = tuple(range(2, self.ndim))
        sizes: list[Size] | None = None if size is None else [size] * rank if isinstance(size, int) else list(size)
        scales: list[float] | None = None
        if scale_factor is not None:
            scales = [float(scale_factor)] * rank if isinstance(scale_factor, (int, float)) else list(scale_factor)
        if scales is not None and (recompute_scale_factor or (align_corners and not antialias)):
            sizes, scales = [self._scaled(d, s) for d, s in zip(dims, scales)], None
        kind = {"area": "area", "bicubic": "cubic"}.get(mode, "nearest" if mode.startswith("nearest") else "linear")
        nearest = "floor" if mode == "nearest" else "round_prefer_ceil"
        where = "align_corners" if align_corners else "asymmetric" if mode == "nearest" else "half_pixel"
        a = -0.5 if antialias else -0.75
        if align_corners and antialias:  # PyTorch keeps the scale of the corners here, and not their places
            sizes = sizes or [self._scaled(d, s) for d, s in zip(dims, scales or ())]
            scales, where = [_corner_scale(self.shape[d], count) for d, count in zip(dims, sizes)], "half_pixel"
        rule = Rule(kind, where, nearest, a, exclude_outside=antialias, antialias=antialias)
        return self._resized(dims, sizes, scales, rule, None, 0.0)

    def resize(
        self,
        sizes: Sequence[Size] | None = None,
        scales: Sequence[float] | None = None,
        dims: Sequence[int] | None = None,
        rule: Rule | None = None,
        region: Sequence[tuple[float, float]] | None = None,
        extrapolation_value: float = 0.0,
    ) -> Tensor:
        """Resize axes as ONNX Resize: `rule` holds its attributes, `region` what "tf_crop_and_resize" cuts out.

        With both `sizes` and `scales` the sizes are the new ones, and the scales say where their elements lie. Sizes
        may be symbolic.
        """
        axes = tuple(range(self.ndim)) if dims is None else tuple(axis_of(d, self.ndim) for d in dims)
        if (sizes is None and scales is None) or any(v is not None and len(v) != len(axes) for v in (sizes, scales)):
            raise GraphError(f"resize of {len(axes)} axes takes as many sizes or as many scales")
        given = None if sizes is None else list(sizes), None if scales is None else list(scales)
        return self._resized(axes, *given, rule or Rule(), region, extrapolation_value)

    def _scaled(self, dim: int, scale: float) -> Size:
        n = self.shape[dim]
        if isinstance(n, int):
            return int(np.floor(n * scale))
        share = Fraction(scale).limit_denominator(64)
        if float(share) != scale:
            raise GraphError(f"an axis of '{n}' cannot be resized by {scale}, which is no fraction of small numbers")
        return n * share.numerator // share.denominator

    def _repeated(
        self, dims: Sequence[int], sizes: list[Size] | None, scales: list[float] | None, rule: Rule
    ) -> Tensor:
        """Repeat the elements of all axes for which that is all there is to do, at once."""
        times = [1] * self.ndim
        for i, dim in enumerate(dims):
            n = self.shape[dim]
            scale: float | None = None if scales is None else scales[i]
            if sizes is not None and n != 0:
                whole = sizes[i] // n
                fits = isinstance(whole, int) and whole * n == sizes[i] and scale in (None, whole)
                scale = float(whole) if fits else None  # type: ignore[arg-type]
            times[dim] = int(scale) if scale is not None and _repeats(rule, scale) else 1
        if set(times) == {1}:
            return self.lift(self)  # type: ignore[arg-type]
        apart = self.reshape(tuple(v for s in self.shape for v in (s, 1)))
        apart = apart.expand(tuple(v for s, t in zip(self.shape, times) for v in (s, t)))
        return apart.reshape(tuple(s * t for s, t in zip(self.shape, times)))

    def _resized(
        self,
        dims: Sequence[int],
        sizes: list[Size] | None,
        scales: list[float] | None,
        rule: Rule,
        region: Sequence[tuple[float, float]] | None,
        outside: float,
    ) -> Tensor:
        t, beyond = self._repeated(dims, sizes, scales, rule), []
        for i, dim in enumerate(dims):
            n, scale = t.shape[dim], None if scales is None else scales[i]
            if n != self.shape[dim]:
                continue  # it is done
            count = sizes[i] if sizes is not None else t._scaled(dim, scale or 1.0)
            if count == n and rule.coordinates != "tf_crop_and_resize" and scale in (None, 1.0):
                continue
            if not isinstance(n, int) or not isinstance(count, int):
                t = resized_as_it_runs(t, dim, count, scale, rule)
                continue
            if count < 1:
                raise GraphError(f"resize of an axis of {n} to {count}: a new size starts at 1")
            factor = count / n if scale is None else scale
            at = coordinates(n, count, factor, rule.coordinates, region[i] if region else (0.0, 1.0))
            if rule.coordinates == "tf_crop_and_resize":
                beyond.append((dim, (at < 0) | (at > n - 1)))
            if rule.mode == "nearest":
                t = t.index_select(dim, nearest_places(at, n, rule.nearest))
            else:
                t = _weighted(t, dim, matrix(n, count, at, factor, rule))
        for dim, mask in beyond:
            if mask.any():
                shape = [-1 if a == dim else 1 for a in range(t.ndim)]
                t = t.masked_fill(mask.reshape(shape), outside)
        return t


def _corner_scale(n: Size, count: Size) -> float:
    if not isinstance(n, int) or not isinstance(count, int):
        raise GraphError(f"an axis of '{n}' cannot be resized with both align_corners and antialias")
    return (count - 1) / (n - 1) if count > 1 and n > 1 else float("inf")


def _repeats(rule: Rule, scale: float) -> bool:
    """Say whether resizing repeats each element, which needs no weights and suits symbolic sizes."""
    whole = float(scale).is_integer() and scale >= 1 and rule.mode == "nearest"
    floored = rule.coordinates == "asymmetric" and rule.nearest == "floor"
    centred = rule.coordinates in ("half_pixel", "half_pixel_symmetric") and rule.nearest.startswith("round")
    return whole and (floored or centred)


def _weighted(t: Tensor, dim: int, weights: Array) -> Tensor:
    """Multiply an axis by a constant matrix: a few gathers where each row has few elements, else a product."""
    places, shares = taps(weights)
    kind = t.dtype.numpy if t.dtype.numpy.kind == "f" else np.dtype(np.float32)
    if places.shape[1] > _MOST_TAPS:
        turned = t.movedim(dim, -1) @ np.ascontiguousarray(weights.T, dtype=kind)
        return turned.movedim(-1, dim)
    at = axis_of(dim, t.ndim)
    shape = (-1, *(1,) * (t.ndim - 1 - at))
    total: Tensor | None = None
    for k in range(places.shape[1]):
        share: Array = shares[:, k].reshape(shape).astype(kind)
        part = t.apply("gather", as_indices(places[:, k]), axis=at) * share
        total = part if total is None else total + part
    assert total is not None
    return total
