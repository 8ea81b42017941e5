"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from neurenix.errors import InputError
from neurenix.optim.optimizer import Array, Group, Optimizer, Params


class SGD(Optimizer):
    """Stochastic gradient descent with momentum, as PyTorch defines it (Sutskever et al., 2013, with its signs)."""

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        options = {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
            "nesterov": nesterov, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, options)

    def check(self, group: Group) -> None:
        super().check(group)
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise InputError("nesterov needs a momentum above 0 and no dampening")

    def slots(self, group: Group) -> Mapping[str, float]:
        return {"momentum_buffer": 0.0} if group["momentum"] else {}

    def update(
        self, value: Array, gradient: Array, slots: Mapping[str, Array], scratch: Array, group: Group, step: int
    ) -> None:
        momentum, damping = group["momentum"], group["dampening"]
        if momentum:
            velocity = slots["momentum_buffer"]
            if step == 1:
                velocity[...] = gradient  # PyTorch's first velocity is not dampened
            else:
                velocity *= momentum
                velocity += np.multiply(gradient, 1 - damping, out=scratch) if damping else gradient
            if group["nesterov"]:
                np.multiply(velocity, momentum, out=scratch)
                gradient = np.add(scratch, gradient, out=scratch)
            else:
                gradient = velocity
        np.multiply(gradient, group["lr"], out=scratch)
        value -= scratch
