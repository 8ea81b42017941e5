"""Proves a compiled model: golden inputs through every compiled form, held to the reference's answers."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from neurenix import toolchain
from neurenix.bundle.golden import Golden
from neurenix.bundle.writer import BASE, Compiled, memory_pages
from neurenix.device import Device, DeviceType
from neurenix.errors import DeviceError, VerificationError
from neurenix.graph.plan import Plan
from neurenix.graph.shaders import ShaderPlan
from neurenix.phynexus.native import NativeEngine, cpu_level
from neurenix.phynexus.reference import run_plan, unpack_tensors
from neurenix.phynexus.wasm import WasmEngine
from neurenix.phynexus.webgpu import WebGPUEngine

Run = Callable[[Mapping[str, Any], Mapping[str, int]], Mapping[str, Any]]


def verify(
    plan: Plan,
    weights: bytes,
    compiled: Sequence[Compiled],
    cases: Sequence[Golden],
    abi: int,
    shaders: ShaderPlan | None = None,
    limit: float | None = None,
) -> dict[str, float]:
    """Return the largest error of each form that can run here.

    A library for another system or a better CPU, WebAssembly without wasmtime, and shaders without an adapter
    that has what they need, cannot. Raises VerificationError when a form disagrees by more than a case's tolerance,
    naming the form, the error and the limit. The plan and what is compiled from C may be held to a stricter `limit`:
    a graphics driver is free in what the C is not.
    """
    agreement: dict[str, float] = {}
    held = list(cases) if limit is None else [replace(case, tolerance=limit) for case in cases]
    _hold(agreement, "reference", _reference(plan, weights), plan, held)
    with tempfile.TemporaryDirectory(prefix="neurenix-") as folder:
        for form in compiled:
            run = _native(form, plan, weights, abi, Path(folder)) if form.target else _wasm(form, plan, weights, abi)
            if run is not None:
                _hold(agreement, form.name, run, plan, held)
            del run  # with its copy of the weights, before the next has one
    if shaders is not None:
        _hold_shaders(agreement, plan, weights, shaders, cases)
    return agreement


def half_error(plan: Plan, weights: bytes, shaders: ShaderPlan, cases: Sequence[Golden]) -> float:
    """Return the largest error of a model's shaders for float16; 0 where no adapter of this host runs them."""
    gpu = _webgpu(plan, weights, shaders, subgroups=False)
    if gpu is None or gpu.tolerance is None:
        return 0.0
    return max(case.error(gpu.run(case.feeds(plan), case.dims)) for case in cases)


def _hold_shaders(
    agreement: dict[str, float], plan: Plan, weights: bytes, shaders: ShaderPlan, cases: Sequence[Golden]
) -> None:
    """Prove each text of each shader that this host's adapter takes: for subgroups and without, float32 and float16."""
    for stored in (replace(shaders, half=None), *([] if shaders.half is None else [shaders])):
        for subgroups in (False, True) if shaders.has_subgroups else (False,):
            gpu = _webgpu(plan, weights, stored, subgroups)
            if gpu is None or gpu.subgroups != subgroups or (stored.half is not None and gpu.tolerance is None):
                continue
            form, held, remedy = "webgpu", cases, _REMEDY
            if gpu.tolerance is not None:
                form, remedy = "webgpu-float16", "use webgpu-precision = 'float32'"
                held = [replace(case, tolerance=gpu.tolerance) for case in cases]
            _hold(agreement, f"{form}-subgroups" if subgroups else form, gpu.run, plan, held, remedy)


_REMEDY = "raise max-error if the model can bear it, otherwise report this with the model"


def _hold(
    agreement: dict[str, float], form: str, run: Run, plan: Plan, cases: Sequence[Golden], remedy: str = _REMEDY
) -> None:
    for case in cases:
        error = case.error(run(case.feeds(plan), case.dims))
        agreement[form] = max(agreement.get(form, 0.0), error)
        if not error <= case.tolerance:
            dims = ", ".join(f"{k}={v}" for k, v in case.dims.items()) or "no dims"
            own = f"mend {', '.join(map(repr, plan.custom))} if it is to blame, " if plan.custom else ""
            raise VerificationError(
                f"the {form} form of '{plan.name}' is off by {error:.2g} ({dims}), the limit is {case.tolerance:.2g}: "
                f"{own}{remedy}"
            )


def _reference(plan: Plan, weights: bytes) -> Run:
    tensors = unpack_tensors(plan, weights)
    return lambda feeds, dims: run_plan(plan, tensors, feeds, dims)


def _native(form: Compiled, plan: Plan, weights: bytes, abi: int, folder: Path) -> Run | None:
    if form.target is None or form.target != toolchain.host_target():
        return None
    path = folder / form.file
    path.write_bytes(form.content)
    variants = {v.name: v.level for v in toolchain.TARGETS[form.target].variants}
    if variants[form.name] > cpu_level(path):
        return None
    return NativeEngine(plan, weights, path, abi).run


def _webgpu(plan: Plan, weights: bytes, shaders: ShaderPlan, subgroups: bool) -> WebGPUEngine | None:
    adapter = Device(DeviceType.WEBGPU).adapter()  # asked in a process of its own: a driver may abort the one that asks
    if adapter is None:
        return None
    try:
        return WebGPUEngine(plan, weights, shaders, adapter.place, subgroups=subgroups)
    except DeviceError:  # this adapter has too little for the model; another may have more
        return None


def _wasm(form: Compiled, plan: Plan, weights: bytes, abi: int) -> Run | None:
    if importlib.util.find_spec("wasmtime") is None:
        return None
    return WasmEngine(plan, weights, form.content, abi, BASE, memory_pages(plan)).run
