"""The native backend: calls a plan's compiled library through ctypes, on memory that NumPy owns."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neurenix.dims import evaluate
from neurenix.errors import BundleError, RunError
from neurenix.graph.cutting import cut_outputs
from neurenix.graph.packing import ALIGNMENT
from neurenix.graph.plan import Plan

Array = np.ndarray[Any, Any]


class NativeEngine:
    """One plan in one process: a library, the weights, an arena. Calls are made one after another."""

    def __init__(self, plan: Plan, weights: bytes, library: Path, abi: int) -> None:
        try:
            self._library = ctypes.CDLL(str(library.resolve()))
            self._run = self._library.nx_run
            found = int(self._library.nx_abi()) & 0xFFFFFFFF
        except (OSError, AttributeError) as error:
            raise BundleError(f"{library.name} is no library that this system can load: {error}") from error
        if found != abi:
            raise BundleError(
                f"{library.name} belongs to another build (plan {found}, not {abi}): build the bundle again"
            )
        self._run.argtypes = [
            ctypes.c_int,
            ctypes.c_int,
            ctypes.c_void_p,
            ctypes.c_void_p,
            *[ctypes.c_int] * len(plan.dims),
        ]
        self._run.restype = ctypes.c_int
        self._plan = plan
        self._weights = _aligned(len(weights))
        self._weights[:] = np.frombuffer(weights, dtype=np.uint8)
        self._arena = _aligned(plan.arena_size)
        self._lock = threading.Lock()

    def run(self, inputs: Mapping[str, Array], dims: Mapping[str, int]) -> dict[str, Array]:
        """Return copies of the outputs. Safe to call from several threads; they take turns."""
        with self._lock:
            for name, array in inputs.items():
                buffer = self._plan.buffers[name]
                self._arena[buffer.offset : buffer.offset + array.nbytes] = array.reshape(-1).view(np.uint8)
            values = [dims[name] for name in self._plan.dims]
            status = self._run(0, 1, self._weights.ctypes.data, self._arena.ctypes.data, *values)
            check_status(status, self._plan, dims)
            return read_outputs(self._plan, self._arena, dims)


def check_status(status: int, plan: Plan, dims: Mapping[str, int]) -> None:
    """Raise RunError unless a plan's `nx_run` returned 0."""
    if status != 0:
        sizes = ", ".join(f"{name}={dims[name]}" for name in plan.dims) or "its fixed sizes"
        raise RunError(f"'{plan.name}' gave up with status {status} for {sizes}: try others, or build the model again")


def read_outputs(plan: Plan, arena: Array, dims: Mapping[str, int]) -> dict[str, Array]:
    """Copy the outputs out of an arena given as bytes. Raises DimensionError for one that is larger than planned."""
    results = {}
    for name in plan.results:
        buffer = plan.buffers[name]
        shape = tuple(evaluate(s, dims) for s in buffer.shape)
        count = int(np.prod(shape)) * buffer.dtype.size
        raw = arena[buffer.offset : buffer.offset + count]
        results[name] = np.frombuffer(raw.tobytes(), dtype=buffer.dtype.numpy).reshape(shape).copy()
    return cut_outputs(results, plan.outputs, plan.lengths)


def cpu_level(library: Path) -> int:
    """Ask a library which instruction level this CPU has. Raises BundleError when it is none of ours."""
    try:
        return int(ctypes.CDLL(str(library.resolve())).nx_level())
    except (OSError, AttributeError) as error:
        raise BundleError(f"{library.name} is no library that this system can load: {error}") from error


def _aligned(size: int) -> Array:
    """Return zeroed bytes that start at a multiple of 64."""
    raw = np.zeros(size + ALIGNMENT, dtype=np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size]
