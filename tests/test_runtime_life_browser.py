"""The JavaScript runtime in Chromium keeps its options, and survives what is aborted, disposed of or trapped."""

from __future__ import annotations

import local_server
import numpy as np
import pytest
from local_server import Site
from playwright.sync_api import Page
from runtime_page import change, complaints, expected, forward_error, load_error, open_page
from tiny_bundle import WIDTH

pytest_plugins = ["browser", "runtime_fixtures"]
pytestmark = [pytest.mark.browser, pytest.mark.zig]


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ("{ device: 'webgpu' }", "unsupported", ["WebGPU", "'auto'"]),
        ("{ device: 'webgp' }", "bad_input", ["'webgp'", "Did you mean 'webgpu'?"]),
        ("{ devise: 'webgpu' }", "bad_input", ["'devise'", "Did you mean 'device'?"]),
        ("'webgpu'", "bad_input", ["object", "webgpu"]),
        ("null", "bad_input", ["object", "null"]),
        ("{ onProgress: 3 }", "bad_input", ["onProgress", "function"]),
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
            const options = [{}, { threads: 4 }, { device: 'wasm', strict: true }];
            const models = await Promise.all(options.map((given) => loadModel(undefined, given)));
            return [models.map((model) => model.threads), models[0].device];
        }"""
    )
    assert (threads, device) == ([1, 1, 1], "wasm")
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
