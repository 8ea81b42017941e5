"""Shaders on float16: every row's answers within its rounding, whole models, and devices that have none of it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gpu_cases import feeds_for, is_taken, map_cases, structured_cases
from half_cases import MODELS, between, half_printed
from manifest_checker import Checker
from op_cases import assert_close, reference
from runtime_page import PAGE, SCRIPT
from tracing import traced

import neurenix
from neurenix.bundle.reader import read_bundle
from neurenix.bundle.shaders import check_shaders
from neurenix.cli.verify import verify_bundle
from neurenix.compiler import passes
from neurenix.compiler.schedule import schedule
from neurenix.compiler.wgsl import parse, print_wgsl
from neurenix.compiler.wgsl.half import converted
from neurenix.errors import BundleError, InputError, UnsupportedError, VerificationError
from neurenix.graph.shaders import HALF_FEATURE, HALF_TOLERANCE, describe
from neurenix.nn import Linear, Sequential
from neurenix.phynexus.webgpu import WebGPUEngine
from neurenix.phynexus.webgpu_device import find_adapter, request_device
from neurenix.session import load_model
from neurenix.wasm import export_to_wasm

pytest_plugins = ["browser", "gpu_browser"]


@pytest.mark.gpu(HALF_FEATURE)
@pytest.mark.parametrize("kind", ["structured", "maps"])
def test_rows_give_the_oracles_answers_within_float16s_rounding(kind: str) -> None:
    drawn = structured_cases(range(100, 102)) if kind == "structured" else map_cases(range(1), range(200, 205))
    cases = [case for case in drawn if any(a.dtype == np.float32 for a in case.arrays) and is_taken(case)]
    assert len(cases) > 60
    for start in range(0, len(cases), 30):
        part = cases[start : start + 30]
        graph, feeds = between(part)
        engine = WebGPUEngine(*half_printed(graph))
        assert "float16" == engine.precision
        expected, answers = reference(graph, feeds), engine.run(feeds, {})
        for at, case in enumerate(part):
            wanted = expected[f"y{at}"]
            held = np.abs(wanted) < 60000  # what is larger ends there
            assert_close(np.where(held, wanted, 0), np.where(held, answers[f"y{at}"], 0), 4e-3, repr(case))


@pytest.mark.gpu(HALF_FEATURE)
@pytest.mark.parametrize("name", MODELS)
def test_a_model_answers_within_the_tolerance_in_half_the_memory(name: str) -> None:
    neurenix.manual_seed(3)
    graph, dims = MODELS[name]()
    plan, weights, shaders = half_printed(graph)
    feeds = feeds_for(graph, dims)
    ((output, wanted),) = reference(graph, feeds, dims).items()
    answer = WebGPUEngine(plan, weights, shaders).run(feeds, dims)[output]
    assert_close(wanted, answer, HALF_TOLERANCE / 4, name)
    assert np.abs(wanted - answer).max() > 1e-6, "these are float32's answers"
    assert shaders.half is not None
    assert sum(shaders.half.buffers) < 0.6 * sum(shaders.buffers)


@pytest.mark.gpu(HALF_FEATURE)
def test_a_device_without_float16_answers_in_float32() -> None:
    graph, _ = MODELS["perceptron"]()
    plan, weights, shaders = half_printed(graph)
    engine = WebGPUEngine(plan, weights, shaders, device=find_adapter().request_device_sync())
    feeds = feeds_for(graph, {})
    ((output, wanted),) = reference(graph, feeds).items()
    assert "float32" == engine.precision
    assert_close(wanted, engine.run(feeds, {})[output], 1e-5, "float32")
    assert HALF_FEATURE in request_device({}).features


@pytest.mark.gpu(HALF_FEATURE)
def test_what_is_too_large_becomes_the_largest_number_and_no_infinity() -> None:
    graph = traced(lambda x: (x * 100).sum(-1, keepdim=True) * 1e-5 + x * 0, {"x": "float32[2, 4]"})
    plan, weights, shaders = half_printed(graph)
    x = np.array([[300, 300, 300, 300], [-300, -300, -300, -300]], np.float32)
    (answer,) = WebGPUEngine(plan, weights, shaders).run({"x": x}, {}).values()
    np.testing.assert_allclose(answer, np.sign(x) * 0.65504, rtol=1e-3)


def test_what_is_read_is_widened_and_what_is_written_rounded() -> None:
    text = "y[i + x[0]] = g(x[i], w[k[x[1]]]);\nif (x[2] == 1.0) { tile[i] = max[x[3]]; }"
    expected = (
        "y[i + f32(x[0])] = nx_half(g(f32(x[i]), w[k[f32(x[1])]]));\n"
        "if (f32(x[2]) == 1.0) { tile[i] = max[f32(x[3])]; }"
    )
    found = converted(text, {"x": "f32", "y": "f32"})
    assert found.startswith("enable f16;\n") and found.endswith(expected)
    assert "a[i]" == converted("a[i]", {})


def test_ports_stay_float32_and_the_table_says_what_is_not() -> None:
    plan, _, shaders = half_printed(MODELS["transformer"]()[0])
    table = json.loads(json.dumps(describe(shaders), allow_nan=False))
    half = table["half"]
    assert HALF_TOLERANCE == half["tolerance"] and "tolerance" not in table and "half" not in half
    kinds = {name: region["type"] for name, region in half["regions"].items()}
    assert {"f32"} == {kinds[name] for name in (*plan.inputs, *plan.results)}
    assert {"f16"} == {kinds[name] for name in plan.tensors}
    assert "f16" not in {region["type"] for region in table["regions"].values()}


def test_a_registered_shader_has_no_float16() -> None:
    source = """
        @group(0) @binding(0) var<storage, read> a: array<f32>;
        @group(0) @binding(1) var<storage, read> b: array<f32>;
        @group(0) @binding(2) var<storage, read_write> c: array<f32>;
        override M: u32; override N: u32; override K: u32;
        @compute @workgroup_size(1) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
          var sum = 0.0;
          for (var k = 0u; k < K; k++) { sum += a[id.y * K + k] * b[k * N + id.x]; }
          if (id.y < M && id.x < N) { c[id.y * N + id.x] = sum; }
        }"""
    plan, weights = schedule(passes.run(MODELS["perceptron"]()[0]))
    with pytest.raises(UnsupportedError, match=r"op 'matmul'.*float32: the model has no float16"):
        print_wgsl(plan, weights, [parse("matrix_multiply", source)], half=True)


# ── in bundles ──────────────────────────────────────────────────────────────────────────────────────────


def _bundle(folder: Path, **options: Any) -> Path:
    neurenix.manual_seed(3)
    model = Sequential(Linear(300, 65), Linear(65, 3)).eval()
    inputs, precision = {"x": "float32[n, 300]"}, {"webgpu_precision": "float16", **options}
    export_to_wasm(model, folder, "half", inputs=inputs, simd=False, threads=False, webgpu=True, **precision)
    return folder / "half.json"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _bundle(tmp_path_factory.mktemp("half") / "webassembly_model")


@pytest.mark.gpu(HALF_FEATURE)
@pytest.mark.zig
def test_a_bundle_with_float16_is_loaded_on_a_gpu_within_its_own_tolerance(bundle: Path) -> None:
    Checker(json.loads(bundle.read_text(encoding="utf-8")), bundle.parent).check()
    model = load_model(bundle, device="webgpu")
    assert model.variant.endswith(", float16")
    assert model.tolerance == HALF_TOLERANCE
    assert 1e-6 < model.self_test() < HALF_TOLERANCE
    found = read_bundle(bundle).shaders()
    assert found.half is not None and found.half.text().startswith("enable f16;")
    verdict = verify_bundle(read_bundle(bundle), ("webgpu",))
    assert verdict.ok and HALF_TOLERANCE == verdict.results[0].tolerance


@pytest.mark.zig
def test_a_bundle_without_float16_has_none(tmp_path: Path) -> None:
    path = _bundle(tmp_path, webgpu_precision="float32")
    assert "half" not in json.loads(path.read_text(encoding="utf-8"))["webgpu"]
    assert not (tmp_path / "half.f16.wgsl").exists()
    with pytest.raises(InputError, match="webgpu_precision='float8' is not one of float32, float16"):
        _bundle(tmp_path, webgpu_precision="float8")


@pytest.mark.gpu(HALF_FEATURE)
@pytest.mark.zig
def test_float16_that_is_too_far_off_fails_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neurenix.export.HALF_TOLERANCE", 1e-6)
    with pytest.raises(VerificationError, match=r"webgpu-float16 form.*use webgpu-precision = 'float32'"):
        _bundle(tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.zig
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t["regions"]["x"].update(type="f16"), "'x' is float32, its region of type f16"),
        (lambda t: t["half"]["regions"]["x"].update(type="f16"), "'x' is float32, its region of type f16"),
        (lambda t: t["half"].update(tolerance=2), "its tolerance is 2"),
        (lambda t: t["half"].pop("tolerance"), "float16 is not where it should be"),
        (lambda t: t.update(tolerance=0.01), "float16 is not where it should be"),
        (lambda t: t["half"].update(half=t["half"]), "float16 is not where it should be"),
        (lambda t: t["half"].update(file="half.f17.wgsl"), "does not list it"),
    ],
)
def test_a_table_of_float16_that_does_not_fit_is_refused(bundle: Path, change: Any, words: str) -> None:
    found = read_bundle(bundle)
    table = json.loads(json.dumps(found.manifest["webgpu"]))
    half = table["half"]
    change(table)
    if half is table["half"].get("half"):
        table["half"] = {**half, "half": dict(half)}
    with pytest.raises(BundleError, match=re.escape(words)):
        check_shaders(table, found.plan, found.manifest["files"])


@pytest.mark.browser
@pytest.mark.zig
def test_a_browser_without_float16_answers_in_float32(
    bundle: Path, gpu_chromium: Any, serve: Any, tmp_path: Path
) -> None:
    shutil.copytree(bundle.parent, tmp_path / "webassembly_model")
    (tmp_path / "index.html").write_text(PAGE, encoding="utf-8")
    (tmp_path / "page.js").write_text(SCRIPT.replace("my_model", "half"), encoding="utf-8")
    page = gpu_chromium.new_page()
    page.goto(serve(tmp_path).url)
    page.wait_for_selector("html[data-state]", timeout=60_000)
    told = page.evaluate(
        """async () => {
            const { features } = await navigator.gpu.requestAdapter();
            const model = await loadModel(undefined, { device: 'webgpu' });
            const { passed, cases } = await model.selfTest();
            const largest = Math.max(...cases.map(({ tolerance }) => tolerance));
            return [features.has('shader-f16'), model.device, model.variant, passed, largest];
        }"""
    )
    page.close()
    assert [False, "webgpu", "wgsl", True] == told[:4] or [True, "webgpu", "wgsl.f16", True] == told[:4]
    assert (HALF_TOLERANCE if told[0] else 1e-4) == pytest.approx(told[4])
