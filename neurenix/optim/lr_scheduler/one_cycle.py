"""The one-cycle schedule: up to a high rate, down to almost nothing, the momentum the other way."""

from __future__ import annotations

import math

from neurenix.errors import InputError
from neurenix.optim.lr_scheduler.scheduler import LRScheduler, PerGroup, at_least_one, per_group
from neurenix.optim.optimizer import Optimizer


class OneCycleLR(LRScheduler):
    """Smith and Topin's one cycle (2018), stepped after every batch, `total_steps` times at most.

    The rate starts at `max_lr / div_factor` and ends at that `/ final_div_factor`. With `cycle_momentum` the
    optimiser needs `momentum` or `betas`.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: PerGroup,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: PerGroup = 0.85,
        max_momentum: PerGroup = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise InputError("OneCycleLR needs total_steps, or epochs and steps_per_epoch")
            total_steps = at_least_one(epochs, "epochs") * at_least_one(steps_per_epoch, "steps_per_epoch")
        if not 0 <= pct_start <= 1:
            raise InputError(f"pct_start must be in [0, 1], got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise InputError(f"anneal_strategy is 'cos' or 'linear', got {anneal_strategy!r}")
        self.total_steps = at_least_one(total_steps, "total_steps")
        self.anneal_strategy, self.cycle_momentum = anneal_strategy, cycle_momentum
        self.max_lrs = per_group(max_lr, optimizer, "max_lr")
        self.first_lrs = [rate / div_factor for rate in self.max_lrs]
        self.last_lrs = [rate / final_div_factor for rate in self.first_lrs]
        self.base_momentums = per_group(base_momentum, optimizer, "base_momentum")
        self.max_momentums = per_group(max_momentum, optimizer, "max_momentum")
        # The steps at which each phase ends, and between which of (first, high, last) it goes.
        summit = pct_start * self.total_steps - 1
        self.phases = [(summit, "first", "high"), (float(self.total_steps - 1), "high", "last")]
        if three_phase:
            foot = 2 * pct_start * self.total_steps - 2
            self.phases[1:] = [(foot, "high", "first"), (float(self.total_steps - 1), "first", "last")]
        if cycle_momentum and not all("momentum" in g or "betas" in g for g in optimizer.param_groups):
            raise InputError(
                f"{type(optimizer).__name__} has no momentum to cycle; pass cycle_momentum=False to OneCycleLR"
            )
        for group, rate in zip(optimizer.param_groups, self.first_lrs):
            group["initial_lr"] = rate
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, step: int, group: int) -> float:
        return self._at(step, {"first": self.first_lrs[group], "high": self.max_lrs[group],
                               "last": self.last_lrs[group]})  # fmt: skip

    def step(self) -> None:
        """Count one batch. Raises InputError after the last one."""
        if self.last_epoch + 1 > self.total_steps:
            raise InputError(f"OneCycleLR was made for {self.total_steps} steps; this is step {self.last_epoch + 1}")
        super().step()

    def adjust(self, step: int) -> None:
        if not self.cycle_momentum:
            return
        for group, low, high in zip(self.optimizer.param_groups, self.base_momentums, self.max_momentums):
            momentum = self._at(step, {"first": high, "high": low, "last": high})
            if "betas" in group:
                group["betas"] = (momentum, *group["betas"][1:])
            else:
                group["momentum"] = momentum

    def _at(self, step: int, ends: dict[str, float]) -> float:
        start = 0.0
        for i, (end, source, target) in enumerate(self.phases):
            if step <= end or i == len(self.phases) - 1:
                return self._between(ends[source], ends[target], (step - start) / (end - start))
            start = end
        raise AssertionError("a schedule has phases")

    def _between(self, start: float, end: float, part: float) -> float:
        if self.anneal_strategy == "linear":
            return start + (end - start) * part
        return end + (start - end) / 2 * (1 + math.cos(math.pi * part))
