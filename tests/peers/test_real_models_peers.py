"""Claims about models that nobody here wrote: on every backend, at several sizes, they answer as onnxruntime does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from real_models import MODELS, RealModel

from neurenix import load_model
from neurenix.bundle.writer import BASE, memory_pages, plan_number
from neurenix.compiler import passes
from neurenix.compiler.print_c import print_c
from neurenix.compiler.schedule import schedule
from neurenix.compiler.wgsl import print_wgsl
from neurenix.graph.graph import Graph
from neurenix.phynexus.detect import usable_adapters
from neurenix.phynexus.native import NativeEngine, cpu_level
from neurenix.phynexus.reference import run_graph
from neurenix.phynexus.wasm import WasmEngine
from neurenix.phynexus.webgpu import WebGPUEngine
from neurenix.toolchain import TARGETS, WASM_VARIANTS, compile_c, compiled_file, host_target
from neurenix.wasm import export_to_wasm

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]  # the exporter's own deprecations

Array = np.ndarray[Any, Any]
Run = Callable[[Mapping[str, Array], Mapping[str, int]], Mapping[str, Array]]
LIMIT = 1e-4


def engines(graph: Graph) -> dict[str, Run]:
    """Return every backend that runs here: the best library for this CPU, the best WebAssembly, and a GPU's shaders."""
    plan, weights = schedule(passes.run(graph))
    abi = plan_number(plan)
    source, target = print_c(plan, abi), TARGETS[str(host_target())]
    for variant in target.variants:  # the most demanding first
        library = compiled_file(source, variant, f"model{target.suffix}")
        if variant.level <= cpu_level(library):
            break
    module = compile_c(source, WASM_VARIANTS["relaxed"], "model.wasm")
    found: dict[str, Run] = {
        "reference": lambda feeds, dims: run_graph(graph, feeds, dims),
        "native": NativeEngine(plan, weights, library, abi).run,
        "wasm": WasmEngine(plan, weights, module, abi, BASE, memory_pages(plan)).run,
    }
    for adapter in usable_adapters()[:1]:
        found["webgpu"] = WebGPUEngine(plan, weights, print_wgsl(plan, weights), adapter.place).run
    return found


def runtime(model: RealModel) -> Run:
    """Return onnxruntime's answer to inputs by our names, which are in the file's order."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.onnx(), options)
    fixed = {name: np.array(value, np.int64) for name, value in model.fixed.items()}
    names = [o.name for o in session.get_outputs()]
    return lambda feeds, dims: dict(zip(names, session.run(names, {**feeds, **fixed})))


def largest_error(answers: Mapping[str, Array], expected: Mapping[str, Array]) -> float:
    assert len(answers) == len(expected)
    worst = 0.0
    for a, e in zip(answers.values(), expected.values()):
        assert (e.shape, e.dtype) == (a.shape, a.dtype)
        worst = max(worst, float(np.max(np.abs(a - e) / np.maximum(1, np.abs(e)), initial=0)))
    return worst


@pytest.mark.zig
@pytest.mark.wasm
@pytest.mark.parametrize("name", MODELS)
def test_every_backend_answers_as_onnxruntime_does_at_every_size(name: str) -> None:
    model = MODELS[name]
    answer, rng = runtime(model), np.random.default_rng(0)
    graph = model.graph()
    assert {dim for sizes in model.sizes for dim in sizes} == set(graph.dims)
    for backend, run in engines(graph).items():
        for sizes in model.sizes:
            feeds = model.feeds(sizes, rng)
            assert largest_error(run(feeds, sizes), answer(feeds, sizes)) < LIMIT, (backend, sizes)


@pytest.mark.zig
@pytest.mark.wasm
def test_a_voice_detector_hears_a_sentence_chunk_by_chunk_with_its_state_carried_on(tmp_path: Path) -> None:
    model = MODELS["silero_vad"]
    path = export_to_wasm(
        model.build(), tmp_path, "vad", inputs=model.declared, dims=model.dims, constants=model.fixed, native=True
    )
    answer, rng = runtime(model), np.random.default_rng(1)
    chunks = [model.feeds({"batch": 1}, rng)["input"] * np.float32(loud) for loud in (0.0, 0.3, 1.0, 1.0, 0.1)]
    for device in ("cpu", "wasm"):
        loaded = load_model(path, device=device)
        ours = theirs = np.zeros((2, 1, 128), np.float32)
        for chunk in chunks:
            output, ours = loaded.forward({"input": chunk, "state": ours}).values()
            expected, theirs = answer({"input": chunk, "state": theirs}, {}).values()
            np.testing.assert_allclose(output, expected, rtol=0, atol=LIMIT, err_msg=device)
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=LIMIT, err_msg=device)
