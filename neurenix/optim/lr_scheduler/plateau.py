"""Lowers the learning rate when a measure stops getting better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from neurenix.errors import InputError
from neurenix.optim.lr_scheduler.scheduler import PerGroup, per_group
from neurenix.optim.optimizer import Optimizer

_NUMBERS = ("best", "num_bad_epochs", "cooldown_counter", "last_epoch")


class ReduceLROnPlateau:
    """Multiply the rates by `factor` when the measure given to `step` has not improved for `patience` steps."""

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: PerGroup = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if factor >= 1:
            raise InputError(f"ReduceLROnPlateau's factor must be below 1, got {factor}")
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise InputError(
                f"mode is 'min' or 'max', threshold_mode 'rel' or 'abs'; got {mode!r} and {threshold_mode!r}"
            )
        self.optimizer, self.mode, self.factor, self.patience = optimizer, mode, factor, patience
        self.threshold, self.threshold_mode, self.cooldown, self.eps = threshold, threshold_mode, cooldown, eps
        self.min_lrs = per_group(min_lr, optimizer, "min_lr")
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0

    def step(self, metrics: float) -> None:
        """Take the epoch's measure, and lower the rates if it is time."""
        measure = float(metrics)
        self.last_epoch += 1
        if self._better(measure):
            self.best, self.num_bad_epochs = measure, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0

    def get_last_lr(self) -> list[float]:
        """Return each group's learning rate."""
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs: plain values only."""
        return {name: getattr(self, name) for name in _NUMBERS}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where another schedule of the same options stood. The optimiser has a state of its own."""
        for name in _NUMBERS:
            setattr(self, name, state[name])

    def _better(self, measure: float) -> bool:
        down = self.mode == "min"
        if self.threshold_mode == "rel":
            limit = self.best * (1 - self.threshold if down else 1 + self.threshold)
        else:
            limit = self.best - self.threshold if down else self.best + self.threshold
        return measure < limit if down else measure > limit

    def _reduce(self) -> None:
        for group, low in zip(self.optimizer.param_groups, self.min_lrs):
            rate = max(group["lr"] * self.factor, low)
            if group["lr"] - rate > self.eps:
                group["lr"] = rate
