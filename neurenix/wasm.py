"""export_to_wasm, run_in_browser and register_custom_shader: a model on its way into a web page."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neurenix.autograd import no_grad
from neurenix.compiler.wgsl import parse
from neurenix.device import Device, DeviceType, as_device
from neurenix.export import as_options, export
from neurenix.frontends.signature import DimSpec
from neurenix.graph.graph import Graph
from neurenix.nn.module import Module
from neurenix.tensor import Tensor
from neurenix.tensor.input_spec import InputSpec
from neurenix.trace import call_named

_shaders: dict[str, str] = {}


def export_to_wasm(
    model: Module | Graph | str | os.PathLike[str] | object,
    output_dir: str | os.PathLike[str],
    model_name: str = "model",
    *,
    optimize: bool = True,
    quantize: bool | str = False,
    simd: bool = True,
    threads: bool = True,
    inputs: Mapping[str, InputSpec] | None = None,
    dims: Mapping[str, DimSpec] | None = None,
    constants: Mapping[str, Any] | None = None,
    labels: Sequence[str] | None = None,
    native: tuple[str, ...] | bool = False,
    verify: bool = True,
    max_error: float | None = None,
    demo: bool = False,
    webgpu: bool | None = None,
    webgpu_precision: str = "float32",
) -> str:
    """Compile a model and write its bundle into a folder; return the folder.

    `model` is a Module, a Graph, the path of a model file (`.onnx`, `.pt2`) or a model of PyTorch: all that
    `neurenix.frontends.load` reads. `inputs` maps each input's name to a `"float32[batch, 4]"` string, a shape or an
    example array; it may be left out where a file or the first layer fixes the shape. `dims` gives the range of each
    symbol, (1, 64) by default, or one number to fix it; `constants` gives inputs of an ONNX model values that are then
    part of it. `labels` names the entries of the first output's last axis. `optimize` folds and fuses; `simd`
    adds variants for SIMD and relaxed SIMD to the scalar one; `threads` asks for threads, which this version
    answers with one and says so. `native` adds libraries: True for this machine, or names such as
    "x86_64-linux". With `demo` the folder gets a page to try the model on. `webgpu` adds shaders: always, never or,
    left out, where every op of the model has one. With `webgpu_precision="float16"` GPUs that have it store
    tensors between inputs and outputs so, in half the memory, multiply in it where that cannot overflow, and answer
    within 0.01. Raises UnsupportedError for
    `quantize` and for a `webgpu` that cannot be met, InputError when the inputs cannot be inferred, VerificationError
    when a compiled form drifts by more than `max_error`, which by default is what float32's rounding explains and at
    most 1e-4, OutputError when the folder cannot be written; the old files stay then.

    >>> from neurenix.nn import Linear, ReLU, Sequential
    >>> export_to_wasm(Sequential(Linear(10, 20), ReLU(), Linear(20, 5)), "webassembly_model", "my_model")
    'webassembly_model'
    """
    targets = ("host",) if native is True else tuple(native or ())
    options = as_options(
        inputs=inputs, dims=dims, constants=constants, labels=labels, optimize=optimize, quantize=quantize, simd=simd,
        threads=threads, native=targets, verify=verify, max_error=max_error, demo=demo,
        webgpu=webgpu, webgpu_precision=webgpu_precision, shaders=custom_shaders(),
    )  # fmt: skip
    export(model, Path(output_dir), model_name, options)
    return os.fspath(output_dir)


def run_in_browser(model: Module, inputs: Any, device: Device | DeviceType | str | None = None) -> Any:
    """Mark a model for the browser and answer here meanwhile.

    Later exports of the model carry `device` as the first one that the page tries. The answer is computed on
    the CPU, whatever the device: a dict of arrays gives a dict by output name, a Tensor or array gives a
    Tensor.
    """
    wanted = Device(DeviceType.WEBGPU) if device is None else as_device(device)
    # "cpu" in a page means WebAssembly; every other kind is reached through WebGPU.
    model.browser_device = "wasm" if wanted.type in (DeviceType.CPU, DeviceType.WASM) else "webgpu"
    was_training = model.training
    model.eval()
    try:
        with no_grad():
            if not isinstance(inputs, Mapping):
                return model(_tensor(inputs))
            result = call_named(model, {name: _tensor(value) for name, value in inputs.items()})
    finally:
        model.train(was_training)
    named = result if isinstance(result, Mapping) else {"output": result}
    return {name: tensor.numpy() for name, tensor in named.items()}


def register_custom_shader(op: str, wgsl: str) -> None:
    """Put a WGSL compute shader in place of an op's own, in every bundle that is exported after this.

    The op is "matrix_multiply". Its shader has at group 0 the bindings 0, 1 and 2: a, b (read) and c (read_write),
    `array<f32>`, row-major, and the entry point `main`. The runtime reads `@workgroup_size` and covers c's columns with
    x, its rows with y, and the entries of a batch with z. `override M, N, K: u32` (and `BATCH`) are set where they are
    declared, and a uniform at binding 3 is bound to m, n, k and batch where there is one. Products of several entries
    go to a shader that declares BATCH or the uniform. Exports run the shader beside the op's oracle, for which they
    need the extra `gpu` and an adapter, and raise CompileError with the compiler's message, or VerificationError with
    the numbers that differ. Raises InputError for what does not follow the contract.
    """
    parse(op, wgsl)
    _shaders[op] = wgsl


def custom_shaders() -> dict[str, str]:
    """Return the registered shaders by op."""
    return dict(_shaders)


def _tensor(data: Any) -> Tensor:
    if isinstance(data, Tensor):
        return data
    array = np.asarray(data)
    return Tensor(array.astype(np.float32) if array.dtype == np.float64 else array)


__all__ = ["custom_shaders", "export_to_wasm", "register_custom_shader", "run_in_browser"]
