"""Notes on a model what its inputs were like in training: rounded ranges, from which the build draws golden inputs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from neurenix.graph.spread import spread_of
from neurenix.nn import Module
from neurenix.trace import entrance

SAMPLES = 256  # are enough to know ranges


def note_inputs(model: Module, batches: Iterable[tuple[Any, ...]]) -> None:
    """Take the first samples of `batches`, tuples of the model's arguments, and keep their spreads with the model."""
    seen: list[list[np.ndarray[Any, Any]]] = []
    count = 0
    for arguments in batches:
        arrays = [np.asarray(a.numpy() if hasattr(a, "numpy") else a) for a in arguments]
        seen = seen or [[] for _ in arrays]
        for known, array in zip(seen, arrays):
            known.append(array)
        count += len(arrays[0]) if arrays and arrays[0].ndim else 1
        if count >= SAMPLES:
            break
    entrance(model).input_spreads = tuple(spread_of(_joined(arrays)) for arrays in seen)


def _joined(arrays: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """Return all samples in one array; of samples that differ in shape, all their values."""
    if len({array.shape[1:] for array in arrays}) == 1 and arrays[0].ndim:
        return np.concatenate(arrays)
    return np.concatenate([array.ravel() for array in arrays])
