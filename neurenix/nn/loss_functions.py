"""The losses as functions. Names, arguments and defaults are PyTorch's, but shapes must match: nothing broadcasts.

`reduction` is "mean", "sum" or "none". Targets and weights may be tensors or arrays.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from neurenix.errors import InputError
from neurenix.tensor import Operand, Tensor, as_tensor

Array = np.ndarray[Any, Any]

# The least logarithm that binary_cross_entropy takes, and the probability below which it does: the smallest float32
# whose reciprocal, the slope of its logarithm, is finite.
_LOG_FLOOR, _TINY = -100.0, 1e-38


def mse_loss(input: Tensor, target: Operand, reduction: str = "mean") -> Tensor:
    """(input - target)²."""
    error = input - _matching("mse_loss", input, target)
    return reduced(error * error, reduction)


def l1_loss(input: Tensor, target: Operand, reduction: str = "mean") -> Tensor:
    """|input - target|."""
    return reduced((input - _matching("l1_loss", input, target)).abs(), reduction)


def smooth_l1_loss(input: Tensor, target: Operand, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """The squared error over 2 beta where it is below `beta`, the absolute error less beta / 2 elsewhere."""
    if beta < 0:
        raise InputError(f"smooth_l1_loss: beta must not be negative, got {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction)
    return reduced(_quadratic_then_linear("smooth_l1_loss", input, target, beta) * (1 / beta), reduction)


def huber_loss(input: Tensor, target: Operand, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    """Half the squared error where it is below `delta`, delta times the absolute error less delta / 2 elsewhere."""
    if delta <= 0:
        raise InputError(f"huber_loss: delta must be positive, got {delta}")
    return reduced(_quadratic_then_linear("huber_loss", input, target, delta), reduction)


def _quadratic_then_linear(name: str, input: Tensor, target: Operand, knee: float) -> Tensor:
    error = (input - _matching(name, input, target)).abs()
    small = error.minimum(knee)
    return small * small * 0.5 + (error - small) * knee


def binary_cross_entropy(
    input: Tensor, target: Operand, weight: Operand | None = None, reduction: str = "mean"
) -> Tensor:
    """-(t log p + (1 - t) log(1 - p)) of probabilities p; a logarithm is never less than -100."""
    wanted = _matching("binary_cross_entropy", input, target)

    def log(p: Tensor) -> Tensor:
        return p.maximum(_TINY).log().masked_fill(p < _TINY, _LOG_FLOOR)

    loss = -(wanted * log(input) + (1.0 - wanted) * log(1.0 - input))
    return reduced(loss if weight is None else loss * weight, reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Operand,
    weight: Operand | None = None,
    reduction: str = "mean",
    pos_weight: Operand | None = None,
) -> Tensor:
    """binary_cross_entropy(sigmoid(input), target), exact for large inputs; `pos_weight` weighs the target's ones."""
    wanted = _matching("binary_cross_entropy_with_logits", input, target)
    tail = (-input).softplus()
    if pos_weight is not None:
        tail = tail * ((as_tensor(pos_weight, input.dtype) - 1.0) * wanted + 1.0)
    loss = (1.0 - wanted) * input + tail
    return reduced(loss if weight is None else loss * weight, reduction)


def kl_div(input: Tensor, target: Operand, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """target (log target - input): `input` holds logarithms, and with `log_target` so does `target`.

    `reduction="batchmean"` divides the sum by the size of the first axis, as the mathematical definition does.
    """
    wanted = _matching("kl_div", input, target)
    if log_target:
        loss = wanted.exp() * (wanted - input)
    else:
        loss = wanted * wanted.maximum(1e-38).log() - wanted * input
    if reduction == "batchmean":
        return reduced(loss, "sum") * (1.0 / max(int(np.asarray(input.shape[0])), 1))
    return reduced(loss, reduction)


def poisson_nll_loss(
    input: Tensor,
    target: Operand,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:
    """exp(input) - target · input for a logarithm as input; `full` adds Stirling's term for targets above 1."""
    wanted = _matching("poisson_nll_loss", input, target)
    loss = input.exp() - wanted * input if log_input else input - wanted * (input + eps).log()
    if full:
        count = np.asarray(wanted.numpy(), dtype=np.float64)
        safe = np.maximum(count, 1.0)
        stirling = safe * np.log(safe) - safe + 0.5 * np.log(2 * math.pi * safe)
        loss = loss + np.where(count > 1, stirling, 0.0)
    return reduced(loss, reduction)


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Operand, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """1 - cos(input1, input2) where the target is 1, max(0, cos - margin) where it is -1."""
    similar, other = _signs(target)
    if input1.shape != input2.shape or similar.shape != tuple(input1.shape[:-1]):
        raise InputError(
            f"cosine_embedding_loss wants two inputs (N, D) and targets (N,); got {list(input1.shape)}, "
            f"{list(input2.shape)} and {list(similar.shape)}"
        )
    dot, left, right = ((a * b).sum(-1) for a, b in ((input1, input2), (input1, input1), (input2, input2)))
    cosine = dot / ((left + 1e-12) * (right + 1e-12)).sqrt()
    return reduced((1.0 - cosine) * similar + (cosine - margin).relu() * other, reduction)


def hinge_embedding_loss(input: Tensor, target: Operand, margin: float = 1.0, reduction: str = "mean") -> Tensor:
    """The input where the target is 1, max(0, margin - input) where it is -1."""
    similar, other = _signs(target)
    _matching("hinge_embedding_loss", input, similar)
    return reduced(input * similar + (margin - input).relu() * other, reduction)


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Operand, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """max(0, margin - target (input1 - input2)): the target is 1 where input1 should be the larger, else -1."""
    wanted = _matching("margin_ranking_loss", input1, target)
    return reduced((margin - wanted * (input1 - _matching("margin_ranking_loss", input1, input2))).relu(), reduction)


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """Apply a reduction to the loss of each element. Raises InputError for an unknown one."""
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    if reduction == "none":
        return loss
    raise InputError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}")


def _matching(name: str, input: Tensor, target: Operand) -> Tensor:
    """Return the target as a tensor; raise InputError when its shape is not the input's."""
    wanted = as_tensor(target, input.dtype)
    if wanted.shape != input.shape:
        raise InputError(
            f"{name}: the input has shape {list(input.shape)} and the target {list(wanted.shape)}; "
            "reshape one of them, since nothing broadcasts here"
        )
    return wanted


def _signs(target: Operand) -> tuple[Array, Array]:
    """Return where the target is 1 and where it is -1, as ones and zeros."""
    signs = np.asarray(target.numpy() if isinstance(target, Tensor) else target)
    return (signs == 1).astype(np.float32), (signs == -1).astype(np.float32)
