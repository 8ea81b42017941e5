"""The JavaScript runtime in Chromium runs under strict policies, at any path, without https and in a worker."""

from __future__ import annotations

import shutil
from pathlib import Path

import local_server
import pytest
from local_server import ISSUE_CSP, Fault, Site
from playwright.sync_api import Page
from runtime_page import SCRIPT, Serve, complaints, load_error, open_page

pytest_plugins = ["browser", "runtime_fixtures"]
pytestmark = [pytest.mark.browser, pytest.mark.zig]


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
