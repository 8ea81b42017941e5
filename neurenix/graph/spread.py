"""Spread: what an input's values were like in the data, as rounded ranges. No sample can be read off it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

MOST_FEATURES = 1024  # of an input whose features are told apart; a longer axis, such as sound, has one range
FEWEST = 8  # samples; of fewer a range would tell what they are
_LARGEST = float(np.finfo(np.float32).max)
_FEW = 32  # whole numbers that span less are classes or flags: each of them is worth a test


@dataclass(frozen=True)
class Spread:
    """The range of each entry of an input's last axis, or one range for all of them.

    Even draws from `low` to `high` have about the data's mean and deviation, and never leave its limits. A `whole`
    feature takes whole numbers alone, both ends included.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    whole: tuple[bool, ...]

    def fitted(self, shape: tuple[int, ...]) -> Spread:
        """Return the spread for an input of this shape: one range for all where its last axis is another."""
        if len(self.low) == 1 or (shape and shape[-1] == len(self.low)):
            return self
        return self.joined()

    def joined(self) -> Spread:
        """Return the one range that holds all of them."""
        return Spread((min(self.low),), (max(self.high),), (all(self.whole),))

    def with_classes(self, counts: Mapping[int, int]) -> Spread:
        """Return the spread with these features, by place, that hold the classes 0 … count - 1."""
        low, high, whole = list(self.low), list(self.high), list(self.whole)
        for place, count in counts.items():
            low[place], high[place], whole[place] = 0.0, count - 1.0, True
        return Spread(tuple(low), tuple(high), tuple(whole))

    def to_json(self) -> dict[str, Any]:
        return {"low": list(self.low), "high": list(self.high), "whole": list(self.whole)}


def spread_of(samples: Any) -> Spread | None:
    """Return the spread of an array (samples, …, features); None for fewer than FEWEST, or what is not finite.

    A range is the mean and √3 standard deviations either way, cut to the smallest and the largest value, and rounded
    inwards to a hundredth of its width or finer: of measures neither a value nor an extreme is kept. A few whole
    numbers keep their smallest and largest: they are classes.
    """
    values = np.atleast_1d(samples)
    if values.dtype.kind not in "fiub" or len(values) < FEWEST or values.size == 0:
        return None
    features = values.shape[-1] if values.ndim > 1 and values.shape[-1] <= MOST_FEATURES else 1
    columns = values.reshape(-1, features).astype(np.float64)
    if not (np.abs(columns) <= _LARGEST).all():
        return None
    low, high, whole = zip(*(_range(columns[:, i], values.dtype.kind != "f") for i in range(features)))
    return Spread(low, high, whole)


def spread_from_json(data: Mapping[str, Any]) -> Spread:
    """Read what `to_json` wrote. Raises ValueError for what is no spread."""
    low, high = (tuple(float(v) for v in data[key]) for key in ("low", "high"))
    whole = tuple(data["whole"])
    fits = 0 < len(low) == len(high) == len(whole) <= MOST_FEATURES and all(type(w) is bool for w in whole)
    if not fits or not np.isfinite((low, high)).all() or any(a > b for a, b in zip(low, high)):
        raise ValueError("a spread has as many finite ranges as features")
    return Spread(low, high, whole)


def _range(column: Array, typed: bool) -> tuple[float, float, bool]:
    least, most = float(column.min()), float(column.max())
    whole = typed or bool((column == np.rint(column)).all())
    if whole and most - least < _FEW:
        return least, most, True
    mean, reach = float(column.mean()), math.sqrt(3) * float(column.std())
    low, high = _rounded(max(least, mean - reach), min(most, mean + reach))
    return (float(math.ceil(low)), float(math.floor(high)), True) if typed else (low, high, False)


def _rounded(low: float, high: float) -> tuple[float, float]:
    """Round inwards, by the width alone; what hardly varies has one value, of which float32 keeps seven digits."""
    if high - low <= 1e-6 * max(abs(low), abs(high)):
        return (float(f"{(low + high) / 2:.7g}"),) * 2
    digits = 2 - math.floor(math.log10(high - low))
    step = 10.0**-digits
    return round(math.ceil(low / step) * step, digits), round(math.floor(high / step) * step, digits)
