"""The WebGPU backend: runs a plan's shaders on a GPU, or on a software adapter, through the package `wgpu`.

Everything that a call needs is made once: pipelines, bind groups, buffers, the one that outputs are read from. A call
writes its inputs, encodes all dispatches as one command buffer, submits it, and reads the outputs back. Params change
with the dims only. WebGPU answers an invalid shader or dispatch with zeros unless it is asked: every step here is, and
what it says becomes a NeurenixError.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from neurenix.dims import evaluate
from neurenix.dtypes import DType
from neurenix.errors import CompileError, DeviceError, InputError, RunError
from neurenix.graph.cutting import cut_outputs
from neurenix.graph.plan import Plan
from neurenix.graph.shaders import (
    BINDING_ALIGNMENT,
    ENABLE_SUBGROUPS,
    HALF_FEATURE,
    LARGEST_HALF,
    Dispatch,
    Shader,
    ShaderPlan,
    workgroups,
)
from neurenix.phynexus.webgpu_device import FORKED, SUBGROUPS, import_wgpu, is_forked, one_line, request_device

Array = np.ndarray[Any, Any]

# Written to a whole number's region: what its dtype is there.
_GPU_DTYPES: dict[str, np.dtype[Any]] = {
    "f32": np.dtype(np.float32), "i32": np.dtype(np.int32), "f16": np.dtype(np.float16),
}  # fmt: skip


class WebGPUEngine:
    """One plan on one device: its shaders compiled, its weights uploaded, everything bound. Calls take turns.

    `place` is an adapter's in wgpu's list of all of them; without it wgpu chooses. Who runs many plans may give
    them one `device` of `request_device` that has the limits of all. Where the device has float16 and the shaders
    have a half for it, that is what runs; so are the texts for subgroups, unless `subgroups` is false.
    """

    def __init__(
        self, plan: Plan, weights: bytes, shaders: ShaderPlan, place: int | None = None, device: Any = None,
        subgroups: bool = True,
    ) -> None:  # fmt: skip
        self._plan = plan
        self._wgpu = import_wgpu(f"running '{plan.name}' on a GPU")
        self._lock = threading.Lock()
        self._dims: dict[str, int] | None = None
        self._device = request_device(shaders.limits, place) if device is None else device
        if shaders.half is not None and HALF_FEATURE in self._device.features:
            shaders = shaders.half
        self._shaders = shaders
        self.subgroups = subgroups and shaders.has_subgroups and SUBGROUPS in self._device.features
        with self._checked(CompileError, "the shaders of"):
            usage = self._wgpu.BufferUsage
            data = usage.STORAGE | usage.COPY_DST | usage.COPY_SRC
            self._buffers = [self._device.create_buffer(size=size, usage=data) for size in shaders.buffers]
            self._params = self._device.create_buffer(size=shaders.params_size, usage=usage.UNIFORM | usage.COPY_DST)
            size = sum(shaders.regions[name].size for name in plan.results)
            self._read = self._device.create_buffer(size=max(size, 4), usage=usage.MAP_READ | usage.COPY_DST)
            self._layouts: dict[tuple[tuple[bool, ...], bool], Any] = {}
            self._pipelines = {name: self._pipeline(shader) for name, shader in shaders.shaders.items()}
            self._groups = [self._bind_group(d) for d in shaders.dispatches]
        with self._checked(DeviceError, "the weights of"):
            self._upload(weights)

    @property
    def adapter(self) -> str:
        """Return the name of the adapter that answers."""
        return str(self._device.adapter.info["device"])

    @property
    def precision(self) -> str:
        """What tensors between inputs and outputs are stored as: "float32" or "float16"."""
        return "float32" if self.tolerance is None else "float16"

    @property
    def tolerance(self) -> float | None:
        """The largest error of an answer, where float16 allows more than the golden cases do."""
        return self._shaders.tolerance

    def run(self, inputs: Mapping[str, Array], dims: Mapping[str, int]) -> dict[str, Array]:
        """Return copies of the outputs. Safe to call from several threads; they take turns.

        Raises InputError for a whole number that does not fit 32 bits, or beyond which what is computed may not;
        RunError where the device gives up.
        """
        ready = {name: _narrowed(name, array, self._shaders.inputs.get(name)) for name, array in inputs.items()}
        if is_forked():
            raise RunError(f"a call of '{self._plan.name}' failed: {FORKED}")
        with self._lock, self._checked(RunError, "a call of"):
            queue = self._device.queue
            for name, array in ready.items():
                region = self._shaders.regions[name]
                if array.nbytes:
                    queue.write_buffer(self._buffers[region.buffer], region.offset, array)
            if self._dims != dict(dims):
                queue.write_buffer(self._params, 0, self._param_values(dims))
                self._dims = dict(dims)
            encoder = self._device.create_command_encoder()
            work = encoder.begin_compute_pass()
            for dispatch, group in zip(self._shaders.dispatches, self._groups):
                x, y, z = workgroups(dispatch, dims)
                if x and y and z:
                    work.set_pipeline(self._pipelines[dispatch.shader])
                    work.set_bind_group(0, group)
                    work.dispatch_workgroups(x, y, z)
            work.end()
            places, size = self._copy_outputs(encoder, dims)
            queue.submit([encoder.finish()])
            return self._downloaded(places, size, dims)

    def _pipeline(self, shader: Shader) -> Any:
        wide = shader.subgroups.removeprefix(ENABLE_SUBGROUPS) if self.subgroups else ""
        module = self._device.create_shader_module(label=shader.name, code=wide or shader.source)
        layout = self._device.create_pipeline_layout(bind_group_layouts=[self._layout(shader)])
        return self._device.create_compute_pipeline(
            label=shader.name, layout=layout, compute={"module": module, "entry_point": "main"}
        )

    def _layout(self, shader: Shader) -> Any:
        """Return the bind group layout of a shader; those that are alike share one."""
        key = (shader.writes, shader.params > 0)
        if key not in self._layouts:
            kinds = ["storage" if w else "read-only-storage" for w in shader.writes] + ["uniform"] * key[1]
            entries = [
                {"binding": i, "visibility": self._wgpu.ShaderStage.COMPUTE, "buffer": {"type": kind}}
                for i, kind in enumerate(kinds)
            ]
            self._layouts[key] = self._device.create_bind_group_layout(entries=entries)
        return self._layouts[key]

    def _bind_group(self, dispatch: Dispatch) -> Any:
        shader = self._shaders.shaders[dispatch.shader]
        bound = []
        for name in dispatch.bindings:
            region = self._shaders.regions[name]
            bound.append({"buffer": self._buffers[region.buffer], "offset": region.offset, "size": region.size})
        if shader.params:
            size = -(-4 * shader.params // 16) * 16
            bound.append({"buffer": self._params, "offset": dispatch.at, "size": size})
        entries = [{"binding": i, "resource": resource} for i, resource in enumerate(bound)]
        return self._device.create_bind_group(layout=self._layout(shader), entries=entries)

    def _upload(self, weights: bytes) -> None:
        view = memoryview(weights)
        for name, tensor in self._plan.tensors.items():
            values = np.frombuffer(view[tensor.offset : tensor.offset + tensor.size], tensor.dtype.numpy)
            region = self._shaders.regions[name]
            if values.size:
                made = _stored(values, region.type)
                self._device.queue.write_buffer(self._buffers[region.buffer], region.offset, made)

    def _param_values(self, dims: Mapping[str, int]) -> Array:
        values = np.zeros(self._shaders.params_size // 4, dtype=np.int32)
        for d in self._shaders.dispatches:
            values[d.at // 4 : d.at // 4 + len(d.params)] = [evaluate(p, dims) for p in d.params]
        return values

    def _copy_outputs(self, encoder: Any, dims: Mapping[str, int]) -> tuple[dict[str, tuple[int, int]], int]:
        """Encode the copies of the outputs to where they are read; return the place and count of each, and the size."""
        places: dict[str, tuple[int, int]] = {}
        end = 0
        for name in self._plan.results:
            count, region = self._count(name, dims), self._shaders.regions[name]
            places[name] = (end, count)
            if count:
                encoder.copy_buffer_to_buffer(self._buffers[region.buffer], region.offset, self._read, end, 4 * count)
            end += -(-4 * count // BINDING_ALIGNMENT) * BINDING_ALIGNMENT
        return places, end

    def _count(self, name: str, dims: Mapping[str, int]) -> int:
        return int(np.prod([evaluate(s, dims) for s in self._plan.buffers[name].shape], dtype=np.int64))

    def _downloaded(
        self, places: Mapping[str, tuple[int, int]], size: int, dims: Mapping[str, int]
    ) -> dict[str, Array]:
        results = {}
        if size:
            self._read.map_sync(self._wgpu.MapMode.READ, 0, size)
        try:
            for name, (start, count) in places.items():
                buffer, region = self._plan.buffers[name], self._shaders.regions[name]
                raw = self._read.read_mapped(start, 4 * count, copy=True) if count else b""
                flat = np.frombuffer(raw, _GPU_DTYPES[region.type])
                shape = [evaluate(s, dims) for s in buffer.shape]
                results[name] = _widened(flat, buffer.dtype).reshape(shape)
        finally:
            if size:
                self._read.unmap()
        return cut_outputs(results, self._plan.outputs, self._plan.lengths)

    @contextmanager
    def _checked(self, error: type[Exception], what: str) -> Iterator[None]:
        """Turn what WebGPU says of invalid work into an error of ours."""
        try:
            yield
        except self._wgpu.GPUError as found:  # validation, out of memory, internal
            raise error(f"{what} '{self._plan.name}' failed on {self.adapter}: {one_line(found)}") from found
        except RuntimeError as found:  # a map that was refused: the device is lost
            raise RunError(f"{what} '{self._plan.name}' failed on {self.adapter}: {one_line(found)}") from found


def _stored(values: Array, kind: str) -> Array:
    """Return a parameter as its region holds it: float16 ends at its largest number, and in whole words."""
    if kind != "f16":
        return np.ascontiguousarray(values, dtype=_GPU_DTYPES[kind])
    made = np.zeros(values.size + values.size % 2, dtype=np.float16)
    np.clip(values, -LARGEST_HALF, LARGEST_HALF, out=made[: values.size], casting="same_kind")
    return made


def _narrowed(name: str, array: Array, ends: tuple[int, int] | None = None) -> Array:
    """Return an input as the GPU holds it. Raises InputError for a whole number beyond 32 bits, or beyond its ends."""
    if array.dtype.kind == "f":
        return np.ascontiguousarray(array, dtype=np.float32)
    info = np.iinfo(np.int32)
    least, most = ends or (int(info.min), int(info.max))
    looked_at = array.size and (array.dtype.itemsize >= 4 or ends is not None)
    if looked_at and (array.min() < least or array.max() > most):
        worst = array.max() if array.max() > most else array.min()
        reason = "which 32 bits do not; a GPU has no wider integers"
        if ends is not None and info.min <= worst <= info.max:
            reason = f"and only from {least} to {most} is it shown that a GPU's 32 bits hold what the model makes of it"
        raise InputError(f"input '{name}' holds {worst}, {reason}: use device='cpu'")
    return np.ascontiguousarray(array, dtype=np.int32)


def _widened(flat: Array, of: DType) -> Array:
    return flat.astype(of.numpy)
