"""Gradient clipping: keeps one bad batch from throwing the parameters far away."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from neurenix.errors import InputError
from neurenix.tensor import Tensor

Array = np.ndarray[Any, Any]


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale all gradients, in place, so that their norm as one vector is at most `max_norm`; return the norm before.

    Raises InputError with `error_if_nonfinite` when the norm is infinite or NaN; nothing is changed then.
    """
    gradients = _gradients(parameters)
    total = float(_norm(gradients, float(norm_type)))
    if error_if_nonfinite and not math.isfinite(total):
        raise InputError(f"the gradients' norm is {total}: the training has diverged")
    factor = max_norm / (total + 1e-6)
    if not factor >= 1:  # NaN too: it spreads, as in PyTorch
        for gradient in gradients:
            gradient *= factor
    return Tensor(np.asarray(total, np.result_type(*gradients) if gradients else np.float32))


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Bring every element of every gradient, in place, into [-clip_value, clip_value]."""
    for gradient in _gradients(parameters):
        np.clip(gradient, -float(clip_value), float(clip_value), out=gradient)


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Array]:
    """Return the gradients' arrays, writable; one that cannot be written to is replaced by a copy first."""
    listed = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    arrays = []
    for parameter in listed:
        if parameter.grad is None:
            continue
        if not parameter.grad.numpy().flags.writeable:  # a broadcast view
            parameter.grad = parameter.grad.clone()
        arrays.append(parameter.grad.numpy())
    return arrays


def _norm(gradients: list[Array], order: float) -> float:
    if not gradients:
        return 0.0
    if order == 2:  # the dot product is one pass without a temporary
        flat = [g.ravel(order="K") for g in gradients]
        return math.sqrt(sum(float(np.dot(g, g)) for g in flat))
    norms = [float(np.linalg.norm(g.ravel(), order)) for g in gradients]
    return float(np.linalg.norm(np.array(norms), order))
