"""Adam and AdamW."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from neurenix.optim.optimizer import Array, Group, Optimizer, Params


class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015), with bias correction; `weight_decay` is added to the gradient."""

    decoupled = False

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        options = {
            "lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad,
            "maximize": maximize, "decoupled_weight_decay": self.decoupled,
        }  # fmt: skip
        super().__init__(params, options)

    def slots(self, group: Group) -> Mapping[str, float]:
        both = {"exp_avg": 0.0, "exp_avg_sq": 0.0}
        return {**both, "max_exp_avg_sq": 0.0} if group["amsgrad"] else both

    def update(
        self, value: Array, gradient: Array, slots: Mapping[str, Array], scratch: Array, group: Group, step: int
    ) -> None:
        first, second = slots["exp_avg"], slots["exp_avg_sq"]
        b1, b2 = group["betas"]
        lr = group["lr"]
        if group["decoupled_weight_decay"] and group["weight_decay"]:
            value *= 1 - lr * group["weight_decay"]
        np.multiply(gradient, 1 - b1, out=scratch)
        first *= b1
        first += scratch
        np.multiply(gradient, gradient, out=scratch)
        scratch *= 1 - b2
        second *= b2
        second += scratch
        if group["amsgrad"]:
            second = np.maximum(second, slots["max_exp_avg_sq"], out=slots["max_exp_avg_sq"])
        # lr / c1 * m / (sqrt(v) / sqrt(c2) + eps), with sqrt(c2) brought out of the quotient to spare a pass
        correction = math.sqrt(1 - b2**step)
        np.sqrt(second, out=scratch)
        scratch += group["eps"] * correction
        np.divide(first, scratch, out=scratch)
        scratch *= lr * correction / (1 - b1**step)
        value -= scratch


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019): the parameters shrink by lr * weight_decay."""

    decoupled = True

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
