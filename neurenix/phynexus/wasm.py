"""The wasm backend: runs a plan's WebAssembly in wasmtime. Right for checking answers; browsers are faster."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from neurenix.errors import BundleError, MissingExtraError, RunError
from neurenix.graph.plan import Plan
from neurenix.phynexus.native import check_status, read_outputs

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
        self._configure(config)
        self._engine = wasmtime.Engine(config)
        self._plan, self._weights, self._abi = plan, weights, abi
        self._base, self._arena, self._pages = base, base + -(-len(weights) // 64) * 64, pages
        self._lock = threading.Lock()
        try:
            self._module = wasmtime.Module(self._engine, module)
        except wasmtime.WasmtimeError as error:
            raise BundleError(f"the WebAssembly of '{plan.name}' cannot be instantiated: {error}") from error
        self._start()

    def _configure(self, config: Any) -> None:
        """Set what a subclass wants otherwise."""

    def _new_store(self, wasmtime: Any) -> Any:
        return wasmtime.Store(self._engine)

    def _start(self) -> None:
        """Make an instance with a memory of its own, and put the weights there."""
        import wasmtime  # there: it made the module

        name, pages = self._plan.name, self._pages
        store = self._new_store(wasmtime)
        memory = wasmtime.Memory(store, wasmtime.MemoryType(wasmtime.Limits(pages, pages)))
        linker = wasmtime.Linker(self._engine)
        linker.define(store, "env", "memory", memory)
        try:
            # Typed Any: an export may be any kind of thing, and a bundle's two are functions by its format.
            exports: Any = linker.instantiate(store, self._module).exports(store)
            run, found = exports["nx_run"], exports["nx_abi"](store) & 0xFFFFFFFF
        except (wasmtime.WasmtimeError, wasmtime.Trap, KeyError, TypeError) as error:
            raise BundleError(f"the WebAssembly of '{name}' cannot be instantiated: {error}") from error
        if found != self._abi:
            raise BundleError(f"the WebAssembly of '{name}' belongs to another build (plan {found}, not {self._abi})")
        memory.write(store, self._weights, self._base)
        self._store, self._memory, self._run = store, memory, run

    def run(self, inputs: Mapping[str, Array], dims: Mapping[str, int]) -> dict[str, Array]:
        """Return copies of the outputs. Safe to call from several threads; they take turns."""
        with self._lock:
            self._write(inputs)
            self._call(0, 1, dims)
            return self._read(dims)

    def _write(self, inputs: Mapping[str, Array]) -> None:
        for name, array in inputs.items():
            self._memory.write(self._store, array.tobytes(), self._arena + self._plan.buffers[name].offset)

    def _call(self, thread: int, threads: int, dims: Mapping[str, int]) -> None:
        """Run one worker's part of the plan."""
        import wasmtime  # there: it made this instance

        values = [dims[name] for name in self._plan.dims]
        try:
            status = self._run(self._store, thread, threads, self._base, self._arena, *values)
        except wasmtime.Trap as error:
            self._start()  # its stack pointer and its weights can no longer be trusted
            what = f"'{self._plan.name}' stopped inside WebAssembly; the next call starts afresh: {error}"
            raise RunError(what) from error
        except (wasmtime.WasmtimeError, TypeError) as error:
            raise BundleError(f"the WebAssembly of '{self._plan.name}' cannot run its plan: {error}") from error
        check_status(status, self._plan, dims)

    def _read(self, dims: Mapping[str, int]) -> dict[str, Array]:
        end = self._arena + self._plan.arena_size
        arena = np.frombuffer(self._memory.read(self._store, self._arena, end), dtype=np.uint8)
        return read_outputs(self._plan, arena, dims)
