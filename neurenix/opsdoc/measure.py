"""Runs cases of the op table on every backend of this machine: eager NumPy, native and wasm variants, WebGPU."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from neurenix import ops
from neurenix.bundle.writer import BASE, memory_pages
from neurenix.compiler import passes
from neurenix.compiler.print_c import print_c
from neurenix.compiler.schedule import schedule
from neurenix.compiler.wgsl import print_wgsl
from neurenix.errors import UnsupportedError
from neurenix.ops import Family, Op
from neurenix.ops.op import Array
from neurenix.opsdoc.cases import Case, graph_of, random_case
from neurenix.phynexus.detect import Adapter, usable_adapters
from neurenix.phynexus.native import NativeEngine, cpu_level
from neurenix.phynexus.wasm import WasmEngine
from neurenix.phynexus.webgpu import WebGPUEngine
from neurenix.toolchain import TARGETS, WASM_VARIANTS, compile_c, host_target

_ABI = 1
_CASES = 4
# Rows compiled as one module: few enough for a readable error, many enough to be quick.
_TOGETHER = 48
WEBGPU = "webgpu"

Errors = dict[str, dict[str, float]]


def measured_rows() -> list[Op]:
    """Return the rows that can be measured: all but `map`, which is whatever its attribute says."""
    return [row for row in ops.OPS.values() if row.name != "map" and (row.samples or row.family is Family.ELEMENTWISE)]


def measure() -> Errors:
    """Return the largest error of each row on each backend, relative to max(1, |right answer|)."""
    errors: Errors = {}
    rows = measured_rows()
    for at in range(0, len(rows), _TOGETHER):
        cases = [random_case(row, seed) for row in rows[at : at + _TOGETHER] for seed in range(_CASES)]
        with np.errstate(all="ignore"):
            exact = [_exact(case) for case in cases]
        for backend, answers in run(cases):
            for case, right, answer in zip(cases, exact, answers):
                known = errors.setdefault(case.row.name, {})
                if answer is not None:
                    known[backend] = max(known.get(backend, 0.0), _error(right, answer))
    return errors


def run(cases: Sequence[Case]) -> Iterator[tuple[str, list[Array | None]]]:
    """Yield each backend with its answers; None where a row has no compiled form."""
    yield "reference", [case.row.evaluate(case.arrays, case.attrs) for case in cases]
    compiled = [case for case in cases if case.row.kernel is not None or case.row.expr is not None]
    for form, answers in _compiled(compiled):
        by_case = {id(case): answers[f"y{at}"] for at, case in enumerate(compiled)}
        yield form, [by_case.get(id(case)) for case in cases]
    for found in usable_adapters()[:1]:
        yield WEBGPU, _on_gpu(found, cases, compiled)


def _compiled(cases: Sequence[Case]) -> Iterator[tuple[str, Mapping[str, Array]]]:
    graph, feeds = graph_of(cases)
    plan, weights = schedule(passes.run(graph))
    source = print_c(plan, _ABI)
    for variant in WASM_VARIANTS.values():
        module = compile_c(source, variant, "model.wasm")
        wasm = WasmEngine(plan, weights, module, _ABI, BASE, memory_pages(plan))
        yield f"wasm {variant.name}", wasm.run(feeds, {})
    target = TARGETS.get(host_target() or "")
    with tempfile.TemporaryDirectory(prefix="neurenix-opsdoc-") as folder:
        for variant in target.variants if target else ():
            assert target is not None
            library = Path(folder) / f"{variant.name}{target.suffix}"
            library.write_bytes(compile_c(source, variant, f"model{target.suffix}"))
            if variant.level <= cpu_level(library):
                yield f"native {variant.name}", NativeEngine(plan, weights, library, _ABI).run(feeds, {})


def adapter() -> str:
    """Return the name of the adapter that answers for WebGPU; an empty text where there is none."""
    return next((f"{found.name} through {found.backend}" for found in usable_adapters()), "")


def _on_gpu(gpu: Adapter, cases: Sequence[Case], compiled: Sequence[Case]) -> list[Array | None]:
    """Return what shaders answer; None where a case has none. Whole numbers are int32 there, or nothing shows a fit."""
    narrow = {id(case): replace(case, arrays=tuple(map(_narrowed, case.arrays))) for case in compiled}
    taken = [key for key, case in narrow.items() if _has_shader(case)]
    graph, feeds = graph_of([narrow[key] for key in taken])
    plan, weights = schedule(passes.run(graph))
    answers = WebGPUEngine(plan, weights, print_wgsl(plan, weights), gpu.place).run(feeds, {})
    by_case = {key: answers[f"y{at}"] for at, key in enumerate(taken)}
    return [by_case.get(id(case)) for case in cases]


def _narrowed(array: Array) -> Array:
    return array.astype(np.int32) if array.dtype == np.int64 else array


def _has_shader(case: Case) -> bool:
    try:
        return not print_wgsl(*schedule(passes.run(graph_of([case])[0]))).inputs
    except UnsupportedError:
        return False


def _exact(case: Case) -> Array:
    wide = (a.astype(np.float64) if a.dtype.kind == "f" else a for a in case.arrays)
    return np.asarray(case.row.oracle(*wide, **case.attrs))


def _error(right: Array, answer: Array) -> float:
    wanted, got = right.astype(np.float64), answer.astype(np.float64)
    with np.errstate(all="ignore"):
        distance = np.abs(wanted - got) / np.maximum(1, np.abs(wanted))
    same = (wanted == got) | (np.isnan(wanted) & np.isnan(got))
    return float(np.max(np.where(same, 0, distance), initial=0))
