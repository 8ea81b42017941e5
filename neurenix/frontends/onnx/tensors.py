"""TensorProtos to arrays, with every size checked before anything is allocated."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from neurenix.dtypes import DTYPES, DType
from neurenix.errors import ModelError, UnsupportedError
from neurenix.frontends.onnx.external import read_external

# Offsets into the weights are 32-bit in WebAssembly: what is larger could not ship.
LARGEST_MODEL = 2 << 30

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class TensorReader:
    """Reads tensors of one model. `folder` is where external data may lie; `references` are a function's attributes."""

    folder: Path | None = None
    references: Mapping[str, Any] = field(default_factory=dict)
    budget: int = LARGEST_MODEL
    _spent: list[int] = field(default_factory=list)

    def with_references(self, references: Mapping[str, Any]) -> TensorReader:
        return replace(self, references=references)

    def __call__(self, tensor: Any) -> Array:
        """Return the array of a TensorProto. Raises ModelError when its size and its data do not agree."""
        import onnx

        of = element_type(tensor.data_type, f"the tensor '{tensor.name}'")
        if any(d < 0 for d in tensor.dims):
            raise ModelError(f"the tensor '{tensor.name}' has the shape {list(tensor.dims)}")
        count = math.prod(tensor.dims)
        self._spend(count * of.size, tensor.name)
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            data = read_external(tensor, self.folder, count * of.size)
            little = np.frombuffer(data, dtype=of.numpy.newbyteorder("<"))
            return little.astype(of.numpy).reshape(tuple(tensor.dims))
        if tensor.HasField("raw_data") and len(tensor.raw_data) != count * of.size:
            raise ModelError(f"the tensor '{tensor.name}' has {len(tensor.raw_data)} bytes for {count} of {of}")
        try:
            array = onnx.numpy_helper.to_array(tensor)
        except (ValueError, TypeError) as error:
            raise ModelError(f"the tensor '{tensor.name}' of shape {list(tensor.dims)} is malformed: {error}") from None
        return np.array(array, dtype=of.numpy, copy=True)

    def _spend(self, size: int, name: str) -> None:
        """Count the bytes of a tensor before they are allocated. Raises ModelError beyond the budget."""
        self._spent.append(size)
        if sum(self._spent) > self.budget:
            raise ModelError(f"with the tensor '{name}' the model holds more than {self.budget:,} bytes of parameters")


def element_type(number: int, whose: str) -> DType:
    """Return the dtype of a TensorProto's number for one. Raises UnsupportedError, for strings for example."""
    import onnx

    try:
        name = onnx.TensorProto.DataType.Name(number).lower()
    except ValueError:
        raise ModelError(f"{whose} has the unknown element type {number}") from None
    name = {"float": "float32", "double": "float64"}.get(name, name)
    if name not in DTYPES:
        raise UnsupportedError(f"{whose} holds {name}, which is not supported; supported are {', '.join(DTYPES)}")
    return DTYPES[name]
