"""Runs WebAssembly that is not trusted yet: what it reads and writes beside its tensors is found, and so is no end."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from neurenix.dims import evaluate
from neurenix.errors import RunError
from neurenix.graph.packing import ALIGNMENT
from neurenix.phynexus.wasm import PAGE, Array, WasmEngine

# Four bytes that nobody has given a value, both NaN: behind inputs, and everywhere else, for a kernel that copies the
# first behind its output's end would not be seen.
POISON, MARK = b"\xff\xff\xff\xff", b"\x5a\xa5\xff\xff"
SECONDS = 60.0
# Where the stack ends, which comes first in memory.
STACK = 65536


class GuardedWasmEngine(WasmEngine):
    """A WasmEngine whose memory is watched. Its plan is one step, from inputs to an output.

    Before a call everything but the inputs is poison, so that what is read beside them shows in the answer; after it
    everything but the output must be as it was, and so must be the code's own data, which lies behind its stack.
    """

    workers = 1

    def _configure(self, config: Any) -> None:
        config.epoch_interruption = True

    def _new_store(self, wasmtime: Any) -> Any:
        store = super()._new_store(wasmtime)
        store.set_epoch_deadline(1)
        return store

    def run(self, inputs: Mapping[str, Array], dims: Mapping[str, int]) -> dict[str, Array]:
        """Return the outputs, each worker's part made after the one behind it. Raises RunError for a breach."""
        start, end = self._arena, self._pages * PAGE
        with self._lock:
            self._memory.write(self._store, MARK * ((end - start) // 4), start)
            for name in inputs:
                buffer = self._plan.buffers[name]
                self._memory.write(
                    self._store, POISON * (-(-buffer.size // ALIGNMENT) * ALIGNMENT // 4), start + buffer.offset
                )
            self._write(inputs)
            before, own = self._bytes(start, end), self._bytes(STACK, self._base)
            for worker in reversed(range(self.workers)):
                self._within_time(worker, dims)
            if (own != self._bytes(STACK, self._base)).any():
                raise RunError("it writes to a variable of its own, which the next call would find changed")
            self._compare(before, self._bytes(start, end), dims)
            return self._read(dims)

    def _bytes(self, start: int, end: int) -> Array:
        return np.frombuffer(self._memory.read(self._store, start, end), dtype=np.uint8)

    def _within_time(self, worker: int, dims: Mapping[str, int]) -> None:
        self._store.set_epoch_deadline(1)
        timer = threading.Timer(SECONDS, self._engine.increment_epoch)
        timer.start()
        try:
            self._call(worker, self.workers, dims)
        except RunError as error:
            if "interrupt" in str(error):
                raise RunError(f"it was still running after {SECONDS:.0f} seconds") from error
            if "out of bounds memory access" in str(error):
                raise RunError("it reads or writes outside of all memory") from error
            raise
        finally:
            timer.cancel()

    def _compare(self, before: Array, after: Array, dims: Mapping[str, int]) -> None:
        """Raise RunError unless all that changed is in the output."""
        changed = before != after
        for name in self._plan.outputs:
            buffer = self._plan.buffers[name]
            count = int(np.prod([evaluate(s, dims) for s in buffer.shape])) * buffer.dtype.size
            changed[buffer.offset : buffer.offset + count] = False
        if not changed.any():
            return
        at = int(changed.argmax())
        for name in self._plan.inputs:
            buffer = self._plan.buffers[name]
            if buffer.offset <= at < buffer.offset + buffer.size:
                raise RunError(f"it writes to its input {self._plan.inputs.index(name)}")
        offset = at - self._plan.buffers[self._plan.outputs[0]].offset
        raise RunError(f"it writes outside of its output, {offset} bytes from where that begins")
