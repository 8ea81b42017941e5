"""load_model(): a bundle in Python, the twin of the JavaScript loadModel."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from neurenix import toolchain
from neurenix.bundle.reader import Bundle, read_bundle
from neurenix.bundle.writer import BASE, memory_pages
from neurenix.compiler.print_c import print_c
from neurenix.device import Device, DeviceType, as_device
from neurenix.errors import BundleError, DeviceError, NeurenixError
from neurenix.phynexus.memory import check_dims, read_inputs
from neurenix.phynexus.native import NativeEngine, cpu_level
from neurenix.phynexus.reference import run_plan, unpack_tensors
from neurenix.phynexus.wasm import WasmEngine

Array = np.ndarray[Any, Any]


class Engine(Protocol):
    """What runs a plan: inputs and dims to outputs."""

    def run(self, inputs: dict[str, Array], dims: dict[str, int]) -> dict[str, Array]: ...


class ReferenceEngine:
    """The plan, step by step, in NumPy."""

    def __init__(self, bundle: Bundle) -> None:
        self._plan = bundle.plan
        self._tensors = unpack_tensors(bundle.plan, bundle.weights())

    def run(self, inputs: dict[str, Array], dims: dict[str, int]) -> dict[str, Array]:
        try:
            return run_plan(self._plan, self._tensors, inputs, dims)
        except (TypeError, ValueError, LookupError) as error:  # NumPy refuses what no plan of ours asks of it
            raise BundleError(f"the plan of '{self._plan.name}' cannot be computed: {error}") from error


class LoadedModel:
    """A model that is ready to answer.

    `device` says where it runs ("reference", "cpu" or "wasm") and `variant` which compiled form; `inputs`
    and `outputs` are names.
    """

    def __init__(self, bundle: Bundle, engine: Engine, device: str, variant: str) -> None:
        self._bundle, self._engine = bundle, engine
        self.device, self.variant, self.threads = device, variant, 1

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
    def labels(self) -> tuple[str, ...]:
        return self._bundle.plan.labels

    def forward(self, inputs: Any) -> dict[str, Array]:
        """Return the outputs by name. Takes a dict of arrays by input name, or the array of a one-input model.

        A missing first axis is a batch of one. NaN goes in and comes out as IEEE 754 has it. Raises
        InputError or DimensionError naming what does not fit.
        """
        arrays, dims = read_inputs(self._bundle.plan, inputs)
        return self._engine.run(arrays, dims)

    __call__ = forward

    def self_test(self) -> float:
        """Answer the bundle's golden inputs; return the largest error. Raises DeviceError when it is too large."""
        worst = 0.0
        for case in self._bundle.golden:
            check_dims(self._bundle.plan, case.dims)
            error = case.error(self._engine.run(case.feeds(self._bundle.plan), dict(case.dims)))
            worst = max(worst, error)
            if not error <= case.tolerance:
                raise DeviceError(f"'{self.name}' is off by {error:.2g} on {self.device}; use device='reference'")
        return worst

    def __repr__(self) -> str:
        return f"LoadedModel({self.name!r}, device={self.device!r}, variant={self.variant!r})"


def load_model(path: str | os.PathLike[str], device: str | Device | DeviceType = "auto") -> LoadedModel:
    """Load a bundle: the path of its NAME.json, or of a folder with one model.

    `device` is "auto", "reference", "cpu" (the native library; "native" is the same) or "wasm" (through
    wasmtime). A bundle without a library for this host is compiled once into the cache when zig is there;
    without zig, "auto" takes the reference and warns. Raises BundleError for a bundle that is incomplete,
    damaged or of another format, DeviceError for a device that is not there.
    """
    bundle = read_bundle(Path(path))
    if device == "reference":
        return LoadedModel(bundle, ReferenceEngine(bundle), "reference", "numpy")
    if device == "auto":
        try:
            return _native(bundle)
        except NeurenixError as error:
            # A damaged bundle is no reason to fall back: the reference would read the same parameters.
            bundle.weights()
            warnings.warn(
                f"'{bundle.plan.name}' runs on the slow NumPy reference: {error}",
                RuntimeWarning,
                stacklevel=2,
            )
            return LoadedModel(bundle, ReferenceEngine(bundle), "reference", "numpy")
    target = as_device("cpu" if device == "native" else device)
    target.require()
    return _native(bundle) if target.type is DeviceType.CPU else _wasm(bundle)


def _native(bundle: Bundle) -> LoadedModel:
    host = toolchain.host_target()
    if host is None:
        raise DeviceError("there is no native backend for this machine; use device='reference'")
    variants = {v.name: v for v in toolchain.TARGETS[host].variants}
    shipped = {n["level"]: n["file"] for n in bundle.manifest.get("native", ()) if n["target"] == host}
    lowest = min(variants.values(), key=lambda v: v.level).name
    paths = {lowest: _library(bundle, lowest, shipped)}
    level = cpu_level(paths[lowest])
    for name, variant in variants.items():  # the most demanding first
        if variant.level <= level:
            library = paths.get(name) or _library(bundle, name, shipped)
            engine = NativeEngine(bundle.plan, bundle.weights(), library, bundle.abi)
            return LoadedModel(bundle, engine, "cpu", name)
    raise DeviceError(f"no library of '{bundle.plan.name}' runs on this CPU; use device='reference'")


def _library(bundle: Bundle, variant: str, shipped: dict[str, str]) -> Path:
    """Return a library's path after its hash is checked, compiling it once when the bundle has none."""
    if variant in shipped:
        bundle.read(shipped[variant])
        return bundle.path.parent / shipped[variant]
    host = toolchain.TARGETS[toolchain.host_target() or ""]
    row = next(v for v in host.variants if v.name == variant)
    return toolchain.compiled_file(print_c(bundle.plan, bundle.abi), row, f"model{host.suffix}")


def _wasm(bundle: Bundle) -> LoadedModel:
    variants = bundle.manifest.get("variants", ())
    if not variants:
        raise DeviceError(f"the bundle of '{bundle.plan.name}' has no WebAssembly")
    best = variants[0]
    engine = WasmEngine(
        bundle.plan, bundle.weights(), bundle.read(best["file"]), bundle.abi, BASE, memory_pages(bundle.plan)
    )
    return LoadedModel(bundle, engine, "wasm", str(best["name"]))
