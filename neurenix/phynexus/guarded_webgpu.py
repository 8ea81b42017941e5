"""Runs shaders that are not trusted yet: what they read or write beside their tensors is found."""

from __future__ import annotations

from collections.abc import Mapping

from neurenix.phynexus.webgpu import WebGPUEngine

# Four bytes that nobody has given a value, and others where outputs will lie: both are NaN. With one of them a shader
# that copies what is behind its input to behind its output would not be seen.
POISON, MARK = b"\xff\xff\xff\xff", b"\x5a\xa5\xff\xff"


class GuardedWebGPUEngine(WebGPUEngine):
    """A WebGPUEngine for one call. Bindings are longer than their tensors, and what lies behind these is watched."""

    def _upload(self, weights: bytes) -> None:
        outputs = {self._shaders.regions[name].buffer for name in self._plan.results}
        for at, (buffer, size) in enumerate(zip(self._buffers, self._shaders.buffers)):
            self._device.queue.write_buffer(buffer, 0, (MARK if at in outputs else POISON) * (size // 4))
        super()._upload(weights)

    def breach(self, dims: Mapping[str, int]) -> str:
        """Return what the call has written behind the end of an output, in words; an empty text for nothing."""
        for name in self._plan.results:
            region, end = self._shaders.regions[name], 4 * self._count(name, dims)
            untouched = MARK * ((region.size - end) // 4)
            if untouched:
                buffer = self._buffers[region.buffer]
                data = bytes(self._device.queue.read_buffer(buffer, region.offset + end, len(untouched)))
                changed = [at for at in range(0, len(data), 4) if data[at : at + 4] != MARK]
                if changed:
                    return f"it writes behind the end of its output, to {len(changed)} elements"
        return ""
