"""Runs one ONNX node case on one backend and says how it went: passed, refused with a reason, or wrong."""

from __future__ import annotations

import functools
import re
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from neurenix.bundle.writer import BASE, memory_pages, plan_number
from neurenix.compiler import passes
from neurenix.compiler.print_c import print_c
from neurenix.compiler.schedule import schedule
from neurenix.compiler.wgsl import print_wgsl
from neurenix.errors import NeurenixError, UnsupportedError
from neurenix.frontends.onnx import import_onnx
from neurenix.graph.graph import Graph
from neurenix.phynexus.native import NativeEngine, cpu_level
from neurenix.phynexus.reference import run_graph
from neurenix.phynexus.wasm import WasmEngine
from neurenix.phynexus.webgpu import WebGPUEngine
from neurenix.phynexus.webgpu_device import request_device
from neurenix.toolchain import TARGETS, WASM_VARIANTS, compile_c, host_target

Array = np.ndarray[Any, Any]
BACKENDS = ("reference", "native", "wasm", "webgpu")
PASS = "pass"

_cases: dict[str, Any] = {}

# What the frontend says when an input must be part of the model: the case gives its value, so the runner fixes it.
_ASKS_FOR_CONSTANTS = "constants={"


@dataclass(frozen=True)
class Outcome:
    """How a case went on each backend, and the inputs whose values were fixed when the model was built."""

    name: str
    results: Mapping[str, str]
    fixed: tuple[str, ...] = field(default=())

    def passes(self, backend: str) -> bool:
        return self.results[backend] == PASS


def all_cases() -> list[Any]:
    """Return ONNX's node cases, in order of their names."""
    from onnx.backend.test import loader

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the cases compute their data as they are made
        return sorted(loader.load_model_tests(kind="node"), key=lambda case: str(case.name))


def run_named(backends: Sequence[str], name: str) -> Outcome:
    """Run the case of this name: a case itself cannot be sent to another process, so each loads them all, once."""
    if not _cases:
        _cases.update((case.name, case) for case in all_cases())
    return run_case(_cases[name], backends)


def run_case(case: Any, backends: Sequence[str]) -> Outcome:
    """Run a case's model on backends with the case's own data and tolerances."""
    warnings.simplefilter("ignore")
    names = [i.name for i in case.model.graph.input]
    try:
        inputs, outputs = _data(case)
        feeds = dict(zip(names, inputs))
        graph, fixed = _import(case.model, feeds)
    except NeurenixError as error:
        return Outcome(case.name, dict.fromkeys(backends, _reason(error)))
    except Exception as error:  # noqa: BLE001
        return Outcome(case.name, dict.fromkeys(backends, f"WRONG: {type(error).__name__}: {error}"[:160]))
    left = [feeds[n] for n in names if n not in fixed]
    results = {backend: _run(case, graph, dict(zip(graph.inputs, left)), outputs, backend) for backend in backends}
    return Outcome(case.name, results, fixed)


def _run(case: Any, graph: Graph, feeds: dict[str, Array], expected: list[Array], backend: str) -> str:
    try:
        answers = list(_ENGINES[backend](graph, feeds).values())
    except NeurenixError as error:
        return _reason(error)
    except Exception as error:  # noqa: BLE001  (an untyped error is a bug, which the table must show and not stop at)
        return f"WRONG: {type(error).__name__}: {error}"[:160]
    for want, have in zip(expected, answers):
        if want.shape != have.shape or want.dtype != have.dtype:
            return f"WRONG: {have.dtype}{list(have.shape)} for {want.dtype}{list(want.shape)}"
        a, b = (x.astype(np.float64) if x.dtype.kind == "f" else x for x in (have, want))
        if not np.allclose(a, b, rtol=case.rtol, atol=max(case.atol, _rounding(want)), equal_nan=True):
            return "WRONG: other numbers"
    return PASS


