"""load_model(): a bundle in Python, the twin of the JavaScript loadModel."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np

from neurenix import engines, ops, toolchain
from neurenix.bundle.golden import Golden
from neurenix.bundle.reader import Bundle, read_bundle
from neurenix.device import Device, DeviceType, as_device, environment_device, warn
from neurenix.engines import Forms, Started
from neurenix.errors import CompileError, DeviceError, InputError, NeurenixError, RunError, UnsupportedError
from neurenix.phynexus.memory import check_dims, read_inputs
from neurenix.toolchain import Variant

Array = np.ndarray[Any, Any]

# What a graphics adapter may say to one model and not to the next: the CPU answers then.
_GPU_GIVES_UP = (CompileError, DeviceError, RunError, UnsupportedError)
# Where nothing is left to fall back to, or where it was asked for a proof.
_LAST = ("reference", "cpu", "wasm")


class LoadedModel:
    """A model that is ready to answer.

    `device` says where it runs ("reference", "cpu", "wasm", "webgpu", "cuda:1" …) and `variant` which compiled form;
    both change, with a RuntimeWarning, when a graphics adapter gives up and the CPU takes over. `inputs` and `outputs`
    are names.
    """

    def __init__(self, bundle: Bundle, started: Started) -> None:
        self._bundle, self._started = bundle, started
        self._second: Started | None = None
        self._falling = threading.Lock()
        self.threads = 1

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as what is loaded anew, from the same files: for another process, which needs them as well."""
        return load_model, (str(self._bundle.path.absolute()), self.device)

    @property
    def device(self) -> str:
        return self._started.device

    @property
    def variant(self) -> str:
        return self._started.variant

    @property
    def name(self) -> str:
        return self._bundle.plan.name

    @property
    def inputs(self) -> tuple[str, ...]:
        return self._bundle.plan.inputs

    @property
    def outputs(self) -> tuple[str, ...]:
        return self._bundle.plan.outputs

    @property
    def tolerance(self) -> float | None:
        """The largest error of an answer where this form allows more than the golden cases do: float16 on a GPU."""
        return self._started.tolerance

    @property
    def labels(self) -> tuple[str, ...]:
        return self._bundle.plan.labels

    def forward(self, inputs: Any) -> dict[str, Array]:
        """Return the outputs by name. Takes a dict of arrays by input name, or the array of a one-input model.

        A missing first axis is a batch of one. NaN goes in and comes out as IEEE 754 has it, but on a graphics adapter,
        where it may be lost. Whole numbers for which an adapter's may have too few bits are answered by the CPU, with a
        RuntimeWarning the first time. Raises InputError or DimensionError naming what does not fit.
        """
        arrays, dims = read_inputs(self._bundle.plan, inputs)
        started = self._started
        try:
            return started.engine.run(arrays, dims)
        except InputError as error:  # names, shapes and dtypes fit: whole numbers that are too large there
            if started.device in _LAST:
                raise
            return self._beside(started, error).engine.run(arrays, dims)
        except RunError as error:
            if started.device in _LAST:
                raise
            return self._fallen(started, error).engine.run(arrays, dims)

    __call__ = forward

    def _beside(self, started: Started, error: NeurenixError) -> Started:
        """Return what answers this call, and others like it, while the next goes to the graphics adapter again."""
        with self._falling:
            if self._second is None:
                self._second = _on_cpu(self._bundle)
                warn(f"'{self.name}' answers calls on {self._second.device} that {started.device} cannot: {error}")
            return self._second

    def _fallen(self, lost: Started, error: NeurenixError) -> Started:
        """Return what answers instead of an engine that gave up; whoever finds out first starts it."""
        with self._falling:
            if self._started is lost:
                self._started = _on_cpu(self._bundle)
                warn(f"'{self.name}' left {lost.device} and runs on {self.device}: {error}")
            return self._started

    def self_test(self) -> float:
        """Answer the bundle's golden inputs; return the largest error. Raises DeviceError when it is too large."""
        return _prove(self._bundle, self._started)

    def __repr__(self) -> str:
        return f"LoadedModel({self.name!r}, device={self.device!r}, variant={self.variant!r})"


