"""Operators that make many elements one, find the place of the largest, sum up, or put in order."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurenix.dims import Size
from neurenix.errors import ModelError
from neurenix.frontends.onnx import size_arithmetic as sizes
from neurenix.frontends.onnx.operator import Call, Sizes, operator
from neurenix.frontends.onnx.ratio import NotExact
from neurenix.frontends.onnx.symbolic import Array, number
from neurenix.ops.shapes import axis_of, reduced
from neurenix.tensor import Tensor, full

Axes = tuple[int, ...]


def _sum_square(x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
    return (x * x).sum(axes, keepdims) if x.dtype.numpy.kind != "f" else x.apply(
        "sum_square", axes=axes, keepdims=keepdims
    )  # fmt: skip


def _mean(x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
    if x.dtype.numpy.kind == "f":
        return x.mean(axes, keepdims)
    total = x.sum(axes, keepdims)
    return total.div(math.prod(_known(x, axes)), rounding_mode="trunc")


def _known(x: Tensor, axes: Axes) -> list[int]:
    found = [x.shape[a] for a in axes]
    if not all(isinstance(s, int) and s > 0 for s in found):
        raise ModelError(f"integers along axes {axes} of {list(x.shape)} have no mean")
    return [s for s in found if isinstance(s, int)]


def _extreme(op: str, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
    """The largest or smallest element; of none the lowest or highest number that there is."""
    if x.dtype.name == "bool":
        return x.any(axes, keepdims) if op == "max" else x.all(axes, keepdims)
    shape = reduced([x.shape], {"axes": axes, "keepdims": keepdims})
    if any(x.shape[a] == 0 for a in axes):
        if x.dtype.numpy.kind == "f":
            return full(shape, -math.inf if op == "max" else math.inf, x.dtype)
        limits = np.iinfo(x.dtype.name)
        return full(shape, limits.min if op == "max" else limits.max, x.dtype)
    return x.apply(op, axes=axes, keepdims=keepdims)


def _log_sum_exp(x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
    if any(x.shape[a] == 0 for a in axes):
        return x.as_float().sum(axes, keepdims).log()
    return x.as_float().logsumexp(axes, keepdims)


@dataclass(frozen=True)
class _Reduction:
    """What a Reduce operator computes, what it is for sizes, and from which opset on its axes are an input.

    ONNX has bodies for some of them, but only from opset 18 on.
    """

    of: Callable[[Tensor, Axes, bool], Tensor]
    of_sizes: Callable[[Any, Any], Any] | None = None
    input_since: int = 18


_REDUCTIONS = {
    "ReduceSum": _Reduction(lambda x, axes, keep: x.sum(axes, keep), np.add, 13),
    "ReduceProd": _Reduction(lambda x, axes, keep: x.prod(axes, keep), np.multiply),
    "ReduceMax": _Reduction(lambda x, axes, keep: _extreme("max", x, axes, keep), sizes.elementwise(sizes.larger)),
    "ReduceMin": _Reduction(lambda x, axes, keep: _extreme("min", x, axes, keep), sizes.elementwise(sizes.smaller)),
    "ReduceMean": _Reduction(_mean),
    "ReduceL1": _Reduction(lambda x, axes, keep: x.abs().sum(axes, keep)),
    "ReduceL2": _Reduction(lambda x, axes, keep: x.as_float().norm(2, axes, keep)),
    "ReduceSumSquare": _Reduction(_sum_square),
    "ReduceLogSum": _Reduction(lambda x, axes, keep: x.as_float().sum(axes, keep).log()),
    "ReduceLogSumExp": _Reduction(_log_sum_exp),
}


def reduce_7(call: Call, data: Tensor, *, axes: Axes | None = None, keepdims: bool = True) -> Tensor:
    return _reduce(call, data, axes, keepdims)


def reduce(
    call: Call, data: Tensor, axes: Sizes | None = None, *, keepdims: bool = True, noop_with_empty_axes: bool = False
) -> Tensor:
    """Without axes it reduces all of them, or none with `noop_with_empty_axes`."""
    named = tuple(a for a in axes or () if isinstance(a, int))
    if len(named) != len(axes or ()):
        raise ModelError(f"its axes {list(axes or ())} are no numbers")
    return _reduce(call, data, named if named or noop_with_empty_axes else None, keepdims)


def _reduce(call: Call, data: Tensor, axes: Axes | None, keepdims: bool) -> Tensor:
    at = tuple(range(data.ndim)) if axes is None else tuple(axis_of(a, data.ndim) for a in axes)
    if len(set(at)) != len(at):
        raise ModelError(f"its axes {axes} name one of {data.ndim} twice")
    return _REDUCTIONS[call.op_type].of(data, at if data.ndim else (), keepdims).type(data.dtype)


def _of_sizes(function: Callable[[Any, Any], Any]) -> Callable[..., Array]:
    """Reduce a vector of sizes; what has more axes is no shape."""

    def reduce(data: Array, axes: Any = None, *, keepdims: bool = True, noop_with_empty_axes: bool = False) -> Array:
        named = sizes.integers(np.asarray(() if axes is None else axes, dtype=object))
        if data.ndim != 1 or not data.size or (not named and noop_with_empty_axes) or not set(named) <= {0, -1}:
            raise NotExact
        total = data[0]
        for size in data[1:]:
            total = function(total, size)
        return np.full((1,) * keepdims, np.asarray(total, dtype=object))

    return reduce


for _op_type, _reduction in _REDUCTIONS.items():
    _twin = None if _reduction.of_sizes is None else _of_sizes(_reduction.of_sizes)
    operator(_op_type, sizes=_twin)(reduce_7)
    operator(_op_type, since=_reduction.input_since, sizes=_twin)(reduce)


@operator("ArgMax", "ArgMin")
def place(call: Call, data: Tensor, *, axis: int = 0, keepdims: bool = True, select_last_index: bool = False) -> Tensor:
    find = Tensor.argmax if call.op_type == "ArgMax" else Tensor.argmin
    if not select_last_index:
        return find(data, axis, keepdims)
    last = number(data.shape[axis] - 1)
    return last - find(data.flip(axis), axis, keepdims)


@operator("CumSum", since=11)
def cumsum(x: Tensor, axis: Sizes, *, exclusive: bool = False, reverse: bool = False) -> Tensor:
    return x.apply("cumsum", axis=_axis(axis), exclusive=exclusive, reverse=reverse).type(x.dtype)


@operator("CumProd", since=26)
def cumprod(x: Tensor, axis: Sizes, *, exclusive: bool = False, reverse: bool = False) -> Tensor:
    return x.apply("cumprod", axis=_axis(axis), exclusive=exclusive, reverse=reverse).type(x.dtype)


def _axis(given: Sizes) -> int:
    if len(given) != 1 or not isinstance(given[0], int):
        raise ModelError(f"its axis is one number, got {list(given)}")
    return given[0]


@operator("TopK")
def top_k_1(x: Tensor, *, k: int, axis: int = -1) -> tuple[Tensor, ...]:
    return x.topk(k, axis)


@operator("TopK", since=10)
def top_k(x: Tensor, k: Sizes, *, axis: int = -1, largest: bool = True, sorted: bool = True) -> tuple[Tensor, ...]:
    """They always come out sorted."""
    return x.topk(_count(k), axis, largest)


def _count(given: Sizes) -> Size:
    if len(given) != 1:
        raise ModelError(f"its K is one number, got {list(given)}")
    return given[0]
