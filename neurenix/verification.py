"""Proves a compiled model: golden inputs through every compiled form, held to the reference's answers."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from neurenix import toolchain
from neurenix.bundle.golden import Formula, Golden, golden_dims
from neurenix.bundle.writer import BASE, Compiled, memory_pages
from neurenix.device import Device, DeviceType
from neurenix.errors import DeviceError, VerificationError
from neurenix.graph.graph import Graph
from neurenix.graph.index_ranges import index_limit
from neurenix.graph.plan import Plan
from neurenix.graph.shaders import ShaderPlan
from neurenix.phynexus.native import NativeEngine, cpu_level
from neurenix.phynexus.reference import run_graph, run_plan, unpack_tensors
from neurenix.phynexus.wasm import WasmEngine
from neurenix.phynexus.webgpu import WebGPUEngine

Run = Callable[[Mapping[str, Any], Mapping[str, int]], Mapping[str, Any]]


# Ranges of the golden inputs. A classifier is often so sure of noise of full strength that its answer, a bare 0 or
# 1, would hide an error; weaker noise leaves it in doubt.
RANGES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 0.1), (-0.1, 0.1))

# Whole numbers name rows, classes and lengths, conditions are both: by the kind of their dtype, where the graph does
# not say which numbers it takes.
WHOLE = {"i": (0.0, 8.0), "u": (0.0, 8.0), "b": (0.0, 2.0)}


# What a model that computes in float16 may be off by, whatever it declares: 16 roundings to 11 bits.
HALF = 16 * 2.0**-12


def golden_cases(graph: Graph, plan: Plan, tolerance: float) -> list[Golden]:
    """Return inputs and the answers of the traced graph, computed in float64 by the op table's oracles.

    Neither a pass, nor the plan, nor any kernel has touched that graph: it stands for the model as it was written.
    """
    every = golden_dims(plan)
    if any(graph.values[node.output].dtype.name == "float16" for node in graph.nodes):
        tolerance = max(tolerance, HALF)
    floats = any(plan.buffers[name].dtype.numpy.kind == "f" for name in plan.inputs)
    ranges = RANGES if floats else RANGES[:1]
    tried = {span: _case(graph, plan, every[0], 1, span, tolerance) for span in ranges}
    best = max(tried, key=lambda span: (_sensitivity(graph, plan, tried[span]), _size(tried[span])))
    others = (_case(graph, plan, dims, seed, best, tolerance) for seed, dims in enumerate(every[1:], start=2))
    return [tried[best], *others]


def _case(
    graph: Graph, plan: Plan, dims: Mapping[str, int], seed: int, span: tuple[float, float], tolerance: float
) -> Golden:
    spans = {name: _span(graph, name, span) for name in plan.inputs}
    formulas = {name: Formula(seed * 100 + i, *spans[name]) for i, name in enumerate(plan.inputs)}
    case = Golden(dims, formulas, {}, tolerance)
    answers = run_graph(graph, case.feeds(plan), dims, precision="float64")
    return replace(case, outputs={n: a.astype(graph.values[n].dtype.numpy) for n, a in answers.items()})


def _span(graph: Graph, name: str, floats: tuple[float, float]) -> tuple[float, float]:
    """Return the range of an input's golden values: whole numbers that what reads them can take."""
    kind = graph.values[name].dtype.numpy.kind
    limit = index_limit(graph, name) if kind in "iu" else None
    return WHOLE.get(kind, floats) if limit is None else (0.0, float(limit))


def _sensitivity(graph: Graph, plan: Plan, case: Golden) -> float:
    """Return how much of float32's rounding shows in the answers: inputs where it shows most test most."""
    error = case.error(run_graph(graph, case.feeds(plan), case.dims))
    return error if np.isfinite(error) else -1.0


def _size(case: Golden) -> int:
    """Return how many answers there are: where data decides it, a case without any tests nothing."""
    return sum(a.size for a in case.outputs.values())


def verify(
    plan: Plan,
    weights: bytes,
    compiled: Sequence[Compiled],
    cases: Sequence[Golden],
    abi: int,
    shaders: ShaderPlan | None = None,
) -> dict[str, float]:
    """Return the largest error of each form that can run here.

    A library for another system or a better CPU, WebAssembly without wasmtime, and shaders without an adapter
    that has what they need, cannot. Raises VerificationError when a form disagrees by more than a case's tolerance,
    naming the form, the error and the limit.
    """
    agreement: dict[str, float] = {}
    _hold(agreement, "reference", _reference(plan, weights), plan, cases)
    with tempfile.TemporaryDirectory(prefix="neurenix-") as folder:
        for form in compiled:
            run = _native(form, plan, weights, abi, Path(folder)) if form.target else _wasm(form, plan, weights, abi)
            if run is not None:
                _hold(agreement, form.name, run, plan, cases)
            del run  # with its copy of the weights, before the next has one
    gpu = None if shaders is None else _webgpu(plan, weights, replace(shaders, half=None))
    if gpu is not None:
        _hold(agreement, "webgpu", gpu.run, plan, cases)
    if gpu is not None and shaders is not None and shaders.half is not None:
        gpu = _webgpu(plan, weights, shaders)
        if gpu is not None and gpu.tolerance is not None:
            wider = [replace(case, tolerance=gpu.tolerance) for case in cases]
            _hold(agreement, "webgpu-float16", gpu.run, plan, wider, "use webgpu-precision = 'float32'")
    return agreement


_REMEDY = "raise max-error if the model can bear it, otherwise report this with the model"


def _hold(
    agreement: dict[str, float], form: str, run: Run, plan: Plan, cases: Sequence[Golden], remedy: str = _REMEDY
) -> None:
    for case in cases:
        error = case.error(run(case.feeds(plan), case.dims))
        agreement[form] = max(agreement.get(form, 0.0), error)
        if not error <= case.tolerance:
            dims = ", ".join(f"{k}={v}" for k, v in case.dims.items()) or "no dims"
            raise VerificationError(
                f"the {form} form of '{plan.name}' is off by {error:.2g} ({dims}), the limit is {case.tolerance:.2g}: "
                f"{remedy}"
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


def _webgpu(plan: Plan, weights: bytes, shaders: ShaderPlan) -> WebGPUEngine | None:
    adapter = Device(DeviceType.WEBGPU).adapter()  # asked in a process of its own: a driver may abort the one that asks
    if adapter is None:
        return None
    try:
        return WebGPUEngine(plan, weights, shaders, adapter.place)
    except DeviceError:  # this adapter has too little for the model; another may have more
        return None


def _wasm(form: Compiled, plan: Plan, weights: bytes, abi: int) -> Run | None:
    if importlib.util.find_spec("wasmtime") is None:
        return None
    return WasmEngine(plan, weights, form.content, abi, BASE, memory_pages(plan)).run
