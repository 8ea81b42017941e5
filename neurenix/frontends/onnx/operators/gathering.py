"""Operators that read and write at places which other tensors name. Negative places count from the end."""

from __future__ import annotations

import numpy as np

from neurenix import expr as ex
from neurenix.dims import product
from neurenix.errors import ModelError
from neurenix.frontends.onnx.limits import affordable
from neurenix.frontends.onnx.operator import operator, sizes_of
from neurenix.frontends.onnx.size_arithmetic import integers
from neurenix.frontends.onnx.symbolic import Array, Value, number
from neurenix.ops.gathering import require_inside
from neurenix.ops.shapes import axis_of
from neurenix.tensor import Tensor, arange, where

# What ONNX calls its reductions, in PyTorch's words.
_REDUCTIONS = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


def _take(data: Array, indices: Array, *, axis: int = 0) -> Array:
    return np.take(data, np.reshape(integers(indices), indices.shape).astype(np.int64), axis)


@operator("Gather", sizes=_take)
def gather(data: Tensor, indices: Tensor, *, axis: int = 0) -> Tensor:
    at = axis_of(axis, data.ndim)
    n = data.shape[at] if data.ndim else 0
    if indices.traced is None and isinstance(n, int):
        require_inside("gather", indices.numpy(), n)
    return data.apply("gather", indices, axis=at)


@operator("GatherElements", since=11)
def gather_elements(data: Tensor, indices: Tensor, *, axis: int = 0) -> Tensor:
    return data.gather(axis, indices)


@operator("GatherND", since=11)
def gather_nd(data: Tensor, indices: Tensor, *, batch_dims: int = 0) -> Tensor:
    return data.apply("gather_nd", indices, batch_dims=batch_dims)


@operator("Scatter", since=9)
@operator("ScatterElements", since=11)
def scatter_elements(
    data: Tensor, indices: Tensor, updates: Tensor, *, axis: int = 0, reduction: str = "none"
) -> Tensor:
    if reduction == "none":
        return data.scatter(axis, indices, updates)
    return data.scatter_reduce(axis, indices, updates, _REDUCTIONS[_known(reduction)])


@operator("ScatterND", since=11)
def scatter_nd(data: Tensor, indices: Tensor, updates: Tensor, *, reduction: str = "none") -> Tensor:
    return data.apply("scatter_nd", indices, updates, reduction=_known(reduction))


def _known(reduction: str) -> str:
    if reduction not in ("none", *_REDUCTIONS):
        raise ModelError(
            f"its attribute 'reduction' is {reduction[:20]!r}, and is one of none, {', '.join(_REDUCTIONS)}"
        )
    return reduction


@operator("TensorScatter", since=24)
def tensor_scatter(
    past_cache: Tensor, update: Tensor, write_indices: Tensor | None = None, *, axis: int = -2, mode: str = "linear"
) -> Tensor:
    """Write a piece into a cache from each batch's own place on; a circular one goes on at the front."""
    at = axis_of(axis, past_cache.ndim)
    if at == 0 or mode not in ("linear", "circular"):
        raise ModelError(f"its axis {axis} is the batch's, or its mode {mode[:20]!r} is neither linear nor circular")
    places = arange(update.shape[at]).reshape((-1, *(1,) * (past_cache.ndim - 1 - at)))
    if write_indices is not None:
        places = places + write_indices.type("int64").reshape((-1, *(1,) * (past_cache.ndim - 1)))
    if mode == "circular":
        places = places % number(past_cache.shape[at])
    return past_cache.scatter(at, places.expand(update.shape), update)


@operator("OneHot", since=9)
def one_hot(indices: Tensor, depth: Value, values: Tensor, *, axis: int = -1) -> Tensor:
    """`values` are those off and on. An index outside is on nowhere. The depth may be a float."""
    whole = depth.type("int64") if isinstance(depth, Tensor) else depth
    (size,) = sizes_of(whole, "depth") if product(depth.shape) == 1 else (-1,)
    if values.shape != (2,) or (isinstance(size, int) and size < 0):
        raise ModelError(f"it takes one depth and two values, got {list(depth.shape)} and {list(values.shape)} of them")
    at = axis_of(axis, indices.ndim + 1)
    affordable((*indices.shape, size))
    classes = arange(size).reshape((-1, *(1,) * (indices.ndim - at)))
    place, here = ex.operand(0), ex.operand(1)
    counted = ex.where(place < 0, place + here, place)
    places = indices.type("int64").map(counted, number(size)).unsqueeze(at)
    return where(places == classes, values[1], values[0])
