"""Tensors from nothing: filled, counted, copied in shape. A size may be symbolic while a model is being traced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurenix.dims import Dim, Size
from neurenix.dtypes import DType, dtype
from neurenix.errors import GraphError, InputError
from neurenix.graph.builder import GraphBuilder, active_builder
from neurenix.tensor.limits import check_size
from neurenix.tensor.movement import sizes
from neurenix.tensor.tensor import Tensor


def from_numpy(array: np.ndarray[Any, Any]) -> Tensor:
    """Return a tensor that shares an array's memory."""
    if not isinstance(array, np.ndarray):
        raise InputError(f"from_numpy takes an array, got a {type(array).__name__}; Tensor() takes other data")
    return Tensor(array)


def full(
    shape: Size | Sequence[Size], fill_value: Any, dtype: str | DType | None = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of one value; its dtype is that of the value unless given."""
    value = _value(fill_value, dtype)
    wanted = (shape,) if isinstance(shape, (int, Dim)) else tuple(shape)
    known = tuple(int(s) for s in wanted if not isinstance(s, Dim))
    if any(s < 0 for s in known):
        raise InputError(f"a tensor has no sizes below 0, got {wanted}")
    if len(known) < len(wanted):
        builder = _tracing(wanted)
        return Tensor(builder.add("expand", [builder.constant(value)], {"shape": wanted}))
    check_size(known, value.itemsize)
    return Tensor(np.full(known, value), requires_grad=requires_grad)


def zeros(*shape: Size | Sequence[Size], dtype: str | DType | None = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros, float32 unless told otherwise: `zeros(2, 3)` or `zeros((2, 3))`."""
    return full(sizes(shape), 0.0, dtype or "float32", requires_grad)


def ones(*shape: Size | Sequence[Size], dtype: str | DType | None = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones, float32 unless told otherwise."""
    return full(sizes(shape), 1.0, dtype or "float32", requires_grad)


def full_like(other: Tensor, fill_value: Any, dtype: str | DType | None = None, requires_grad: bool = False) -> Tensor:
    """A tensor of one value, with the shape and dtype of another."""
    return full(other.shape, fill_value, dtype or other.dtype, requires_grad)


def zeros_like(other: Tensor, dtype: str | DType | None = None, requires_grad: bool = False) -> Tensor:
    return full_like(other, 0, dtype, requires_grad)


def ones_like(other: Tensor, dtype: str | DType | None = None, requires_grad: bool = False) -> Tensor:
    return full_like(other, 1, dtype, requires_grad)


def arange(
    start: Size | float, end: Size | float | None = None, step: float = 1, dtype: str | DType | None = None
) -> Tensor:
    """Count from `start` (0 when there is one argument) up to `end`, without it; int64 for integers, else float32."""
    if end is None:
        start, end = 0, start
    if isinstance(start, Dim):
        raise GraphError("arange counts from a number; only its end may be symbolic")
    if isinstance(end, Dim):
        if start != 0 or step != 1:
            raise GraphError(f"arange up to the symbolic size '{end}' counts from 0 by 1")
        return Tensor(_tracing((end,)).add("iota", [], {"size": end, "dtype": str(dtype or "int64")}))
    whole = all(isinstance(v, (int, np.integer)) for v in (start, end, step))
    if step == 0:
        raise InputError("arange needs a step other than 0")
    check_size((max(0, int((end - start) / step)),), 8)
    return Tensor(np.arange(start, end, step).astype(str(dtype or ("int64" if whole else "float32"))))


def linspace(start: float, end: float, steps: int, dtype: str | DType | None = None) -> Tensor:
    """`steps` numbers at equal distances, both ends included."""
    return Tensor(np.linspace(start, end, steps).astype(str(dtype or "float32")))


def eye(n: int, m: int | None = None, dtype: str | DType | None = None) -> Tensor:
    """A matrix with ones on its diagonal."""
    return Tensor(np.eye(n, m, dtype=str(dtype or "float32")))


def meshgrid(*tensors: Tensor, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Expand vectors to the grid that they span: "ij" as matrices are indexed, "xy" with the first two swapped."""
    if indexing not in ("ij", "xy"):
        raise InputError(f"meshgrid's indexing is 'ij' or 'xy', got {indexing!r}")
    given = list(tensors)
    swap = indexing == "xy" and len(given) > 1
    if swap:
        given[:2] = given[1::-1]
    shape = tuple(t.size for t in given)
    grids = [t.reshape(tuple(t.size if a == i else 1 for a in range(len(shape)))).expand(shape)
             for i, t in enumerate(given)]  # fmt: skip
    if swap:
        grids[:2] = grids[1::-1]
    return tuple(grids)


def _value(value: Any, kind: str | DType | None) -> np.ndarray[Any, Any]:
    if kind is not None:
        return np.asarray(value, dtype=dtype(kind).numpy)
    array = np.asarray(value)
    return array.astype(np.float32) if isinstance(value, float) else array


def _tracing(shape: tuple[Size, ...]) -> GraphBuilder:
    builder = active_builder()
    if builder is None:
        raise GraphError(f"the shape {list(shape)} is symbolic, which only means something while tracing a model")
    return builder
