"""The ends of a declared model: raw columns to features, scores to probabilities, and numbers to the target's scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from neurenix.nn import Module
from neurenix.tensor import Tensor, cat, where

Array = np.ndarray[Any, Any]


class TableFeatures(Module):
    """Raw columns (batch, columns) to features: numbers centred and scaled, categories one feature per word.

    A category goes in as the index of its word. The manifest has the names of the columns as `features`, the words
    of each (none for numbers) as `categories`, and what each has spanned in training as `ranges`: all that a form
    needs.
    """

    def __init__(self, features: Sequence[str], categories: Mapping[str, Sequence[str]], rows: Array) -> None:
        """Take the means and the spreads from `rows` (samples, columns)."""
        super().__init__()
        self.features = list(features)
        self.categories = [list(categories.get(name, ())) for name in features]
        # Seven digits are all that float32 has: 4.4 stays 4.4 in the manifest.
        self.ranges = [[float(f"{v:.7g}") for v in span] for span in zip(rows.min(axis=0), rows.max(axis=0))]
        mean = rows.mean(axis=0, dtype=np.float64)
        spread = rows.std(axis=0, dtype=np.float64)
        spread[spread == 0] = 1.0
        # One entry per feature: the column that it reads, what is subtracted, what it is divided by.
        source, offset, scale, is_word = [], [], [], []
        for column, words in enumerate(self.categories):
            source += [column] * max(1, len(words))
            offset += list(range(len(words))) or [mean[column]]
            scale += [1.0] * len(words) or [spread[column]]
            is_word += [True] * len(words) or [False]
        self.width = len(source)
        self.register_buffer("offset", Tensor(np.array(offset, np.float32)))
        self.register_buffer("scale", Tensor(np.array(scale, np.float32)))
        self.has_words = any(is_word)
        if self.has_words:
            chosen = np.arange(len(features))[:, None] == np.array(source)
            self.register_buffer("columns", Tensor(chosen.astype(np.float32)))
            self.register_buffer("is_word", Tensor(np.array(is_word)))

    offset: Tensor
    scale: Tensor
    columns: Tensor
    is_word: Tensor

    def forward(self, x: Tensor) -> Tensor:
        if not self.has_words:
            return (x - self.offset) / self.scale
        distance: Tensor = x @ self.columns - self.offset
        one_hot = where(distance.abs() < 0.5, 1.0, 0.0)
        return where(self.is_word, one_hot, distance / self.scale)

    def config(self) -> Mapping[str, Any]:
        return {"features": self.features, "categories": self.categories, "ranges": self.ranges}


class TwoClasses(Module):
    """One score (batch, 1) to the probabilities of both classes (batch, 2)."""

    def forward(self, x: Tensor) -> Tensor:
        return cat([(-x).sigmoid(), x.sigmoid()], -1)


class Rescale(Module):
    """What the network gives, in the target's own unit: x * scale + offset."""

    def __init__(self, offset: float, scale: float) -> None:
        super().__init__()
        self.offset, self.scale = offset, scale

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.offset
