"""Resizing an axis whose size is known only as the model runs: places and weights are computed there, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurenix import expr as ex
from neurenix.dims import Dim, Size
from neurenix.errors import GraphError
from neurenix.graph.builder import active_builder
from neurenix.ops.shapes import axis_of
from neurenix.tensor.interpolation import Rule

if TYPE_CHECKING:
    from neurenix.tensor.tensor import Tensor

_COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")


def resized_as_it_runs(t: Tensor, dim: int, count: Size, scale: float | None, rule: Rule) -> Tensor:
    """Resize one axis to `count` elements, by gathers at places that the model computes.

    Raises GraphError for rules that need the whole matrix of weights beforehand.
    """
    n, axis = t.shape[axis_of(dim, t.ndim)], axis_of(dim, t.ndim)
    if rule.antialias or rule.exclude_outside or rule.mode == "area" or rule.coordinates not in _COORDINATES:
        raise GraphError(
            f"an axis of '{n}' can be resized to '{count}' by nearest, linear or cubic interpolation with the "
            f"coordinates {', '.join(_COORDINATES)}, without antialias or exclude_outside: fix its size with dims"
        )
    at = _coordinates(t, n, count, scale, rule.coordinates)
    x = ex.operand(0)
    if rule.mode == "nearest":
        rounded = {
            "round_prefer_floor": ex.call("ceil", x - 0.5), "round_prefer_ceil": ex.call("floor", x + 0.5),
            "floor": ex.call("floor", x), "ceil": ex.call("ceil", x),
        }[rule.nearest]  # fmt: skip
        return _taken(t, axis, at.map(rounded), n)
    left = at.floor()
    share = at - left
    weights = {0: 1 - share, 1: share} if rule.mode == "linear" else _cubic(share, rule.cubic_coeff)
    total: Tensor | None = None
    for offset, weight in weights.items():
        part = _taken(t, axis, left + offset, n) * weight.reshape((-1, *(1,) * (t.ndim - 1 - axis)))
        total = part if total is None else total + part
    assert total is not None
    return total


def _coordinates(t: Tensor, n: Size, count: Size, scale: float | None, how: str) -> Tensor:
    at, old, new = _counted(t, count), _number(t, n), _number(t, count)
    if how == "align_corners":
        return at * ((old - 1) / (new - 1).maximum(1))
    ratio = old / new if scale is None else _number(t, 1) / scale
    if how == "asymmetric":
        return at * ratio
    half = (at + 0.5) * ratio - 0.5
    return half * (new > 1).cast("float32") if how == "pytorch_half_pixel" else half


def _taken(t: Tensor, axis: int, places: Tensor, n: Size) -> Tensor:
    inside = places.maximum(0).minimum(_number(t, n) - 1)
    return t.apply("gather", inside.cast("int64"), axis=axis)


def _cubic(share: Tensor, a: float) -> dict[int, Tensor]:
    """Return the weights of the four neighbours by Keys' convolution."""
    s = ex.operand(0)

    def near(x: ex.Expr) -> ex.Expr:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: ex.Expr) -> ex.Expr:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return {-1: share.map(far(s + 1)), 0: share.map(near(s)), 1: share.map(near(1 - s)), 2: share.map(far(2 - s))}


def _counted(t: Tensor, count: Size) -> Tensor:
    from neurenix.tensor.creation import arange  # it makes the Tensor that inherits from resizing

    return arange(count).cast("float32")


def _number(t: Tensor, size: Size) -> Tensor:
    """Return a size as a float tensor of one number."""
    if not isinstance(size, Dim):
        return t.lift(float(size)).cast("float32")
    builder = active_builder()
    assert builder is not None, "symbolic sizes exist only while a model is being traced"
    return type(t)(builder.add("dimension", [], {"size": size, "dtype": "int64"})).cast("float32")
