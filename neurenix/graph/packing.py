"""The layouts that parameters have in a weights file, and the way back."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
PANEL = 8  # columns of a packed matrix that lie together; NX_PANEL in kernels/c/nx_simd.h
ALIGNMENT = 64  # bytes; every tensor and buffer starts at a multiple: one cache line, any vector


@dataclass(frozen=True)
class Layout:
    """One layout: `pack` gives the values in file order, `unpack` takes them back to a shape."""

    name: str
    count: Callable[[tuple[int, ...]], int]
    pack: Callable[[Array], Array]
    unpack: Callable[[Array, tuple[int, ...]], Array]


def _matrix(shape: tuple[int, ...]) -> tuple[int, int]:
    return math.prod(shape[:-1]), shape[-1]


def _pack_panels(array: Array) -> Array:
    rows, columns = _matrix(array.shape)
    panels = -(-columns // PANEL)
    padded = np.zeros((rows, panels * PANEL), dtype=array.dtype)
    padded[:, :columns] = array.reshape(rows, columns)
    return np.asarray(padded.reshape(rows, panels, PANEL).transpose(1, 0, 2))


def _unpack_panels(flat: Array, shape: tuple[int, ...]) -> Array:
    rows, columns = _matrix(shape)
    panels = -(-columns // PANEL)
    matrix = flat.reshape(panels, rows, PANEL).transpose(1, 0, 2).reshape(rows, panels * PANEL)
    return np.asarray(matrix[:, :columns].reshape(shape))


def _pad(array: Array) -> Array:
    return np.pad(array.ravel(), (0, -array.size % PANEL))


LAYOUTS = {
    row.name: row
    for row in (
        Layout("rows", lambda s: math.prod(s), lambda a: a, lambda f, s: f.reshape(s)),
        Layout(
            "pad8",
            lambda s: -(-math.prod(s) // PANEL) * PANEL,
            _pad,
            lambda f, s: f[: math.prod(s)].reshape(s),
        ),
        Layout("panel8", lambda s: _matrix(s)[0] * -(-s[-1] // PANEL) * PANEL, _pack_panels, _unpack_panels),
    )
}


def pack(array: Array, layout: str) -> memoryview:
    """Return an array's bytes, little-endian, in a layout of the table."""
    packed = np.ascontiguousarray(LAYOUTS[layout].pack(array))
    return packed.astype(packed.dtype.newbyteorder("<"), copy=False).reshape(-1).view(np.uint8).data


def unpack(data: bytes | memoryview, dtype: np.dtype[Any], layout: str, shape: tuple[int, ...]) -> Array:
    """Return the array that `pack` wrote."""
    return LAYOUTS[layout].unpack(np.frombuffer(data, dtype=dtype.newbyteorder("<")), shape)


def packed_size(shape: tuple[int, ...], itemsize: int, layout: str) -> int:
    """Return how many bytes `pack` writes."""
    return LAYOUTS[layout].count(shape) * itemsize


def aligned(size: int) -> int:
    """Round up to a multiple of ALIGNMENT."""
    return -(-size // ALIGNMENT) * ALIGNMENT
