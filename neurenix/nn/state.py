"""The state of a model as arrays by name: reading it, and putting it back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from neurenix.errors import InputError
from neurenix.nn.tree import Tree
from neurenix.tensor import Tensor

Array = np.ndarray[Any, Any]


class IncompatibleKeys(NamedTuple):
    """What a state and a model do not share; both are empty after a strict load."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def persistent(model: Tree, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor of the state with each of its names, module by module as PyTorch orders them."""
    for path, module in model.named_modules(prefix, remove_duplicate=False):
        own = {**module._parameters, **{n: b for n, b in module._buffers.items() if n not in module._transient}}
        for name, tensor in own.items():
            if tensor is not None:
                yield (f"{path}.{name}" if path else name), tensor


def read_state(model: Tree, prefix: str = "") -> dict[str, Array]:
    """Return copies of all parameters and persistent buffers by name; a shared one under each of its names."""
    return {name: tensor.numpy().copy() for name, tensor in persistent(model, prefix)}


def write_state(model: Tree, state: Mapping[str, Any], strict: bool) -> IncompatibleKeys:
    """Copy arrays into the tensors of the same names; on any error nothing is changed."""
    own = dict(persistent(model))
    given = {id(own[name]) for name in state if name in own}
    # A shared tensor may come under any one of its names.
    keys = IncompatibleKeys([n for n, t in own.items() if id(t) not in given], [n for n in state if n not in own])
    problems = []
    if strict:
        problems += [f"'{n}' is missing" for n in keys.missing_keys]
        problems += [f"'{n}' is not in the model" for n in keys.unexpected_keys]
    arrays = {n: _array(state[n]) for n in own if n in state}
    for name, array in arrays.items():
        if array.shape != own[name].shape:
            problems.append(f"'{name}' has shape {list(array.shape)}, the model's is {list(own[name].shape)}")
        elif array.dtype.kind not in "fiub":
            problems.append(f"'{name}' holds {array.dtype}, no numbers")
    if problems:
        raise InputError("the state does not fit the model: " + "; ".join(problems))
    for name, array in arrays.items():
        own[name].numpy()[...] = array
    return keys


def _array(given: Any) -> Array:
    return np.asarray(given.numpy() if isinstance(given, Tensor) else given)
