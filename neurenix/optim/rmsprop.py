"""RMSprop."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from neurenix.errors import InputError
from neurenix.optim.optimizer import Array, Group, Optimizer, Params


class RMSprop(Optimizer):
    """RMSprop (Hinton's lecture 6), dividing by the root of a running mean of squares; optionally centred."""

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        options = {
            "lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay, "momentum": momentum,
            "centered": centered, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, options)

    def check(self, group: Group) -> None:
        super().check(group)
        if not 0 <= group["alpha"] <= 1:
            raise InputError(f"alpha must be in [0, 1], got {group['alpha']}")

    def slots(self, group: Group) -> Mapping[str, float]:
        names = ["square_avg"] + ["momentum_buffer"] * bool(group["momentum"]) + ["grad_avg"] * bool(group["centered"])
        return dict.fromkeys(names, 0.0)

    def update(
        self, value: Array, gradient: Array, slots: Mapping[str, Array], scratch: Array, group: Group, step: int
    ) -> None:
        alpha = group["alpha"]
        square = slots["square_avg"]
        np.multiply(gradient, gradient, out=scratch)
        scratch *= 1 - alpha
        square *= alpha
        square += scratch
        if group["centered"]:
            mean = slots["grad_avg"]
            np.multiply(gradient, 1 - alpha, out=scratch)
            mean *= alpha
            mean += scratch
            np.multiply(mean, mean, out=scratch)
            np.subtract(square, scratch, out=scratch)
            np.sqrt(scratch, out=scratch)
        else:
            np.sqrt(square, out=scratch)
        scratch += group["eps"]
        np.divide(gradient, scratch, out=scratch)
        if group["momentum"]:
            velocity = slots["momentum_buffer"]
            velocity *= group["momentum"]
            velocity += scratch
            np.multiply(velocity, group["lr"], out=scratch)
        else:
            scratch *= group["lr"]
        value -= scratch
