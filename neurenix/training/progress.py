"""Shows how a training goes: a live bar on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from typing import Any

from neurenix.errors import InputError, MissingExtraError
from neurenix.training.run import Run

_QUIET_SECONDS = 30.0  # a log hears from a long epoch this often


class Silent:
    """Shows nothing; the parent of those that do."""

    def start(self, run: Run) -> None:
        pass

    def batch(self, run: Run) -> None:
        pass

    def epoch(self, run: Run) -> None:
        pass

    def end(self) -> None:
        pass


class Lines(Silent):
    """One line to stderr after each epoch, and one now and then during a long epoch."""

    def __init__(self) -> None:
        self.spoken = time.monotonic()

    def batch(self, run: Run) -> None:
        if time.monotonic() - self.spoken >= _QUIET_SECONDS and run.batch < run.batches:
            self.say(f"{_epoch_of(run)}  batch {run.batch}/{run.batches}  {_measures_of(run.totals.values([]))}")

    def epoch(self, run: Run) -> None:
        self.say(line_of(run))

    def say(self, text: str) -> None:
        self.spoken = time.monotonic()
        print(text, file=sys.stderr, flush=True)


class Bar(Silent):
    """A bar for the epoch that runs, drawn by rich on stderr; finished epochs stay above it as lines."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns: list[Any] = [
            TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False), TimeRemainingColumn(),
        ]  # fmt: skip
        self.display = Progress(*columns, console=Console(stderr=True), transient=True)
        self.task = self.display.add_task("", note="", total=None)

    def start(self, run: Run) -> None:
        self.display.start()

    def batch(self, run: Run) -> None:
        note = _measures_of(run.totals.values(run.metrics))
        self.display.update(self.task, description=_epoch_of(run), total=run.batches, completed=run.batch, note=note)

    def epoch(self, run: Run) -> None:
        self.display.console.print(line_of(run), markup=False, highlight=False)
        self.display.reset(self.task, total=run.batches)

    def end(self) -> None:
        self.display.stop()


def make_progress(kind: str) -> Silent:
    """Return what shows the progress: "bar", "lines", "none", or "auto", a bar where there is a terminal and rich.

    Raises MissingExtraError for a bar without rich.
    """
    if kind not in ("auto", "bar", "lines", "none"):
        raise InputError(f"progress is 'auto', 'bar', 'lines' or 'none', got {kind!r}")
    if kind == "none":
        return Silent()
    if kind == "bar" or (kind == "auto" and sys.stderr is not None and sys.stderr.isatty()):
        try:
            return Bar()
        except ModuleNotFoundError as error:
            if kind == "bar":
                raise MissingExtraError("rich", "progress", "a progress bar") from error
    return Lines()


def line_of(run: Run) -> str:
    """Return the line of the epoch that has just ended."""
    shown = {k: v for k, v in run.measures.items() if k not in ("epoch", "seconds", "lr")}
    return f"{_epoch_of(run)}  {_measures_of(shown)}  {run.measures['seconds']:.1f} s"


def _epoch_of(run: Run) -> str:
    return f"epoch {run.epoch:{len(str(run.epochs))}}/{run.epochs}"


def _measures_of(measures: dict[str, float]) -> str:
    texts = {name: f"{value:.2%}" if name.endswith("accuracy") else f"{value:#.4g}" for name, value in measures.items()}
    return "  ".join(f"{name.replace('_', ' ')} {text}" for name, text in texts.items())
