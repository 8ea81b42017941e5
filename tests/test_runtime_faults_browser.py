"""The JavaScript runtime in Chromium makes every wrong input and every fault of a server a typed error."""

from __future__ import annotations

from pathlib import Path

import local_server
import pytest
from local_server import Fault, Site
from playwright.sync_api import Page
from runtime_page import Serve, change, forward_error, load_error, open_page

pytest_plugins = ["browser", "runtime_fixtures"]
pytestmark = [pytest.mark.browser, pytest.mark.zig]

FILES = ["my_model.json", "my_model.01.bin", "my_model.relaxed.wasm"]


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
