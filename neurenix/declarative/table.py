"""Reads a declared model's CSV file: raw columns, the target, and which rows are kept for validation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neurenix.data import Table, read_csv
from neurenix.declarative.network import about
from neurenix.errors import TrainingError

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Samples:
    """What a model is trained on. `labels` are the target's categories, none when it is a number."""

    features: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]
    labels: tuple[str, ...]
    x: Array
    y: Array
    training: Array
    validation: Array


def read_samples(
    path: Path, shown: str, target: str, columns: Mapping[str, str], fraction: float, seed: int
) -> Samples:
    """Read the file and split its rows. Raises TrainingError that begins with the key at fault."""
    types = {name: kind for name, kind in columns.items() if kind != "ignore"}
    with about("data"):
        table = read_csv(path, types=types, ignore=[n for n, kind in columns.items() if kind == "ignore"])
    if target not in table.columns:
        raise TrainingError(f"target: {shown} has no column {target!r}; its columns are {', '.join(table.columns)}")
    features = tuple(name for name in table.columns if name != target)
    if not features:
        raise TrainingError(f"data: {shown} has no column but the target {target!r}")
    labels = tuple(table.categories.get(target, ()))
    if len(labels) == 1:
        raise TrainingError(f"target: {target!r} is {labels[0]!r} in every row of {shown}: there is nothing to learn")
    _check_words(table, features, shown)
    y = table.columns[target]
    training, validation = _split(y if labels else np.zeros(len(y), np.int64), fraction, seed)
    x = np.stack([table.columns[name].astype(np.float32) for name in features], axis=1)
    return Samples(features, table.categories, labels, x, y, training, validation)


def _check_words(table: Table, features: tuple[str, ...], shown: str) -> None:
    for name in features:
        words = len(table.categories.get(name, ()))
        if words > max(20, len(table) // 2):
            raise TrainingError(
                f"columns: {name!r} of {shown} has {words} different words in {len(table)} rows, too many for a "
                f"category -- columns = {{ {name} = 'ignore' }} leaves it out"
            )


def _split(classes: Array, fraction: float, seed: int) -> tuple[Array, Array]:
    """Return the rows to train on and the rows to validate on: the same share of each class, chosen by the seed."""
    order = np.random.default_rng(seed).permutation(len(classes))
    kept = []
    for code in np.unique(classes):
        rows = order[classes[order] == code]
        kept.append(rows[: min(round(len(rows) * fraction), len(rows) - 1)])
    validation = np.sort(np.concatenate(kept))
    return np.setdiff1d(np.arange(len(classes)), validation), validation
