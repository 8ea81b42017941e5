"""Callbacks: what happens between epochs, such as stopping early and keeping the best weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from neurenix.errors import InputError
from neurenix.training.run import Run


class Callback:
    """Override what should do something. What must survive a resumed training goes into `state_dict`."""

    def on_start(self, run: Run) -> None:
        """Called before the first batch, also when the training is resumed."""

    def on_batch_end(self, run: Run) -> None:
        """Called after each step of the optimiser."""

    def on_epoch_end(self, run: Run) -> None:
        """Called after each epoch, when `run.measures` has its row."""

    def on_end(self, run: Run) -> None:
        """Called after the last epoch."""

    def state_dict(self) -> dict[str, Any]:
        """Return plain values and arrays."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""


class BestWeights(Callback):
    """Keep the weights of the best epoch, and give them back to the model at the end.

    `monitor` is a column of the history, by default the validation loss, or the loss without validation. `mode` is
    "min", "max" or "auto": loss and errors should fall, everything else rise.
    """

    def __init__(self, monitor: str | None = None, mode: str = "auto", min_delta: float = 0.0) -> None:
        if mode not in ("auto", "min", "max"):
            raise InputError(f"mode is 'auto', 'min' or 'max', got {mode!r}")
        self.monitor, self.mode, self.min_delta = monitor, mode, min_delta
        self.best: float | None = None
        self.best_epoch = 0
        self.weights: dict[str, Any] | None = None
        self.restore = True

    def on_epoch_end(self, run: Run) -> None:
        measure = self._measure(run)
        if self._better(measure, run):
            self.best, self.best_epoch = measure, run.epoch
            self.weights = run.model.state_dict() if self.restore else None

    def on_end(self, run: Run) -> None:
        if self.restore and self.weights is not None:
            run.model.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "best_epoch": self.best_epoch, "weights": self.weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best, self.best_epoch, self.weights = state["best"], state["best_epoch"], state["weights"]

    def _name(self, run: Run) -> str:
        return self.monitor or ("validation_loss" if "validation_loss" in run.measures else "loss")

    def _measure(self, run: Run) -> float:
        name = self._name(run)
        if name not in run.measures:
            raise InputError(f"{type(self).__name__} cannot watch '{name}'; there are {', '.join(run.measures)}")
        return run.measures[name]

    def _better(self, measure: float, run: Run) -> bool:
        if self.best is None:
            return not math.isnan(measure)
        falling = self.mode == "min" or (self.mode == "auto" and self._name(run).endswith(("loss", "mae", "mse")))
        return measure < self.best - self.min_delta if falling else measure > self.best + self.min_delta


class EarlyStopping(BestWeights):
    """Stop when the monitored measure has not become better by `min_delta` for `patience` epochs.

    With `restore_best`, the model has the weights of the best epoch at the end, whether stopped early or not.
    """

    def __init__(
        self,
        monitor: str | None = None,
        patience: int = 5,
        min_delta: float = 0.0,
        mode: str = "auto",
        restore_best: bool = True,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if patience < 1:
            raise InputError(f"patience is a number of epochs, got {patience}")
        self.patience, self.restore = patience, restore_best

    def on_epoch_end(self, run: Run) -> None:
        super().on_epoch_end(run)
        if run.epoch - self.best_epoch >= self.patience:
            run.stop = True
