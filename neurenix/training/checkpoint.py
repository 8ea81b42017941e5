"""Checkpoints: the whole state of a training in one safetensors file, written at once, never unpickled."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from neurenix.errors import InputError
from neurenix.state import read_arrays, write_arrays
from neurenix.training.run import Run

_ARRAY = "array"  # the only key of the JSON object that stands for an array


@dataclass
class Checkpoint:
    """Where a training keeps its state, and how often: after every epoch, and in between after so many seconds.

    A training that was killed at any moment goes on from the file when it is run again, and ends with the weights,
    bit for bit, that it would have had. `every_batches` counts batches as well, mostly for tests.
    """

    path: str | os.PathLike[str]
    every_seconds: float = 60.0
    every_batches: int | None = None
    _written: float = field(default_factory=time.monotonic, init=False, repr=False)

    def load(self, run: Run) -> bool:
        """Bring `run` to where the file's training stood; return False if there is no file. Raises InputError."""
        path = Path(self.path)
        if not path.exists():
            return False
        arrays, text = read_arrays(path)
        if text is None:
            raise InputError(f"{path} is no checkpoint of a training; name another file")
        try:
            run.load_state_dict(_decoded(json.loads(text), arrays), str(path))
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise InputError(f"{path} is a damaged checkpoint ({error!r}); delete it to start again") from error
        return True

    def save(self, run: Run) -> None:
        """Write the state of `run`."""
        arrays: dict[str, Any] = {}
        tree = _encoded(run.state_dict(), "", arrays)
        write_arrays(arrays, Path(self.path), json.dumps(tree))
        self._written = time.monotonic()

    def after_batch(self, run: Run) -> None:
        """Write the state if it is time."""
        due = time.monotonic() - self._written >= self.every_seconds
        if due or (self.every_batches is not None and run.batch % self.every_batches == 0):
            self.save(run)


def _encoded(value: Any, name: str, arrays: dict[str, Any]) -> Any:
    """Return JSON, with the arrays put aside under their paths."""
    if isinstance(value, np.ndarray):
        arrays[name] = value
        return {_ARRAY: name}
    if isinstance(value, Mapping):
        return {str(k): _encoded(v, f"{name}/{k}" if name else str(k), arrays) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encoded(v, f"{name}/{i}", arrays) for i, v in enumerate(value)]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise InputError(f"a checkpoint cannot hold {name}: {type(value).__name__} is no array, number or text")


def _decoded(value: Any, arrays: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        if set(value) == {_ARRAY} and isinstance(value[_ARRAY], str):
            return arrays[value[_ARRAY]]
        return {key: _decoded(v, arrays) for key, v in value.items()}
    return [_decoded(v, arrays) for v in value] if isinstance(value, list) else value
