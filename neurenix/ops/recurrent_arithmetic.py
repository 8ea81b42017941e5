"""The functions in which arrays and tensors differ, so that a backward pass can be written once for both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurenix import expr as ex
from neurenix.ops.op import Array
from neurenix.ops.recurrent_loops import sigmoid


@dataclass(frozen=True)
class Arithmetic:
    """What a backward pass calls beyond operators, slices and `reshape`, which both kinds have."""

    sigmoid: Callable[[Any], Any]
    tanh: Callable[[Any], Any]
    positive: Callable[[Any], Any]
    turn: Callable[[Any], Any]
    join: Callable[[Sequence[Any], int], Any]
    stack: Callable[[Sequence[Any]], Any]
    expand: Callable[[Any, tuple[int, ...]], Any]
    sum_to: Callable[[Any, tuple[int, ...]], Any]
    constant: Callable[[Array, Any], Any]


def _sum_to(array: Array, shape: tuple[int, ...]) -> Array:
    axes = tuple(a for a, size in enumerate(shape) if size == 1 and array.shape[a] != 1)
    return np.asarray(array.sum(axis=axes, keepdims=True))


def _stack(tensors: Sequence[Any]) -> Any:
    return _join([t.reshape((1, *t.shape)) for t in tensors], 0)


def _join(tensors: Sequence[Any], axis: int) -> Any:
    return tensors[0].apply("concat", *tensors[1:], axis=axis)


ON_ARRAYS = Arithmetic(
    sigmoid=sigmoid, tanh=np.tanh, positive=lambda x: (x > 0).astype(x.dtype), turn=np.transpose,
    join=np.concatenate, stack=np.stack, expand=np.broadcast_to, sum_to=_sum_to,
    constant=lambda array, like: array.astype(like.dtype),
)  # fmt: skip

ON_TENSORS = Arithmetic(
    sigmoid=lambda x: x.sigmoid(), tanh=lambda x: x.tanh(),
    positive=lambda x: x.map(ex.where(ex.operand(0) > 0, 1, 0)), turn=lambda x: x.transpose(0, 1),
    join=_join, stack=_stack, expand=lambda x, shape: x.expand(shape), sum_to=lambda x, shape: x.sum_to(shape),
    constant=lambda array, like: like.lift(array),
)  # fmt: skip
