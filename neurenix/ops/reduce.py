"""The reducing rows: many elements become one along some axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurenix import expr as ex
from neurenix.dims import Shape
from neurenix.errors import GraphError
from neurenix.ops import shapes
from neurenix.ops.op import Array, Attrs, Family, Op

_EQUAL = ex.where(ex.call("eq", ex.operand(0), ex.operand(1)), 1, 0)


def _kept(t: Any, x: Any, attrs: Attrs) -> Any:
    """Give a reduced tensor back its reduced axes, as 1, so that it broadcasts against the input."""
    return t.reshape(shapes.reduced([x.shape], {**attrs, "keepdims": True}))


def _sum_gradient(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any]:
    (x,) = inputs
    return (_kept(g, x, attrs).expand(x.shape),)


def _max_gradient(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any]:
    (x,) = inputs
    hit = x.map(_EQUAL, _kept(y, x, attrs))
    share = hit.sum(attrs["axes"], keepdim=True)
    return (_kept(g, x, attrs) * hit / share,)


def _max_shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    (shape,) = ins
    axes = range(len(shape)) if attrs["axes"] is None else [shapes.axis_of(a, len(shape)) for a in attrs["axes"]]
    if any(shape[a] == 0 for a in axes if shape):
        raise GraphError(f"nothing is the largest of none: {shapes.show(shape)} is empty along axes {tuple(axes)}")
    return shapes.reduced(ins, attrs)


def _sample(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    rank = int(rng.integers(1, 5))
    axes = tuple(int(a) - rank * int(rng.integers(2)) for a in rng.permutation(rank)[: rng.integers(1, rank + 1)])
    shape = tuple(int(s) for s in rng.integers(1, 6, rank))
    return [shape], {"axes": None if rng.random() < 0.3 else axes, "keepdims": bool(rng.integers(2))}


def _axes(axes: Any) -> Any:
    return None if axes is None else tuple(axes)


def _sum(x: Array, axes: Any, keepdims: bool) -> Array:
    return np.asarray(x.sum(axis=_axes(axes), keepdims=keepdims), dtype=x.dtype)


def _max(x: Array, axes: Any, keepdims: bool) -> Array:
    return np.asarray(x.max(axis=_axes(axes), keepdims=keepdims))


_ATTRS = {"axes": None, "keepdims": False}

ROWS = (
    Op("sum", Family.REDUCE, "The sum over `axes` (all of them by default).", 1, shapes.reduced, _sum,
       gradient=_sum_gradient, attrs=_ATTRS, samples=_sample),
    Op("max", Family.REDUCE, "The largest element over `axes`; equal ones share the gradient.", 1, _max_shape, _max,
       gradient=_max_gradient, attrs=_ATTRS, samples=_sample),
)  # fmt: skip
