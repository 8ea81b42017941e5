"""What a model's own first steps say of its inputs: who subtracts a mean and divides by a deviation knows the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from neurenix.graph.graph import Graph, Node
from neurenix.graph.spread import MOST_FEATURES, Spread

Array = np.ndarray[Any, Any]
Affine = tuple[Array, Array]

# How y = x · scale + shift goes on when the node's result is y with a constant on its right, or on its left.
_STEPS: Mapping[str, tuple[Callable[[Affine, Array], Affine], Callable[[Affine, Array], Affine] | None]] = {
    "add": (lambda y, c: (y[0], y[1] + c), lambda y, c: (y[0], c + y[1])),
    "sub": (lambda y, c: (y[0], y[1] - c), lambda y, c: (-y[0], c - y[1])),
    "mul": (lambda y, c: (y[0] * c, y[1] * c), lambda y, c: (c * y[0], c * y[1])),
    "div": (lambda y, c: (y[0] / c, y[1] / c), None),
}


def standardised_inputs(graph: Graph) -> dict[str, Spread]:
    """Return the spreads of the float inputs that the graph first shifts and scales, feature by feature.

    What comes of it is taken to have a mean of 0 and a deviation of 1, as it has where the constants are the data's.
    """
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in dict.fromkeys(node.reads):
            readers.setdefault(name, []).append(node)
    found = {}
    for name in graph.inputs:
        if graph.values[name].dtype.numpy.kind == "f" and name not in graph.outputs:
            scale, shift = _affine(graph, readers, name)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                ends = np.stack([(-shift - np.sqrt(3)) / scale, (-shift + np.sqrt(3)) / scale])
            features = graph.values[name].shape[-1:]
            of_all = ends.shape[1] == 1 or features == ends.shape[1:]
            if shift.any() and of_all and (np.abs(ends) < np.finfo(np.float32).max).all():
                low, high = (tuple(map(float, end)) for end in (ends.min(axis=0), ends.max(axis=0)))
                found[name] = Spread(low, high, (False,) * len(low))
    return found


def _affine(graph: Graph, readers: Mapping[str, Sequence[Node]], name: str) -> Affine:
    """Return what the first steps multiply an input by, and what they then add, an entry for each feature or one."""
    y: Affine = np.ones(1), np.zeros(1)
    while len(readers.get(name, ())) == 1 and readers[name][0].op in _STEPS:
        node = readers[name][0]
        left = node.inputs[0] != name
        constant = graph.constants.get(node.inputs[not left])
        step = _STEPS[node.op][left]
        if constant is None or step is None or not 0 < constant.size <= MOST_FEATURES:
            break
        if constant.size != (constant.shape or (1,))[-1]:  # of channels, say, which are no entries of the last axis
            break
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            y = step(y, constant.reshape(-1).astype(np.float64))
        name = node.output
    scale, shift = np.broadcast_arrays(*y)
    return scale, shift
