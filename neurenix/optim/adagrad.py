"""Adagrad."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from neurenix.optim.optimizer import Array, Group, Optimizer, Params


class Adagrad(Optimizer):
    """Adagrad (Duchi et al., 2011): each element's rate falls with the sum of its squared gradients."""

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        options = {
            "lr": lr, "lr_decay": lr_decay, "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value, "eps": eps, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, options)

    def slots(self, group: Group) -> Mapping[str, float]:
        return {"sum": group["initial_accumulator_value"]}

    def update(
        self, value: Array, gradient: Array, slots: Mapping[str, Array], scratch: Array, group: Group, step: int
    ) -> None:
        total = slots["sum"]
        np.multiply(gradient, gradient, out=scratch)
        total += scratch
        np.sqrt(total, out=scratch)
        scratch += group["eps"]
        np.divide(gradient, scratch, out=scratch)
        scratch *= group["lr"] / (1 + (step - 1) * group["lr_decay"])
        value -= scratch
