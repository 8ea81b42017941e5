"""Starts the engine that runs a plan on a device: native code, WebAssembly, shaders, or NumPy's reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from neurenix import ops, toolchain
from neurenix.bundle.writer import BASE, memory_pages, plan_number
from neurenix.compiler.print_c import print_c
from neurenix.compiler.print_custom import print_custom
from neurenix.compiler.wasm_file import check_interface
from neurenix.device import Device, DeviceType
from neurenix.errors import BundleError, DeviceError
from neurenix.graph.plan import Plan
from neurenix.graph.shaders import ShaderPlan
from neurenix.phynexus.native import NativeEngine, cpu_level
from neurenix.phynexus.reference import run_plan, unpack_tensors
from neurenix.phynexus.wasm import WasmEngine
from neurenix.toolchain import WASM_VARIANTS, Variant

Array = np.ndarray[Any, Any]


class Engine(Protocol):
    """What runs a plan: inputs and dims to outputs."""

    def run(self, inputs: dict[str, Array], dims: dict[str, int]) -> dict[str, Array]: ...


@dataclass(frozen=True)
class Started:
    """An engine that is ready, where it runs ("reference", "cpu", "cuda:1" …) and which compiled form it has.

    `tolerance` is the largest error of an answer, where the form allows more than the golden cases do.
    """

    engine: Engine
    device: str
    variant: str
    tolerance: float | None = None


@dataclass(frozen=True)
class Forms:
    """What is compiled already, and the plan's `number` in it.

    `library` finds a native library by variant, `wasm` gives a variant and its module, `shaders` a GPU's share.
    """

    number: int | None = None
    library: Callable[[Variant], Path | None] = lambda variant: None
    wasm: Callable[[], tuple[str, bytes]] | None = None
    shaders: Callable[[], ShaderPlan] | None = None


NOTHING_COMPILED = Forms()


class ReferenceEngine:
    """The plan, step by step, in NumPy."""

    def __init__(self, plan: Plan, weights: bytes) -> None:
        ops.custom.require(plan.custom)
        self._plan = plan
        self._tensors = unpack_tensors(plan, weights)

    def run(self, inputs: dict[str, Array], dims: dict[str, int]) -> dict[str, Array]:
        try:
            return run_plan(self._plan, self._tensors, inputs, dims)
        except (TypeError, ValueError, LookupError) as error:  # NumPy refuses what no plan of ours asks of it
            raise BundleError(f"the plan of '{self._plan.name}' cannot be computed: {error}") from error


def start(device: Device, plan: Plan, weights: bytes, forms: Forms = NOTHING_COMPILED) -> Started:
    """Return the engine that runs a plan on an available device; what is not compiled yet is compiled.

    Raises UnsupportedError where the plan has what the device cannot do, and ToolchainError without zig.
    """
    if device.type is DeviceType.CPU:
        return start_native(plan, weights, forms)
    if device.type is DeviceType.WASM:
        return start_wasm(plan, weights, forms)
    return start_webgpu(device, plan, weights, forms)


def start_reference(plan: Plan, weights: bytes) -> Started:
    """Return the engine that needs nothing and is the slowest."""
    return Started(ReferenceEngine(plan, weights), "reference", "numpy")


def start_native(plan: Plan, weights: bytes, forms: Forms = NOTHING_COMPILED) -> Started:
    """Return the engine for this CPU, with the best of its instruction levels."""
    host = toolchain.host_target()
    if host is None:
        raise DeviceError("there is no native backend for this machine; use device='reference'")
    target = toolchain.TARGETS[host]
    number = plan_number(plan) if forms.number is None else forms.number

    def library(variant: Variant) -> Path:
        found = forms.library(variant)
        if found is not None:
            return found
        return toolchain.compiled_file(
            print_c(plan, number), variant, f"model{target.suffix}", units=print_custom(plan)
        )

    by_level: Sequence[Variant] = sorted(target.variants, key=lambda v: -v.level)
    lowest = library(by_level[-1])
    level = cpu_level(lowest)
    for variant in by_level:  # the most demanding first
        if variant.level <= level:
            path = lowest if variant is by_level[-1] else library(variant)
            return Started(NativeEngine(plan, weights, path, number), "cpu", variant.name)
    raise DeviceError(f"no library of '{plan.name}' runs on this CPU; use device='reference'")


def start_wasm(
    plan: Plan, weights: bytes, forms: Forms = NOTHING_COMPILED, engine: type[WasmEngine] = WasmEngine
) -> Started:
    """Return the engine, or one that does more than `WasmEngine` does, that runs WebAssembly in wasmtime."""
    number = plan_number(plan) if forms.number is None else forms.number
    if forms.wasm is not None:
        name, module = forms.wasm()
    else:
        best = max(WASM_VARIANTS.values(), key=lambda v: v.level)
        source, units = print_c(plan, number), print_custom(plan)
        name, module = best.name, toolchain.compile_c(source, best, "model.wasm", units=units)
        check_interface(module, f"{plan.name}.{name}.wasm", BASE)
    return Started(engine(plan, weights, module, number, BASE, memory_pages(plan)), "wasm", name)


def start_webgpu(device: Device, plan: Plan, weights: bytes, forms: Forms = NOTHING_COMPILED) -> Started:
    """Return the engine that runs shaders on a graphics adapter."""
    # Only who asks for a GPU loads what serves it.
    from neurenix.compiler.wgsl import print_wgsl
    from neurenix.phynexus.webgpu import WebGPUEngine

    adapter = device.adapter()
    if adapter is None:
        raise DeviceError(f"device '{device.name}' is not available: {device.problem()}")
    shaders = print_wgsl(plan, weights) if forms.shaders is None else forms.shaders()
    engine = WebGPUEngine(plan, weights, shaders, adapter.place)
    form = f"{adapter.name} through {adapter.backend}" + (", subgroups" if engine.subgroups else "")
    form += ", float16" if engine.precision == "float16" else ""
    return Started(engine, device.name, form, engine.tolerance)
