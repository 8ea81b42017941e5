"""The parent of the schedules: counts steps and sets each group's learning rate from a formula of the count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Union

from neurenix.errors import InputError
from neurenix.optim.optimizer import Optimizer

PerGroup = Union[float, Sequence[float]]


class LRScheduler:
    """Sets the learning rates of an optimiser's groups; call `step()` after each epoch, or each batch.

    A subclass gives `rate(base, step, group)`. The rate depends on the count of steps and on the rate that the
    optimiser was made with, not on the last rate: nothing drifts, and any step can be asked for. (PyTorch's
    schedules multiply the last rate; they give the same numbers as long as nobody else changes `lr`.)
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise InputError(f"{type(self).__name__} needs an optimiser, got {type(optimizer).__name__}")
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch >= 0 and "initial_lr" not in group:
                raise InputError(f"last_epoch={last_epoch} continues a schedule, but group {i} has no 'initial_lr'")
            group.setdefault("initial_lr", group["lr"])
        self.base_lrs = [float(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_epoch + 1
        self._apply()

    def rate(self, base: float, step: int, group: int) -> float:
        """Return the learning rate of a group after `step` steps, if it started as `base`."""
        raise NotImplementedError

    def step(self) -> None:
        """Count one step and set the learning rates."""
        self.last_epoch += 1
        self._apply()

    def get_last_lr(self) -> list[float]:
        """Return each group's learning rate."""
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs: plain values only."""
        return {"last_epoch": self.last_epoch, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where another schedule of the same options stood. The optimiser has a state of its own."""
        if len(state["base_lrs"]) != len(self.base_lrs):
            raise InputError(f"the schedule's state is for {len(state['base_lrs'])} groups, not {len(self.base_lrs)}")
        self.last_epoch, self.base_lrs = int(state["last_epoch"]), [float(x) for x in state["base_lrs"]]

    def adjust(self, step: int) -> None:
        """Set what a schedule changes beside the learning rate, such as the momentum."""

    def _apply(self) -> None:
        for i, (group, base) in enumerate(zip(self.optimizer.param_groups, self.base_lrs)):
            group["lr"] = self.rate(base, self.last_epoch, i)
        self.adjust(self.last_epoch)


def per_group(value: PerGroup, optimizer: Optimizer, name: str) -> list[float]:
    """Return one number for each group. Raises InputError when a list has another length."""
    groups = len(optimizer.param_groups)
    values = [float(value)] * groups if isinstance(value, (int, float)) else [float(v) for v in value]
    if len(values) != groups:
        raise InputError(f"{name} has {len(values)} numbers for {groups} parameter groups")
    return values


def at_least_one(value: int, name: str) -> int:
    """Return a count. Raises InputError unless it is a whole number above 0."""
    if isinstance(value, bool) or int(value) != value or value < 1:
        raise InputError(f"{name} must be a whole number above 0, got {value!r}")
    return int(value)
