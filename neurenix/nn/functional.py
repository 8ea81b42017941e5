"""Losses and other functions of tensors that own nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurenix.errors import InputError
from neurenix.tensor import Tensor


def cross_entropy(logits: Tensor, target: Tensor | np.ndarray[Any, Any]) -> Tensor:
    """Return the mean of -log softmax(logits)[target]; logits (N, C), target (N,) class indices.

    Raises InputError when a target is no class.
    """
    labels = np.asarray(target.numpy() if isinstance(target, Tensor) else target)
    rows, classes = logits.numpy().shape
    if labels.shape != (rows,) or labels.dtype.kind not in "iu":
        raise InputError(f"cross_entropy wants {rows} class indices, got {labels.dtype} of shape {list(labels.shape)}")
    if rows and not (labels.min() >= 0 and labels.max() < classes):
        raise InputError(f"cross_entropy got the classes {labels.min()}..{labels.max()}, the logits have {classes}")
    picked = np.zeros((rows, classes), dtype=logits.dtype.numpy)
    picked[np.arange(rows), labels] = -1 / max(rows, 1)
    return (logits.log_softmax(-1) * picked).sum()


def mse_loss(prediction: Tensor, target: Tensor | np.ndarray[Any, Any]) -> Tensor:
    """Return the mean of (prediction - target)²."""
    error = prediction - target
    return (error * error).mean()
