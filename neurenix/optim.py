"""Optimisers: they change parameters by their gradients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from neurenix.errors import InputError
from neurenix.tensor import Tensor

Array = np.ndarray[Any, Any]


class Optimizer:
    """The parent of the optimisers: holds the parameters, and leaves the arithmetic to `update`."""

    def __init__(self, params: Iterable[Tensor], lr: float) -> None:
        self.params = list(params)
        if not self.params:
            raise InputError(
                "the optimiser got no parameters; pass model.parameters(), and only once if it is an iterator"
            )
        if lr < 0:
            raise InputError(f"the learning rate must not be negative, got {lr}")
        self.lr = lr

    def zero_grad(self) -> None:
        """Forget the gradients of the last backward pass."""
        for parameter in self.params:
            parameter.grad = None

    def step(self) -> None:
        """Change every parameter that has a gradient, in place."""
        for i, parameter in enumerate(self.params):
            if parameter.grad is not None:
                self.update(i, parameter.numpy(), parameter.grad.numpy())

    def update(self, index: int, value: Array, gradient: Array) -> None:
        raise NotImplementedError


class SGD(Optimizer):
    """Stochastic gradient descent with momentum, as PyTorch defines it (Sutskever et al., 2013, with its signs)."""

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(params, lr)
        self.momentum, self.weight_decay, self.nesterov = momentum, weight_decay, nesterov
        self._velocity: dict[int, Array] = {}

    def update(self, index: int, value: Array, gradient: Array) -> None:
        if self.weight_decay:
            gradient = gradient + self.weight_decay * value
        if self.momentum:
            known = self._velocity.get(index)
            velocity = gradient.copy() if known is None else self.momentum * known + gradient
            self._velocity[index] = velocity
            gradient = gradient + self.momentum * velocity if self.nesterov else velocity
        value -= (self.lr * gradient).astype(value.dtype, copy=False)


class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015), with bias correction."""

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr)
        self.betas, self.eps, self.weight_decay = betas, eps, weight_decay
        self._moments: dict[int, tuple[Array, Array, int]] = {}

    def update(self, index: int, value: Array, gradient: Array) -> None:
        if self.weight_decay:
            gradient = gradient + self.weight_decay * value
        b1, b2 = self.betas
        first, second, steps = self._moments.get(index, (np.zeros_like(value), np.zeros_like(value), 0))
        steps += 1
        first = b1 * first + (1 - b1) * gradient
        second = b2 * second + (1 - b2) * gradient * gradient
        self._moments[index] = first, second, steps
        scale = self.lr / (1 - b1**steps)
        root = np.sqrt(second / (1 - b2**steps)) + self.eps
        value -= (scale * first / root).astype(value.dtype, copy=False)
