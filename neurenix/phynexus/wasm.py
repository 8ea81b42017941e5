"""The wasm backend: runs a plan's WebAssembly in wasmtime. Right for checking answers; browsers are faster."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from neurenix.errors import BundleError, MissingExtraError
from neurenix.graph.plan import Plan
from neurenix.phynexus.native import read_outputs

Array = np.ndarray[Any, Any]
PAGE = 65536


class WasmEngine:
    """One plan in one WebAssembly instance, with the memory map of the bundle's format."""

    def __init__(self, plan: Plan, weights: bytes, module: bytes, abi: int, base: int, pages: int) -> None:
        try:
            import wasmtime  # optional: the wasm extra
        except ImportError:
            raise MissingExtraError("wasmtime", "wasm", "running WebAssembly from Python") from None
        config = wasmtime.Config()
        config.wasm_relaxed_simd = True
        store = wasmtime.Store(wasmtime.Engine(config))
        self._store = store
        self._memory = wasmtime.Memory(store, wasmtime.MemoryType(wasmtime.Limits(pages, pages)))
        linker = wasmtime.Linker(store.engine)
        linker.define(store, "env", "memory", self._memory)
        try:
            # Typed Any: an export may be any kind of thing, and a bundle's two are functions by its format.
            exports: Any = linker.instantiate(store, wasmtime.Module(store.engine, module)).exports(store)
            self._run, found = exports["nx_run"], exports["nx_abi"](store) & 0xFFFFFFFF
        except (wasmtime.WasmtimeError, wasmtime.Trap, KeyError, TypeError) as error:
            raise BundleError(f"the WebAssembly of '{plan.name}' cannot be instantiated: {error}") from error
        if found != abi:
            raise BundleError(f"the WebAssembly of '{plan.name}' belongs to another build (plan {found}, not {abi})")
        self._plan, self._base = plan, base
        self._arena = base + -(-len(weights) // 64) * 64
        self._memory.write(store, weights, base)
        self._lock = threading.Lock()

    def run(self, inputs: Mapping[str, Array], dims: Mapping[str, int]) -> dict[str, Array]:
        """Return copies of the outputs. Safe to call from several threads; they take turns."""
        import wasmtime  # there: it made this instance

        with self._lock:
            for name, array in inputs.items():
                self._memory.write(self._store, array.tobytes(), self._arena + self._plan.buffers[name].offset)
            values = [dims[name] for name in self._plan.dims]
            try:
                status = self._run(self._store, 0, 1, self._base, self._arena, *values)
            except (wasmtime.WasmtimeError, wasmtime.Trap, TypeError) as error:
                raise BundleError(f"the WebAssembly of '{self._plan.name}' cannot run its plan: {error}") from error
            assert status == 0, f"nx_run returned {status}"
            end = self._arena + self._plan.arena_size
            arena = np.frombuffer(self._memory.read(self._store, self._arena, end), dtype=np.uint8)
            return read_outputs(self._plan, arena, dims)