def load_model(path: str | os.PathLike[str], device: str | Device | DeviceType = "auto") -> LoadedModel:
    """Load a bundle: the path of its NAME.json, or of a folder with one model.

    `device` is "reference", "cpu" (the native library; "native" is the same), "wasm" (through wasmtime), "webgpu" (a
    graphics adapter, also by the names "cuda", "rocm", "vulkan" and "metal", with a number where there are several) or
    "auto": what NEURENIX_DEVICE names, else the CPU. It looks for no GPU: `Device("auto")` does.

    A bundle without a library for this host is compiled once into the cache when zig is there; without zig, "auto"
    takes the reference and warns. On a graphics adapter the golden inputs are answered first; where that fails the
    model falls back to the CPU, with a RuntimeWarning, and its `device` tells. Raises BundleError for a bundle that is
    incomplete, damaged or of another format, DeviceError for a device that is not there.
    """
    bundle = read_bundle(Path(path))
    if device == "reference":
        return LoadedModel(bundle, engines.start_reference(bundle.plan, bundle.weights()))
    target = environment_device() if device == "auto" else as_device("cpu" if device == "native" else device)
    if target is None or (device == "auto" and target.type is DeviceType.CPU):
        return LoadedModel(bundle, _on_cpu(bundle))
    target.require()
    weights = bundle.weights()
    if target.type in (DeviceType.CPU, DeviceType.WASM):
        return LoadedModel(bundle, engines.start(target, bundle.plan, weights, _forms(bundle)))
    try:
        started = engines.start(target, bundle.plan, weights, _forms(bundle))
        _prove(bundle, started)
    except _GPU_GIVES_UP as error:
        started = _on_cpu(bundle)
        warn(f"'{bundle.plan.name}' runs on {started.device}, not on {target.name}: {error}")
    return LoadedModel(bundle, started)


def _on_cpu(bundle: Bundle) -> Started:
    """Return the native engine, or the reference with a warning where there can be none.

    The reference knows no custom op that is not registered here: only what the bundle ships can answer then.
    """
    # A damaged bundle is no reason to fall back: the reference would read the same parameters.
    weights = bundle.weights()
    try:
        return engines.start_native(bundle.plan, weights, _forms(bundle))
    except NeurenixError as error:
        if any(ops.custom.known(*each) is None for each in bundle.plan.custom.items()):
            return engines.start_wasm(bundle.plan, weights, _forms(bundle))
        warn(f"'{bundle.plan.name}' runs on the slow NumPy reference: {error}")
        return engines.start_reference(bundle.plan, weights)


def _prove(bundle: Bundle, started: Started) -> float:
    """Answer the golden inputs and return the largest error. Raises DeviceError when it is too large."""
    worst = 0.0
    for case in bundle.golden:
        check_dims(bundle.plan, case.dims)
        error = case.error(started.engine.run(case.feeds(bundle.plan), dict(case.dims)))
        worst = max(worst, error)
        if not error <= allowed(case, started.tolerance):
            name = bundle.plan.name
            raise DeviceError(f"'{name}' is off by {error:.2g} on {started.device}; use device='reference'")
    return worst


def allowed(case: Golden, tolerance: float | None) -> float:
    """Return the largest error of a golden case's answers, for a form that allows so much itself, or None."""
    return case.tolerance if tolerance is None else max(case.tolerance, tolerance)


def _forms(bundle: Bundle) -> Forms:
    """Return what the bundle has compiled; every file's hash is checked when it is taken."""
    host = toolchain.host_target()
    shipped = {n["level"]: n["file"] for n in bundle.manifest.get("native", ()) if n["target"] == host}
    variants = bundle.manifest.get("variants", ())

    def library(variant: Variant) -> Path | None:
        if variant.name not in shipped:
            return None
        bundle.read(shipped[variant.name])
        return bundle.path.parent / str(shipped[variant.name])

    def wasm() -> tuple[str, bytes]:
        if not variants:
            raise DeviceError(f"the bundle of '{bundle.plan.name}' has no WebAssembly")
        return str(variants[0]["name"]), bundle.read(variants[0]["file"])

    return Forms(bundle.abi, library, wasm, bundle.shaders if bundle.has_shaders else None)
