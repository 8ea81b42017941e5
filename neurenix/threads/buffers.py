"""Keeps the memory of large arrays for the next ones: fresh from the system, each page of it costs a fault.

A training step makes the same arrays as the one before it. What is given out here is used again as soon as nobody
holds an array on it any more, which the count of references tells.
"""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_LEAST = 1 << 17  # bytes; the allocator keeps what is smaller by itself
_MOST = 1 << 28  # bytes that are kept at most
_ALIGNED = 64

_kept: dict[int, list[Array]] = {}  # by size; each array owns its memory, and those given out are views of it
_lock = threading.Lock()


def _after_fork() -> None:
    """Begin anew in a forked process: another thread of its parent may have held the lock."""
    global _lock
    _lock = threading.Lock()
    _kept.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def empty(shape: Sequence[int], dtype: Any) -> Array:
    """Return an array of any content, as `numpy.empty` does."""
    size = math.prod(shape) * dtype.itemsize
    if size < _LEAST or not _COUNTED:
        return np.empty(shape, dtype)
    with _lock:
        found = _free(_kept.get(size, ()))
        if found is None:
            found = _added(size)
    if found is None:
        return np.empty(shape, dtype)
    made: Array = np.ndarray(shape, dtype, found, -found.__array_interface__["data"][0] % _ALIGNED)
    return made


def release() -> None:
    """Give back all memory that no array uses; what others still use is theirs from now on."""
    with _lock:
        _kept.clear()


def _free(buffers: Sequence[Array]) -> Array | None:
    for buffer in buffers:
        if sys.getrefcount(buffer) <= _ALONE:
            return buffer
    return None


def _added(size: int) -> Array | None:
    """Make another buffer, in place of unused ones of other sizes where there would be too much."""
    total = size + sum(known * len(buffers) for known, buffers in _kept.items())
    for known in [k for k in _kept if total > _MOST and k != size]:
        while total > _MOST and (unused := _free(_kept[known])) is not None:
            _kept[known] = [b for b in _kept[known] if b is not unused]
            total -= known
        if not _kept[known]:
            del _kept[known]
    if total > _MOST:
        return None
    buffer = np.empty(size + _ALIGNED, np.uint8)
    _kept.setdefault(size, []).append(buffer)
    return buffer


def _references_of_one_alone() -> int:
    found = []
    for buffer in [np.empty(0)]:
        found.append(sys.getrefcount(buffer))
    return found[0]


# Interpreters that count references otherwise, or not at all, get plain arrays.
_COUNTED = sys.implementation.name == "cpython" and getattr(sys, "_is_gil_enabled", lambda: True)()
_ALONE = _references_of_one_alone() if _COUNTED else 0
