"""The plain layers as functions: linear maps, dropout, distances."""

from __future__ import annotations

import numpy as np

from neurenix.errors import InputError
from neurenix.tensor import Tensor, generator


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input weightᵀ + bias, with a weight of shape (out, in)."""
    return input @ weight.transpose(0, 1) if bias is None else input.linear(weight, bias)


def dropout(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Set each element to zero with probability p and scale the rest by 1 / (1 - p)."""
    check_probability("dropout", p)
    return drop(input, p, training, 0)


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Set whole channels of (N, C, L) to zero with probability p and scale the rest by 1 / (1 - p)."""
    check_probability("dropout1d", p)
    return drop(input, p, training, 1)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Set whole channels of (N, C, H, W) to zero with probability p and scale the rest by 1 / (1 - p)."""
    check_probability("dropout2d", p)
    return drop(input, p, training, 2)


def dropout3d(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Set whole channels of (N, C, D, H, W) to zero with probability p and scale the rest by 1 / (1 - p)."""
    check_probability("dropout3d", p)
    return drop(input, p, training, 3)


def drop(input: Tensor, p: float, training: bool, shared_axes: int) -> Tensor:
    """Drop out with one draw for the last `shared_axes` axes together; nothing happens out of training."""
    if not training or p == 0:
        return input
    shape = input.numpy().shape
    drawn = (*shape[: len(shape) - shared_axes], *(1,) * shared_axes)
    kept = generator().random(drawn, dtype=np.float32) >= p
    return input * np.multiply(kept, 1 / (1 - p) if p < 1 else 0.0, dtype=input.dtype.numpy)


def check_probability(name: str, p: float) -> None:
    """Raise InputError unless p is a probability."""
    if not 0 <= p <= 1:
        raise InputError(f"{name}'s p is a probability in [0, 1], got {p}")


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between two tensors along `dim`; lengths below `eps` count as `eps`."""

    def length(x: Tensor) -> Tensor:
        # The bound comes before the root, whose slope is infinite at 0.
        return (x * x).sum(dim).maximum(eps * eps).sqrt()

    return (x1 * x2).sum(dim) / (length(x1) * length(x2))


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """The p-norm of x1 - x2 + eps along the last axis."""
    return (x1 - x2 + eps).norm(p, -1, keepdim)
