"""The losses of classifiers as functions: cross entropy and the negative log likelihood.

Scores have the shape (N, C, d1, …) or (C,), class indices (N, d1, …) or (); C is the number of classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurenix.errors import InputError
from neurenix.nn.loss_functions import reduced
from neurenix.tensor import Operand, Tensor, as_tensor

Array = np.ndarray[Any, Any]


def cross_entropy(
    input: Tensor,
    target: Operand,
    weight: Operand | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-log softmax(input)[target]; the target holds class indices, or a probability for every class.

    `weight` gives each class a weight; the mean is then the weighted one. Elements whose target is `ignore_index`
    count nothing. `label_smoothing` mixes that part of the uniform distribution into the target. Raises InputError
    when shapes do not fit or a target is no class.
    """
    if not 0 <= label_smoothing <= 1:
        raise InputError(f"cross_entropy: label_smoothing must be from 0 to 1, got {label_smoothing}")
    axis = _class_axis("cross_entropy", input)
    if as_tensor(target).dtype.numpy.kind == "f":
        probable = as_tensor(target, input.dtype)
        return _soft(input.log_softmax(axis), probable, _weights(input, weight), reduction, label_smoothing)
    labels, counted = _labels("cross_entropy", input, target, ignore_index)
    shares = _shares(input, labels, counted, weight)
    if not label_smoothing and reduction == "mean" and shares.any():
        return input.cross_entropy(Tensor(labels), shares * _share_of_one(shares)).sum()
    loss = input.cross_entropy(Tensor(labels), shares)
    if label_smoothing:
        classes = _class_count(input)
        scores = input.log_softmax(axis)
        each = scores if weight is None else scores * _along(_weights(input, weight), input)
        uniform = each.sum(axis) * -counted.astype(shares.dtype)
        loss = loss * (1 - label_smoothing) + uniform * (label_smoothing / classes)
    return _weighted(loss, shares, reduction)


def nll_loss(
    input: Tensor, target: Operand, weight: Operand | None = None, ignore_index: int = -100, reduction: str = "mean"
) -> Tensor:
    """-input[target], where `input` holds logarithms of probabilities; otherwise as `cross_entropy`."""
    labels, counted = _labels("nll_loss", input, target, ignore_index)
    shares = _shares(input, labels, counted, weight)
    return _weighted(_picked(input, labels) * -shares, shares, reduction)


def _soft(scores: Tensor, target: Tensor, weights: Array | None, reduction: str, smoothing: float) -> Tensor:
    if target.shape != scores.shape:
        raise InputError(
            f"cross_entropy: probabilities as targets need the scores' shape {list(scores.shape)}, "
            f"got {list(target.shape)}; class indices must be integers"
        )
    classes = _class_count(scores)
    if smoothing:
        target = target * (1 - smoothing) + smoothing / classes
    each = scores * target if weights is None else scores * target * _along(weights, scores)
    loss = -(each.sum(_class_axis("cross_entropy", scores)))
    if reduction == "mean":
        return loss.sum() * (classes / max(scores.numpy().size, 1))
    return reduced(loss, reduction)


def _weighted(loss: Tensor, shares: Array, reduction: str) -> Tensor:
    """Reduce; the mean divides by the weights that took part. It is NaN when none did, as in PyTorch."""
    if reduction != "mean":
        return reduced(loss, reduction)
    return loss.sum() * _share_of_one(shares)


def _share_of_one(shares: Array) -> float:
    total = float(shares.sum(dtype=np.float64))
    return 1 / total if total else float("nan")


def _picked(scores: Tensor, labels: Array) -> Tensor:
    """Return the score of each element's own class."""
    axis = _class_axis("", scores)
    return scores.gather(axis, np.expand_dims(labels, axis)).reshape(labels.shape)


def _labels(name: str, input: Tensor, target: Operand, ignore_index: int) -> tuple[Array, Array]:
    """Return the class indices, 0 where there is none to be counted, and where they count."""
    labels = np.asarray(target.numpy() if isinstance(target, Tensor) else target)
    axis, classes = _class_axis(name, input), _class_count(input)
    wanted = (*input.shape[:axis], *input.shape[axis + 1 :])
    if labels.shape != wanted or labels.dtype.kind not in "iu":
        raise InputError(
            f"{name} wants class indices of shape {list(wanted)} for scores of shape {list(input.shape)}, "
            f"got {labels.dtype} of shape {list(labels.shape)}"
        )
    counted = labels != ignore_index
    safe = np.where(counted, labels, 0).astype(np.int64)
    if safe.size and not (safe.min() >= 0 and safe.max() < classes):
        raise InputError(f"{name} got the classes {safe.min()}..{safe.max()}, the logits have {classes}")
    return safe, counted


def _shares(input: Tensor, labels: Array, counted: Array, weight: Operand | None) -> Array:
    """Return what each element weighs."""
    weights = _weights(input, weight)
    shares = counted.astype(input.dtype.numpy)
    return shares if weights is None else shares * weights[labels]


def _weights(input: Tensor, weight: Operand | None) -> Array | None:
    if weight is None:
        return None
    weights = np.asarray(weight.numpy() if isinstance(weight, Tensor) else weight, dtype=input.dtype.numpy)
    if weights.shape != (_class_count(input),):
        raise InputError(f"weight must have one number for each of {_class_count(input)} classes, got {weights.shape}")
    return weights


def _along(weights: Array | None, input: Tensor) -> Array:
    """Lay the classes' weights along the axis of the classes."""
    assert weights is not None
    return weights.reshape((-1,) + (1,) * (input.ndim - 1 - _class_axis("", input)))


def _class_axis(name: str, input: Tensor) -> int:
    if input.ndim == 0:
        raise InputError(f"{name} wants scores of shape (N, C, …) or (C,), got a scalar")
    return 0 if input.ndim == 1 else 1


def _class_count(input: Tensor) -> int:
    classes: int = input.numpy().shape[_class_axis("", input)]
    return classes