def _data(case: Any) -> tuple[list[Array], list[Array]]:
    ((inputs, outputs),) = case.data_sets
    return [_array(a) for a in inputs], [_array(a) for a in outputs]


def _array(data: Any) -> Array:
    import onnx

    if isinstance(data, onnx.TensorProto):
        return np.asarray(onnx.numpy_helper.to_array(data))
    if not isinstance(data, (np.ndarray, np.generic)):
        raise UnsupportedError("sequence or optional at the border")
    return np.asarray(data)


def _import(model: Any, feeds: Mapping[str, Array]) -> tuple[Graph, tuple[str, ...]]:
    """Import a model; where it asks for inputs that are known when it is built, fix one more, integers first."""
    fixed: dict[str, Array] = {}
    candidates = sorted(feeds, key=lambda n: feeds[n].dtype.kind not in "iub")
    while True:
        try:
            return import_onnx(model, constants=fixed), tuple(fixed)
        except UnsupportedError as error:
            left = [n for n in candidates if n not in fixed]
            if _ASKS_FOR_CONSTANTS not in str(error) or not left:
                raise
            fixed[left[0]] = feeds[left[0]]


def _rounding(expected: Array) -> float:
    """Return the rounding of the largest expected number in the answer's own dtype: sums that cancel are off by that.

    Most cases allow 1e-7, which is less than float32's own rounding of 2, and far less than float16's of anything.
    """
    if expected.dtype.kind != "f" or not expected.size:
        return 0.0
    finite = np.abs(expected[np.isfinite(expected)], dtype=np.float64)
    return float(np.finfo(expected.dtype).eps * finite.max(initial=0.0))


def _reference(graph: Graph, feeds: dict[str, Array]) -> dict[str, Array]:
    return run_graph(graph, feeds, {}, precision=None)


def _native(graph: Graph, feeds: dict[str, Array]) -> dict[str, Array]:
    plan, weights = schedule(passes.run(graph))
    abi = plan_number(plan)
    source, target = print_c(plan, abi), TARGETS[str(host_target())]
    with tempfile.TemporaryDirectory(prefix="neurenix-") as folder:
        path = Path(folder) / f"model{target.suffix}"
        for variant in target.variants:  # the most demanding one that this CPU has
            path.write_bytes(compile_c(source, variant, path.name))
            if variant.level <= cpu_level(path):
                break
        return NativeEngine(plan, weights, path, abi).run(feeds, {})


def _wasm(graph: Graph, feeds: dict[str, Array]) -> dict[str, Array]:
    plan, weights = schedule(passes.run(graph))
    abi = plan_number(plan)
    code = compile_c(print_c(plan, abi), WASM_VARIANTS["relaxed"], "model.wasm")
    return WasmEngine(plan, weights, code, abi, BASE, memory_pages(plan)).run(feeds, {})


def _webgpu(graph: Graph, feeds: dict[str, Array]) -> dict[str, Array]:
    plan, weights = schedule(passes.run(graph))
    shaders = print_wgsl(plan, weights)
    device = _device(*sorted(shaders.limits.items()))
    return WebGPUEngine(plan, weights, shaders, device=device).run(feeds, {})


@functools.cache
def _device(*limits: tuple[str, int]) -> Any:
    """Return this process's device: making one takes longer than most cases."""
    return request_device(dict(limits))


_ENGINES = {"reference": _reference, "native": _native, "wasm": _wasm, "webgpu": _webgpu}


def _reason(error: NeurenixError) -> str:
    """Return why a case is refused: the innermost reason, without the names on the way, on one line."""
    text = " ".join(str(error).split())
    while text.startswith("node '") and "): " in text:
        text = text.split("): ", 1)[1]
    text = re.sub(r"^(op '\w+') \('[^']*'(?: in layer '[^']*')?\)", r"\1", text)
    return f"{error.code}: {text[:160]}".replace("\t", " ")
