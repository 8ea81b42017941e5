"""Each dtype's size in bytes and its spelling in NumPy, C, WGSL and JavaScript."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import DTypeLike

from neurenix.errors import UnsupportedError


@dataclass(frozen=True)
class DType:
    """One element type. `wgsl` is None where WebGPU has no storage type of that width.

    In JavaScript a float16 is its 16 bits: not every engine has an array of them.
    """

    name: str
    size: int
    c: str
    wgsl: str | None
    js: str

    @cached_property  # asked for by every eager operation
    def numpy(self) -> np.dtype[np.generic]:
        return np.dtype(self.name)

    def __str__(self) -> str:
        return self.name


_ROWS = (
    DType("float32", 4, "float", "f32", "Float32Array"),
    DType("float64", 8, "double", None, "Float64Array"),
    DType("float16", 2, "nx_half", "f16", "Uint16Array"),
    DType("int64", 8, "int64_t", None, "BigInt64Array"),
    DType("int32", 4, "int32_t", "i32", "Int32Array"),
    DType("int16", 2, "int16_t", None, "Int16Array"),
    DType("int8", 1, "int8_t", None, "Int8Array"),
    DType("uint64", 8, "uint64_t", None, "BigUint64Array"),
    DType("uint32", 4, "uint32_t", "u32", "Uint32Array"),
    DType("uint16", 2, "uint16_t", None, "Uint16Array"),
    DType("uint8", 1, "uint8_t", None, "Uint8Array"),
    DType("bool", 1, "uint8_t", None, "Uint8Array"),
)

DTYPES = {row.name: row for row in _ROWS}
_BY_NUMPY = {row.numpy: row for row in _ROWS}


def dtype(spec: str | DTypeLike | DType) -> DType:
    """Find the DType that `spec` names: one of ours, its name, or anything NumPy takes for a dtype."""
    if isinstance(spec, DType):
        return spec
    if isinstance(spec, np.dtype) and (known := _BY_NUMPY.get(spec)) is not None:
        return known
    try:
        return DTYPES[np.dtype(spec).name]
    except (KeyError, TypeError):
        raise UnsupportedError(f"dtype {spec!r} is not supported; use one of {', '.join(DTYPES)}") from None
