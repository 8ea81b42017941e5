"""Stacks the declared layers, each made for what the one before it gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from neurenix.declarative.vocabulary import INFERRED, LAYERS
from neurenix.errors import NeurenixError, TrainingError
from neurenix.nn import Module, Sequential
from neurenix.tensor import Tensor, no_grad

Spec = tuple[str, Mapping[str, Any]]
"""A word and its options by parameter."""


@contextmanager
def about(key: str) -> Iterator[None]:
    """Say of which key an error inside speaks: it becomes a TrainingError that begins with it."""
    try:
        yield
    except (NeurenixError, ValueError, TypeError, IndexError, ArithmeticError) as error:
        raise TrainingError(f"{key}: {error}") from error


def stack(first: Module, columns: int, layers: Sequence[Spec], probe: int = 2) -> tuple[Sequential, tuple[int, ...]]:
    """Return `first` and the layers as one module, and the shape that a sample (columns,) ends with.

    Raises TrainingError, beginning with `layers[i].name`, for a layer that cannot be made or does not fit.
    """
    named: dict[str, Module] = {"features": first}
    with no_grad():
        shown = first.eval()(Tensor(np.zeros((probe, columns), np.float32)))
        for index, (name, options) in enumerate(layers):
            with about(f"layers[{index}].{name}"):
                layer = LAYERS[name].make(**_inferred(name, tuple(shown.shape)), **options)
                shown = layer.eval()(shown)
            number = sum(known.rpartition("_")[0] == name or known == name for known in named)
            named[f"{name}_{number + 1}" if number else name] = layer
    return Sequential(named).train(), tuple(int(size) for size in shown.shape[1:])


def _inferred(name: str, shape: tuple[Any, ...]) -> dict[str, int]:
    """Return the options of a layer that its input decides."""
    found = {}
    for option in LAYERS[name].options.values():
        axis = INFERRED.get(option.parameter)
        if axis is not None:
            if axis >= len(shape):
                raise ValueError(
                    f"its input has the shape {['batch', *shape[1:]]}, without an axis of channels -- put "
                    "{ unflatten = { dim = 1, unflattened-size = [channels, height, width] } } before it"
                )
            found[option.parameter] = int(shape[axis])
    return found
