"""The state of a running training: what callbacks see, and what a checkpoint holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from neurenix.data import DataLoader
from neurenix.errors import InputError
from neurenix.nn import Module
from neurenix.optim import Optimizer
from neurenix.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from neurenix.tensor import generator
from neurenix.training.history import History
from neurenix.training.metrics import Array, Metric

if TYPE_CHECKING:
    from neurenix.training.callbacks import Callback

Scheduler = Union[LRScheduler, ReduceLROnPlateau]
FORMAT = 1


@dataclass
class Totals:
    """The sums of an epoch so far."""

    loss: float = 0.0
    samples: int = 0
    metrics: dict[str, Array] = field(default_factory=dict)

    def add(self, loss: float, output: Array, target: Array, metrics: Sequence[Metric]) -> None:
        """Add one batch."""
        self.loss += loss * len(target)
        self.samples += len(target)
        for metric in metrics:
            part = metric.measure(output, target)
            known = self.metrics.get(metric.name)
            self.metrics[metric.name] = part if known is None else known + part

    def values(self, metrics: Sequence[Metric], prefix: str = "") -> dict[str, float]:
        """Return the means by name."""
        found = {f"{prefix}loss": self.loss / max(self.samples, 1)}
        return {**found, **{prefix + m.name: m.value(self.metrics[m.name]) for m in metrics if self.samples}}


@dataclass
class Run:
    """A training under way. A callback may set `stop`, which ends it after the epoch.

    `epoch` counts from 1, `batch` the batches of the epoch that are done. `measures` is the last epoch's row.
    """

    model: Module
    optimizer: Optimizer
    loader: DataLoader
    epochs: int
    scheduler: Scheduler | None
    metrics: list[Metric]
    callbacks: list[Callback]
    seed: int | None
    history: History = field(default_factory=History)
    epoch: int = 1
    batch: int = 0
    epoch_seed: int | None = None
    totals: Totals = field(default_factory=Totals)
    seconds: float = 0.0
    measures: dict[str, float] = field(default_factory=dict)
    stop: bool = False

    @property
    def batches(self) -> int:
        return len(self.loader)

    def identity(self) -> dict[str, Any]:
        """Return what must be equal for a checkpoint to be continued."""
        state = self.model.state_dict()
        return {
            "parameters": {name: [str(a.dtype), *a.shape] for name, a in state.items()},
            "optimizer": type(self.optimizer).__name__,
            "options": {k: list(v) if isinstance(v, tuple) else v for k, v in self.optimizer.defaults.items()},
            "scheduler": type(self.scheduler).__name__,
            "samples": len(self.loader.dataset),
            "batch_size": self.loader.batch_size,
            "metrics": [m.name for m in self.metrics],
            "callbacks": [type(c).__name__ for c in self.callbacks],
            "seed": self.seed,
        }

    def state_dict(self) -> dict[str, Any]:
        """Return everything that decides how the training goes on."""
        return {
            "format": FORMAT,
            "identity": self.identity(),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "random": dict(generator().bit_generator.state),
            "loader": self.loader.state_dict(),
            "callbacks": [c.state_dict() for c in self.callbacks],
            "history": self.history.rows,
            "epoch": self.epoch,
            "batch": self.batch,
            "epoch_seed": self.epoch_seed,
            "totals": {"loss": self.totals.loss, "samples": self.totals.samples, "metrics": self.totals.metrics},
            "seconds": self.seconds,
            "measures": self.measures,
            "stop": self.stop,
        }

    def load_state_dict(self, state: Mapping[str, Any], source: str) -> None:
        """Go on where `state` was taken. Raises InputError when it is of another training."""
        if state.get("format") != FORMAT:
            raise InputError(f"{source} has format {state.get('format')}, this release reads {FORMAT}; delete it")
        known, own = state["identity"], self.identity()
        for name, value in own.items():
            if known.get(name) != value:
                raise InputError(
                    f"{source} is of another training: {_difference(name, known.get(name), value)} -- delete it to "
                    "start again, or name another file"
                )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        generator().bit_generator.state = state["random"]
        self.loader.load_state_dict(state["loader"])
        for callback, given in zip(self.callbacks, state["callbacks"]):
            callback.load_state_dict(given)
        self.history.rows = [dict(row) for row in state["history"]]
        self.epoch, self.batch, self.epoch_seed = state["epoch"], state["batch"], state["epoch_seed"]
        totals = state["totals"]
        sums = {name: np.asarray(array, dtype=np.float64) for name, array in totals["metrics"].items()}
        self.totals = Totals(totals["loss"], totals["samples"], sums)
        self.seconds, self.measures, self.stop = state["seconds"], dict(state["measures"]), state["stop"]


def _difference(name: str, known: Any, own: Any) -> str:
    if isinstance(known, dict) and isinstance(own, dict):
        first = next(k for k in (*known, *own) if known.get(k) != own.get(k))
        return _difference(f"{name} '{first}'", known.get(first), own.get(first))
    return f"{name} was {known}, now it is {own}"
