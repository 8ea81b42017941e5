"""The rows of cross entropy by class indices: the loss of each element, and its gradient, in one pass each.

Models do not end in a loss, so these have no kernel: a traced model meets softmax and log_softmax.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from neurenix.dims import Shape
from neurenix.dtypes import DType
from neurenix.errors import GraphError, InputError
from neurenix.ops import shapes, types
from neurenix.ops.op import Array, Attrs, Family, Op

# Letters: x are scores of shape (N, C, d1, …) or (C,), labels and shares (N, d1, …) or ().


def class_axis(rank: int) -> int:
    """Return the axis of the classes in scores of a rank."""
    return 0 if rank == 1 else 1


def _labelled(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    x, labels, shares = ins
    if not x:
        raise GraphError("scores have an axis of classes, got a scalar")
    axis = class_axis(len(x))
    shapes.need_elements(x, axis)
    wanted = (*x[:axis], *x[axis + 1 :])
    if labels != wanted or shares != wanted:
        raise GraphError(
            f"scores {shapes.show(x)} take labels and shares of shape {shapes.show(wanted)}, "
            f"got {shapes.show(labels)} and {shapes.show(shares)}"
        )
    return wanted


def _gradient_shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    _labelled(ins, attrs)
    return ins[0]


def _dtype(dtypes: Sequence[DType], attrs: Mapping[str, Any]) -> DType:
    x, labels, shares = dtypes
    types.first([x, labels], attrs)
    return types.floating([x, shares], attrs)


def _rows(x: Array) -> Array:
    """Return scores as (elements, C), in the order of their labels."""
    return x if x.ndim == 2 else np.moveaxis(x, class_axis(x.ndim), -1).reshape(-1, x.shape[class_axis(x.ndim)])


def _outside(labels: Array, classes: int) -> InputError:
    return InputError(f"cross_entropy: the labels {labels.min()}..{labels.max()} are not all of {classes} classes")


def _cross_entropy(x: Array, labels: Array, shares: Array) -> Array:
    if not labels.size:
        return np.zeros_like(shares)
    rows = _rows(x)
    shifted = rows - rows.max(axis=1, keepdims=True)
    try:
        picked = shifted[np.arange(labels.size), labels.reshape(-1)]
    except IndexError:
        raise _outside(labels, rows.shape[1]) from None
    np.exp(shifted, out=shifted)
    loss = np.log(shifted.sum(axis=1))
    loss -= picked
    loss *= shares.reshape(-1)
    return np.asarray(loss.reshape(labels.shape))


def _gradient(x: Array, labels: Array, shares: Array) -> Array:
    if not labels.size:
        return np.zeros_like(x)
    rows, weights = _rows(x), shares.reshape(-1)
    result = rows - rows.max(axis=1, keepdims=True)
    np.exp(result, out=result)
    result *= (weights / result.sum(axis=1))[:, None]
    try:
        result[np.arange(labels.size), labels.reshape(-1)] -= weights
    except IndexError:
        raise _outside(labels, rows.shape[1]) from None
    axis = class_axis(x.ndim)
    return result if x.ndim == 2 else np.moveaxis(result.reshape(*labels.shape, x.shape[axis]), -1, axis)


def _one_hot(x: Array, labels: Array) -> Array:
    axis = class_axis(x.ndim)
    classes = np.arange(x.shape[axis]).reshape(-1, *(1,) * (x.ndim - 1 - axis))
    return np.asarray(np.expand_dims(labels % max(x.shape[axis], 1), axis) == classes)


def _oracle(x: Array, labels: Array, shares: Array) -> Array:
    axis = class_axis(x.ndim)
    own = np.where(_one_hot(x, labels), x, 0).sum(axis=axis)
    return np.asarray(shares * (np.logaddexp.reduce(x, axis=axis, initial=-np.inf) - own))


def _gradient_oracle(x: Array, labels: Array, shares: Array) -> Array:
    axis = class_axis(x.ndim)
    p = np.exp(x - np.logaddexp.reduce(x, axis=axis, keepdims=True, initial=-np.inf))
    return np.asarray(np.expand_dims(shares, axis) * (p - _one_hot(x, labels)))


def _by_scores(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any, Any, Any]:
    x, labels, shares = inputs
    by_shares = g * x.apply("cross_entropy", labels, shares * 0 + 1) if shares.requires_grad else None
    return x.apply("cross_entropy_gradient", labels, g * shares), None, by_shares


def _again(v: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any, Any, Any]:
    """Softmax's own gradient, and along the weights softmax less one where the label is."""
    x, labels, shares = inputs
    axis = class_axis(x.ndim)
    along = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    p = x.apply("softmax", axis=axis)
    scaled = v * shares.reshape(along)
    by_x = p * (scaled - (scaled * p).sum(axis, keepdim=True))
    own = v.apply("gather_elements", labels.reshape(along), axis=axis)
    return by_x, None, ((v * p).sum(axis, keepdim=True) - own).reshape(shares.shape)


def _sample(rng: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
    around = tuple(int(s) for s in rng.integers(1, 6, int(rng.integers(0, 4))))
    classes, axis = int(rng.integers(1, 8)), class_axis(len(around) + 1)
    labels = np.asarray(rng.integers(0, classes, around), str(rng.choice(["int64", "int32"])))
    return [(*around[:axis], classes, *around[axis:]), labels, around], {}


ROWS = (
    Op("cross_entropy", Family.NORMALIZATION, "shares * -log(softmax(x)[label]) for each label; the classes are axis "
       "1, or 0 of a vector.", 3, _labelled, _oracle, dtype=_dtype, compute=_cross_entropy,
       gradient=_by_scores, samples=_sample),
    Op("cross_entropy_gradient", Family.NORMALIZATION, "shares * (softmax(x) - one_hot(label)) along the classes: "
       "cross_entropy's gradient.", 3, _gradient_shape, _gradient_oracle,
       dtype=_dtype, compute=_gradient, gradient=_again, samples=_sample),
)  # fmt: skip
