"""The JavaScript runtime in Chromium gives right answers: in every variant, from every input, call after call."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from local_server import Site
from playwright.sync_api import Page
from runtime_page import Serve, complaints, expected, open_page
from tiny_bundle import WIDTH, change_manifest, golden_input, tiny_weights, write_tiny_bundle

from neurenix import load_model
from neurenix.nn import Linear, ReLU, Sequential
from neurenix.wasm import export_to_wasm

pytest_plugins = ["browser", "runtime_fixtures"]
pytestmark = [pytest.mark.browser, pytest.mark.zig]

SEED_PAGE = Path(__file__).parent / "seed" / "page.html"


def test_the_seed_page_shows_the_answer_byte_for_byte(page: Page, site: Site) -> None:
    shutil.copy(SEED_PAGE, site.folder / "index.html")
    page.goto(site.url)
    page.wait_for_selector("#output p")
    shown = page.inner_text("#output")
    assert shown.startswith("Model output: {")
    answer = json.loads(shown.removeprefix("Model output: "))["output"]
    x = np.arange(1, 11, dtype=np.float32) / 10
    np.testing.assert_allclose(answer, [expected(x)], atol=1e-6)
    assert complaints(page) == []


def test_the_seed_page_shows_the_numbers_of_python(page: Page, tmp_path: Path, serve: Serve) -> None:
    model = Sequential(Linear(10, 20), ReLU(), Linear(20, 5))
    bundle = export_to_wasm(model, str(tmp_path / "webassembly_model"), "my_model")
    shutil.copy(SEED_PAGE, tmp_path / "index.html")
    page.goto(serve(tmp_path).url)
    page.wait_for_selector("#output p")
    answer = json.loads(page.inner_text("#output").removeprefix("Model output: "))["output"]
    x = np.arange(1, 11, dtype=np.float32)[None] / 10
    oracle = load_model(Path(bundle) / "my_model.json", device="reference").forward({"input": x})["output"]
    np.testing.assert_allclose(answer, oracle, atol=1e-6)
    assert oracle.shape == (1, 5)
    assert complaints(page) == []


def test_a_model_describes_itself(page: Page, site: Site) -> None:
    described = open_page(page, site).evaluate(
        """async () => {
            const model = await loadModel();
            const { name, inputs, outputs, dims, labels, layers, device, variant, threads, gpu } = model;
            const settled = await model.settled;
            return { name, inputs, outputs, dims, labels, layers, device, variant, threads, gpu, settled };
        }"""
    )
    assert described == {
        "name": "my_model",
        "inputs": [{"name": "input", "dtype": "float32", "shape": ["batch", 10]}],
        "outputs": [{"name": "output", "dtype": "float32", "shape": ["batch", 10]}],
        "dims": [{"name": "batch", "min": 1, "max": 8}],
        "labels": None,
        "layers": [{"name": "0", "type": "Scale", "config": {}, "parameters": ["0.weight", "0.bias"]}],
        "device": "wasm",
        "variant": "relaxed",
        "threads": 1,
        "gpu": None,
        "settled": "wasm",
    }
    assert complaints(page) == []


@pytest.mark.parametrize("variant", ["relaxed", "simd", "scalar"])
def test_every_variant_gives_the_same_answer(page: Page, site: Site, variant: str) -> None:
    file = f"my_model.{variant}.wasm"
    change_manifest(site.folder / "webassembly_model", "my_model", {"variants": [{"name": variant, "file": file}]})
    chosen, test = open_page(page, site).evaluate(
        "async () => { const model = await loadModel(); return [model.variant, await model.selfTest()]; }"
    )
    assert chosen == variant
    assert test["passed"]
    assert test["maxError"] <= 1e-6
    assert f"/webassembly_model/{file}" in site.requests


@pytest.mark.parametrize("given", ["{ input: data }", "data", "model.createTensor([3, 10], data)", "rows"])
def test_the_batch_follows_from_what_is_given(page: Page, site: Site, given: str) -> None:
    x = golden_input((3, WIDTH), 5, -2.0, 2.0)
    shape, dtype, answer = open_page(page, site).evaluate(
        f"""async (rows) => {{
            const model = await loadModel();
            const data = Float32Array.from(rows.flat());
            const {{ output }} = await model.forward({given});
            return [output.shape, output.dtype, Array.from(await output.getData())];
        }}""",
        x.tolist(),
    )
    assert (shape, dtype) == ([3, 10], "float32")
    np.testing.assert_allclose(np.reshape(answer, (3, 10)), expected(x), atol=1e-6)


def test_nan_and_infinity_pass_through(page: Page, site: Site) -> None:
    answer = open_page(page, site).evaluate(
        """async () => {
            const model = await loadModel();
            const { output } = await model.forward([NaN, Infinity, -Infinity, 0, 0, 0, 0, 0, 0, 0]);
            return Array.from(output.data.slice(0, 3), String);
        }"""
    )
    signs = np.sign(tiny_weights(0)[0])
    assert answer == ["NaN"] + ["Infinity" if sign > 0 else "-Infinity" for sign in (signs[1], -signs[2])]


def test_overlapping_calls_get_their_own_answers(page: Page, site: Site) -> None:
    answers = open_page(page, site).evaluate(
        """async () => {
            const model = await loadModel();
            const shared = new Float32Array(10);
            const calls = Array.from({ length: 100 }, (_, i) => {
                shared.fill(i);  // reused at once: forward() must have taken its copy
                return model.forward({ input: shared });
            });
            const outputs = await Promise.all(calls);
            return outputs.map(({ output }) => output.toArray()[0]);
        }"""
    )
    x = np.repeat(np.arange(100, dtype=np.float32)[:, None], WIDTH, axis=1)
    np.testing.assert_allclose(answers, expected(x), rtol=1e-6, atol=1e-6)


def test_two_models_on_one_page_do_not_disturb_each_other(page: Page, site: Site) -> None:
    write_tiny_bundle(site.folder / "webassembly_model", "other", seed=1)
    first, second = open_page(page, site).evaluate(
        """async () => {
            const { loadModel: loadOther } = await import('./webassembly_model/other.js');
            const [one, two] = await Promise.all([loadModel(), loadOther()]);
            const ones = new Float32Array(10).fill(1);
            const answers = await Promise.all([one.forward(ones), two.forward(ones), one.forward(ones)]);
            return [answers[2].output.toArray()[0], answers[1].output.toArray()[0]];
        }"""
    )
    ones = np.ones(WIDTH, np.float32)
    np.testing.assert_allclose(first, expected(ones, seed=0), atol=1e-6)
    np.testing.assert_allclose(second, expected(ones, seed=1), atol=1e-6)


def test_outputs_are_copies_that_the_next_call_leaves_alone(page: Page, site: Site) -> None:
    same, own = open_page(page, site).evaluate(
        """async () => {
            const model = await loadModel();
            const { output } = await model.forward(new Float32Array(10).fill(1));
            const before = Array.from(output.data);
            await model.forward(new Float32Array(10).fill(9));
            return [before.every((value, i) => value === output.data[i]), output.data.buffer.byteLength];
        }"""
    )
    assert same
    assert own == WIDTH * 4


def test_a_self_test_notices_wrong_answers(page: Page, tiny_bundle: Path, serve: Serve) -> None:
    write_tiny_bundle(tiny_bundle, "my_model", golden_shift=0.25)
    test = open_page(page, serve(tiny_bundle.parent)).evaluate("async () => (await loadModel()).selfTest()")
    assert not test["passed"]
    assert 0.15 < test["maxError"] <= 0.2501
    assert [case["passed"] for case in test["cases"]] == [False]


def test_a_thousand_calls_grow_nothing(page: Page, site: Site) -> None:
    pages_before, pages_after = open_page(page, site).evaluate(
        """async () => {
            const memories = [];
            const { Memory } = WebAssembly;
            WebAssembly.Memory = function (...args) {
                memories.push(new Memory(...args));
                return memories[0];
            };
            const model = await loadModel();
            await model.warmup();
            const pages = () => memories.map(({ buffer }) => buffer.byteLength / 65536);
            const before = pages();
            for (let i = 0; i < 1000; i++) await model.forward(new Float32Array(80));
            return [before, pages()];
        }"""
    )
    assert pages_before == pages_after == [2]
