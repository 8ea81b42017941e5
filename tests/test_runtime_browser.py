"""The JavaScript runtime in Chromium: right answers, every fault a typed error, and a strict policy kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import local_server
import numpy as np
import pytest
from local_server import ISSUE_CSP, Fault, Running, Site
from playwright.sync_api import Page
from tiny_bundle import WIDTH, change_manifest, golden_input, tiny_weights, write_tiny_bundle

from neurenix import load_model
from neurenix.nn import Linear, ReLU, Sequential
from neurenix.wasm import export_to_wasm

pytest_plugins = ["browser"]
pytestmark = [pytest.mark.browser, pytest.mark.zig]

Serve = Callable[..., Site]
OpenTab = Callable[[], AbstractContextManager[Page]]

SEED_PAGE = Path(__file__).parent / "seed" / "page.html"

# What every page of these tests offers: `attempt` turns an error into plain values that the test can compare.
SCRIPT = """
import { loadModel, NeurenixError } from './webassembly_model/my_model.js';
window.loadModel = loadModel;
window.detached = () => {
  const data = new Float32Array(10);
  structuredClone(data.buffer, { transfer: [data.buffer] });
  return data;
};
window.attempt = async (work) => {
  try {
    return { value: await work() };
  } catch (error) {
    const { name, code, message } = error;
    return { ours: error instanceof NeurenixError, name, code, message };
  }
};
document.documentElement.dataset.state = 'ready';
"""
PAGE = '<!doctype html><meta charset="utf-8"><title>Test</title><script type="module" src="page.js"></script>'

FILES = ["my_model.json", "my_model.01.bin", "my_model.relaxed.wasm"]


def open_page(page: Page, site: Site, *, url: str | None = None) -> Page:
    """Open a page beside the bundle that offers `loadModel` and `attempt`."""
    (site.folder / "index.html").write_text(PAGE, encoding="utf-8")
    (site.folder / "page.js").write_text(SCRIPT, encoding="utf-8")
    page.goto(url or site.url)
    page.wait_for_selector("html[data-state]")  # wait_for_function would need 'unsafe-eval'
    return page


def expected(x: np.ndarray[Any, Any], seed: int = 0) -> np.ndarray[Any, Any]:
    w, b = tiny_weights(seed)
    return x * w + b


@pytest.fixture
def site(tiny_bundle: Path, serve: Serve) -> Site:
    return serve(tiny_bundle.parent)


def change(site: Site, **values: Any) -> None:
    """Give keys of the served manifest other values, under right hashes."""
    change_manifest(site.folder / "webassembly_model", "my_model", values)


@pytest.fixture(scope="module")
def shared_page(open_tab: OpenTab, compiled_tiny_bundle: Path) -> Iterator[Page]:
    """One page for the tables of wrong calls, which change nothing."""
    running = Running(compiled_tiny_bundle.parent, {})
    with open_tab() as tab:
        yield open_page(tab, running.site)
    running.stop()


def complaints(page: Page) -> list[str]:
    return page.complaints.errors  # type: ignore[attr-defined, no-any-return]


def load_error(page: Page, options: str = "{}", path: str = "undefined") -> dict[str, Any]:
    """The error of a load that must fail."""
    result: dict[str, Any] = page.evaluate(f"attempt(() => loadModel({path}, {options}))")
    assert result.get("ours"), result
    assert result["name"] == "NeurenixError"
    return result


def forward_error(page: Page, inputs: str) -> dict[str, Any]:
    """The error of a call that must fail, on a model that then still answers."""
    result: dict[str, Any] = page.evaluate(
        f"""(async () => {{
            const model = await loadModel();
            const result = await attempt(() => model.forward({inputs}));
            await model.forward(new Float32Array(10));
            return result;
        }})()"""
    )
    assert result.get("ours"), result
    return result


# Right answers


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
            return Object.fromEntries(Object.keys(model).map((key) => [key, model[key]]));
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


# Wrong inputs


@pytest.mark.parametrize(
    ("inputs", "code", "words"),
    [
        (
            "{ input: new Float32Array(11) }",
            "bad_input",
            ["'input'", "[batch, 10]", "length 11", "multiple of 10"],
        ),
        ("{ input: new Float32Array(0) }", "bad_input", ["'input'", "length 0"]),
        (
            "{ input: new Float64Array(10) }",
            "bad_input",
            ["float32", "Float64Array", "Float32Array.from(data)"],
        ),
        ("{ input: new Float32Array(90) }", "bad_dims", ["'batch'", "9", "1 to 8"]),
        ("{ imput: new Float32Array(10) }", "bad_input", ["'imput'", "Did you mean 'input'?"]),
        ("{ input: new Float32Array(10), mask: 1 }", "bad_input", ["'mask'", "'input'"]),
        ("{}", "bad_input", ["'input'"]),
        ("{ input: null }", "bad_input", ["'input'"]),
        ("null", "bad_input", ["null", "'input'"]),
        ("undefined", "bad_input", ["undefined", "'input'"]),
        ("model.createTensor([10], new Float32Array(10))", "bad_input", ["[batch, 10]", "[10]"]),
        ("model.createTensor([2, 5], new Float32Array(10))", "bad_input", ["[batch, 10]", "[2, 5]"]),
        ("model.createTensor([2, 10], new Float32Array(10))", "bad_input", ["[2, 10]", "20", "10"]),
        ("model.createTensor([1, 10], new Int32Array(10))", "bad_input", ["int32", "float32"]),
        ("[[1, 2], [3]]", "bad_input", ["differ in length"]),
        ("[[1, 2, 3]]", "bad_input", ["[1, 3]"]),
        ("Array(10).fill('1')", "bad_input", ["value 0", '"1"', "float32"]),
        ("new DataView(new ArrayBuffer(40))", "bad_input", ["'input'", "DataView"]),
        ("detached()", "bad_input", ["length 0"]),
    ],
)
def test_a_wrong_input_is_refused_by_name(shared_page: Page, inputs: str, code: str, words: list[str]) -> None:
    error = forward_error(shared_page, inputs)
    assert error["code"] == code
    assert [word for word in words if word not in error["message"]] == [], error["message"]


# Faults of the server


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (local_server.missing, "missing_file"),
        (local_server.html, "missing_file"),
        (local_server.html_as_file, "missing_file"),
        (local_server.broken, "fetch_failed"),
        (local_server.closed, "fetch_failed"),
        (local_server.truncated, "fetch_failed"),
        (local_server.cut, "bad_integrity"),
        (local_server.longer, "bad_integrity"),
        (local_server.flipped, "bad_integrity"),
    ],
)
def test_every_fault_is_a_typed_error_and_a_retry_works(page: Page, site: Site, fault: Fault, code: str) -> None:
    open_page(page, site)
    for file in FILES:
        site.fail(file, fault)
        error = load_error(page)
        assert error["code"] == code, error
        assert file in error["message"]
        site.faults.clear()
        assert page.evaluate("async () => (await (await loadModel()).selfTest()).passed")


@pytest.mark.parametrize("file", FILES)
def test_a_stale_cached_file_is_fetched_again_past_the_cache(
    page: Page, tiny_bundle: Path, serve: Serve, file: str
) -> None:
    site = serve(tiny_bundle.parent, headers={"Cache-Control": "max-age=3600"})
    site.fail(file, local_server.flipped, times=1)
    test = open_page(page, site).evaluate("async () => (await loadModel()).selfTest()")
    assert test["passed"]
    assert site.requests.count(f"/webassembly_model/{file}") == 2


def test_a_manifest_of_another_format_is_refused(page: Page, site: Site) -> None:
    change(site, format=2)
    error = load_error(open_page(page, site))
    assert error["code"] == "bad_version"
    assert "format 2" in error["message"]


def test_code_of_another_plan_is_refused(page: Page, site: Site) -> None:
    change(site, abi=1)
    error = load_error(open_page(page, site))
    assert error["code"] == "bad_bundle"
    assert "plan" in error["message"]


def test_memory_that_cannot_be_had_is_named_in_bytes(page: Page, site: Site) -> None:
    open_page(page, site)
    page.evaluate("() => { WebAssembly.Memory = function () { throw new RangeError('no'); }; }")
    error = load_error(page)
    assert error["code"] == "out_of_memory"
    assert "131072 bytes" in error["message"]


# Where it runs


def test_the_strict_policy_is_kept_without_a_report(page: Page, tiny_bundle: Path, serve: Serve) -> None:
    site = serve(tiny_bundle.parent, headers={"Content-Security-Policy": ISSUE_CSP})
    open_page(page, site)
    # page.evaluate is not bound by the policy, and so proves nothing: the page's own script must do it.
    (site.folder / "page.js").write_text(
        SCRIPT + "loadModel().then((model) => model.selfTest())"
        ".then(({ passed }) => { document.documentElement.dataset.state = `passed: ${passed}`; });"
    )
    page.reload()
    page.wait_for_selector("html[data-state='passed: true']")
    assert complaints(page) == []


def test_a_policy_against_webassembly_is_named(page: Page, tiny_bundle: Path, serve: Serve) -> None:
    policy = ISSUE_CSP.replace(" 'wasm-unsafe-eval'", "")
    site = serve(tiny_bundle.parent, headers={"Content-Security-Policy": policy})
    error = load_error(open_page(page, site))
    assert error["code"] == "unsupported"
    assert "'wasm-unsafe-eval'" in error["message"]


def test_the_folder_can_be_moved_to_any_sub_path(page: Page, tiny_bundle: Path, serve: Serve) -> None:
    root = tiny_bundle.parents[1] / "moved"
    shutil.copytree(tiny_bundle.parent, root / "a" / "b c")
    site = serve(root)
    nested = Site(root / "a" / "b c", {}, f"{site.url}/a/b%20c/")
    open_page(page, nested)
    for path in (
        "undefined",
        "'webassembly_model'",
        "'./webassembly_model/'",
        "new URL('webassembly_model', location)",
    ):
        assert page.evaluate(f"async () => (await (await loadModel({path})).selfTest()).passed"), path
    outside = [path for path in site.requests if not path.startswith("/a/b c/") and path != "/favicon.ico"]
    assert outside == []


def test_a_path_that_is_wrong_is_a_missing_file(page: Page, site: Site) -> None:
    error = load_error(open_page(page, site), path="'elsewhere'")
    assert error["code"] == "missing_file"
    assert "/elsewhere/my_model.json" in error["message"]


@pytest.mark.parametrize("fault", [None, local_server.flipped])
def test_plain_http_is_verified_as_well(page: Page, site: Site, fault: Fault | None) -> None:
    if fault:
        site.fail("my_model.01.bin", fault)
    open_page(page, site, url=site.plain_url())
    assert page.evaluate("crypto.subtle === undefined")
    result = page.evaluate("attempt(async () => (await (await loadModel()).selfTest()).passed)")
    assert (result.get("value"), result.get("code")) == ((None, "bad_integrity") if fault else (True, None))


def test_a_worker_can_run_the_model(page: Page, site: Site) -> None:
    (site.folder / "worker.js").write_text(
        "import { loadModel } from './webassembly_model/my_model.js';\n"
        "const model = await loadModel('webassembly_model');\n"
        "postMessage(await model.selfTest());\n"
    )
    passed = open_page(page, site).evaluate(
        """() => new Promise((resolve, reject) => {
            const worker = new Worker('worker.js', { type: 'module' });
            worker.onmessage = ({ data }) => resolve(data.passed);
            worker.onerror = reject;
        })"""
    )
    assert passed


# Options


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ("{ device: 'webgpu' }", "unsupported", ["WebGPU", "'auto'"]),
        ("{ device: 'webgp' }", "bad_input", ["'webgp'", "Did you mean 'webgpu'?"]),
        ("{ threads: 0 }", "bad_input", ["threads", "0"]),
        ("{ threads: 2, strict: true }", "unsupported", ["threads"]),
        ("{ signal: AbortSignal.abort() }", "aborted", ["signal"]),
    ],
)
def test_options_that_cannot_be_met_are_refused(shared_page: Page, options: str, code: str, words: list[str]) -> None:
    error = load_error(shared_page, options)
    assert error["code"] == code
    assert [word for word in words if word not in error["message"]] == [], error["message"]


def test_threads_run_as_one_with_one_notice(page: Page, site: Site) -> None:
    change(site, threads={"requested": True}, device="webgpu")
    threads, device = open_page(page, site).evaluate(
        """async () => {
            const [one, two] = await Promise.all([loadModel(), loadModel(undefined, { threads: 4 })]);
            return [[one.threads, two.threads], one.device];
        }"""
    )
    assert (threads, device) == ([1, 1], "wasm")
    notices = page.complaints.notices  # type: ignore[attr-defined]
    assert len(notices) == 1
    assert "one" in notices[0]
    assert complaints(page) == []


def test_progress_ends_at_the_total(page: Page, site: Site) -> None:
    steps = open_page(page, site).evaluate(
        """async () => {
            const steps = [];
            await loadModel(undefined, { onProgress: (step) => steps.push(step) });
            return steps;
        }"""
    )
    loaded = [step["loaded"] for step in steps]
    sizes = [
        (site.folder / "webassembly_model" / f"my_model.{part}").stat().st_size
        for part in ("relaxed.wasm", "00.bin", "01.bin")
    ]
    assert loaded == sorted(loaded)
    assert {sum(sizes)} == {step["total"] for step in steps}
    assert sum(sizes) == loaded[-1]
    assert {"my_model.relaxed.wasm", "my_model.00.bin", "my_model.01.bin"} == {step["file"] for step in steps}


def test_a_stalled_download_can_be_aborted(page: Page, site: Site) -> None:
    open_page(page, site)
    site.fail("my_model.00.bin", local_server.stalled)
    error = page.evaluate(
        """() => {
            const control = new AbortController();
            setTimeout(() => control.abort(), 300);
            return attempt(() => loadModel(undefined, { signal: control.signal }));
        }"""
    )
    assert (error["ours"], error["code"]) == (True, "aborted")


# Life and death


def test_an_aborted_call_leaves_the_others_alone(page: Page, site: Site) -> None:
    results = open_page(page, site).evaluate(
        """async () => {
            const model = await loadModel();
            const control = new AbortController();
            const ones = new Float32Array(10).fill(1);
            const calls = [undefined, control.signal, undefined].map(
                (signal) => attempt(() => model.forward(ones, { signal })));
            control.abort();
            return (await Promise.all(calls)).map(({ value, code }) => code ?? value.output.shape.join('x'));
        }"""
    )
    assert results == ["1x10", "aborted", "1x10"]


def test_a_disposed_model_refuses_waiting_and_later_calls(page: Page, site: Site) -> None:
    codes = open_page(page, site).evaluate(
        """async () => {
            const model = await loadModel();
            const waiting = attempt(() => model.forward(new Float32Array(10)));
            model.dispose();
            model.dispose();
            const later = [
                () => model.forward(new Float32Array(10)), () => model.selfTest(), () => model.warmup(),
            ];
            return (await Promise.all([waiting, ...later.map(attempt)])).map(({ code }) => code);
        }"""
    )
    assert codes == ["disposed"] * 4


@pytest.mark.parametrize(("first", "refetched"), [(911, False), (912, True)])
def test_a_trap_is_typed_and_the_next_call_is_right(page: Page, site: Site, first: int, refetched: bool) -> None:
    open_page(page, site)
    results = page.evaluate(
        """async (first) => {
            const model = await loadModel();
            const input = (value) => { const data = new Float32Array(10); data[0] = value; return data; };
            await model.forward(input(1));
            const calls = [first, 914, 0].map((value) => attempt(() => model.forward(input(value))));
            const [trap, counter, zeros] = await Promise.all(calls);
            return [trap.code, counter.value.output.data[0], zeros.value.output.toArray()[0]];
        }""",
        first,
    )
    code, counter, answer = results
    assert code == "run_failed"
    assert counter == 8  # the code's own data is fresh as well: 7 at the start, one call since
    np.testing.assert_allclose(answer, expected(np.zeros(WIDTH, np.float32)), atol=1e-6)
    assert (2 if refetched else 1) == site.requests.count("/webassembly_model/my_model.00.bin")


def test_a_status_is_typed(page: Page, site: Site) -> None:
    error = forward_error(open_page(page, site), "Float32Array.of(913, 0, 0, 0, 0, 0, 0, 0, 0, 0)")
    assert error["code"] == "run_failed"
    assert "status 3" in error["message"]
