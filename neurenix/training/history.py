"""What a training measured, epoch by epoch; it can be plotted and written as JSON."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from neurenix.errors import InputError, MissingExtraError
from neurenix.state import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class History:
    """The measures of each epoch: `history["loss"]` is a list with one number for each.

    Columns are "epoch", "loss", the metrics, the same of the validation data with "validation_" before them, "lr"
    (the first group's learning rate in the epoch's last batch) and "seconds".
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def add(self, row: Mapping[str, float]) -> None:
        self.rows.append(dict(row))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, name: str) -> list[float]:
        if not self.rows or name not in self.rows[0]:
            raise InputError(f"the history has no '{name}'; it has {', '.join(self.names()) or 'no epochs yet'}")
        return [row[name] for row in self.rows]

    def __contains__(self, name: str) -> bool:
        return name in self.names()

    def names(self) -> list[str]:
        """Return the names of the columns."""
        return list(self.rows[0]) if self.rows else []

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the history as JSON, a list of objects, and write it to a file if a path is given.

        What is no number (NaN, infinity) becomes null: JSON has none of them.
        """
        rows = [{k: v if math.isfinite(v) else None for k, v in row.items()} for row in self.rows]
        text = json.dumps(rows, indent=1, allow_nan=False) + "\n"
        if path is not None:
            write_atomically(Path(path), text.encode())
        return text

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Draw each measure over the epochs, training and validation in one picture; write it if a path is given.

        The path's suffix is the format: .png, .svg or .pdf.
        """
        try:
            from matplotlib.figure import Figure
            from matplotlib.ticker import MaxNLocator
        except ModuleNotFoundError as error:
            raise MissingExtraError("matplotlib", "plot", "plotting a history") from error
        if not self.rows:
            raise InputError("the history has no epochs yet, so there is nothing to plot")
        measures = [n for n in self.names() if n not in ("epoch", "seconds") and not n.startswith("validation_")]
        figure = Figure(figsize=(6, 2.4 * len(measures)), layout="constrained")
        panels = figure.subplots(len(measures), 1, sharex=True, squeeze=False)[:, 0]
        for panel, name in zip(panels, measures):
            for label, column in (("training", name), ("validation", f"validation_{name}")):
                if column in self:
                    panel.plot(self["epoch"], self[column], marker=".", label=label)
            panel.set_ylabel(name.replace("_", " "))
            panel.grid(alpha=0.3)
            if f"validation_{name}" in self:
                panel.legend()
        panels[-1].set_xlabel("epoch")
        panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
        if path is not None:
            figure.savefig(path)
        return figure

    def __repr__(self) -> str:
        last = ", ".join(f"{k}={v:.4g}" for k, v in self.rows[-1].items()) if self.rows else ""
        return f"History({len(self)} epochs{': ' if last else ''}{last})"
