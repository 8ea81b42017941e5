"""Cuts outputs whose size depends on data to what counts of them: buffers hold the most that there can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from neurenix.errors import DimensionError
from neurenix.graph.graph import Array, Lengths


def cut_outputs(results: Mapping[str, Array], outputs: Sequence[str], lengths: Lengths) -> dict[str, Array]:
    """Return the outputs, each cut to its true lengths, which are among the results.

    Raises DimensionError where a length is larger than what was planned for, or negative.
    """
    return {
        name: cut(results[name], {x.axis: int(results[x.value]) for x in lengths.get(name, ())}, name)
        for name in outputs
    }


def cut(array: Array, lengths: Mapping[int, int], name: str) -> Array:
    """Return the first `lengths[axis]` of an array along each axis that has a length."""
    if not lengths:
        return array
    for axis, length in lengths.items():
        if not 0 <= length <= array.shape[axis]:
            raise DimensionError(
                f"the output '{name}' has {length} along axis {axis}, and was planned for {array.shape[axis]} at most"
            )
    places = tuple(slice(lengths.get(axis)) for axis in range(array.ndim))
    return np.array(array[places], order="C")  # a copy: a view would keep what lies behind the end in memory
