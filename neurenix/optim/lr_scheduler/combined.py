"""Schedules made of schedules: one after another, or all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from neurenix.errors import InputError
from neurenix.optim.lr_scheduler.scheduler import LRScheduler
from neurenix.optim.optimizer import Optimizer


class _Combined(LRScheduler):
    def __init__(self, optimizer: Optimizer | None, schedulers: Sequence[LRScheduler], last_epoch: int = -1) -> None:
        self.schedulers = list(schedulers)
        if not self.schedulers:
            raise InputError(f"{type(self).__name__} got no schedules")
        owner = optimizer if optimizer is not None else self.schedulers[0].optimizer
        for i, scheduler in enumerate(self.schedulers):
            if not isinstance(scheduler, LRScheduler):
                raise InputError(f"{type(self).__name__} cannot combine {type(scheduler).__name__} (schedule {i})")
            if scheduler.optimizer is not owner:
                raise InputError(f"schedule {i} was made for another optimiser")
        super().__init__(owner, last_epoch)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "schedulers": [s.state_dict() for s in self.schedulers]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if len(state["schedulers"]) != len(self.schedulers):
            raise InputError(f"the state is of {len(state['schedulers'])} schedules, these are {len(self.schedulers)}")
        super().load_state_dict(state)
        for scheduler, given in zip(self.schedulers, state["schedulers"]):
            scheduler.load_state_dict(given)


class SequentialLR(_Combined):
    """Run schedules one after another, each from its own step 0: the next one starts at each milestone."""

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int], last_epoch: int = -1
    ) -> None:
        self.milestones = list(milestones)
        if len(self.milestones) != len(schedulers) - 1 or self.milestones != sorted(self.milestones):
            raise InputError(
                f"SequentialLR needs a rising milestone between each two schedules: {len(schedulers)} schedules, "
                f"milestones {self.milestones}"
            )
        super().__init__(optimizer, schedulers, last_epoch)

    def rate(self, base: float, step: int, group: int) -> float:
        index, start = self._place(step)
        return self.schedulers[index].rate(base, step - start, group)

    def adjust(self, step: int) -> None:
        index, start = self._place(step)
        self.schedulers[index].adjust(step - start)

    def _place(self, step: int) -> tuple[int, int]:
        index = bisect_right(self.milestones, step)
        return index, self.milestones[index - 1] if index else 0


class ChainedScheduler(_Combined):
    """Apply schedules at once, each to what the one before it gives."""

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        super().__init__(optimizer, schedulers)

    def rate(self, base: float, step: int, group: int) -> float:
        for scheduler in self.schedulers:
            base = scheduler.rate(base, step, group)
        return base

    def adjust(self, step: int) -> None:
        for scheduler in self.schedulers:
            scheduler.adjust(step)
