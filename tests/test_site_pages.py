"""The generated pages in Chromium: what they say, and that whatever goes wrong is an error with a way out."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from accessibility import violations
from local_server import Site, closed, stalled
from playwright.sync_api import Page
from site_models import MARKUP
from site_page import DONE

from neurenix.site.hosting import HEADERS

pytest_plugins = ["browser", "site_fixtures"]
pytestmark = [pytest.mark.browser, pytest.mark.zig]

BRIEF_CSP = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'"


def test_the_page_says_where_it_runs_how_long_it_took_and_that_it_is_right(visit: Callable[[str], Page]) -> None:
    page = visit("flowers")
    assert re.fullmatch(r"wasm · scalar · 1 thread · [\d.]+ ms", page.inner_text("#facts"))
    page.click("#self-test")
    page.wait_for_selector("#verdict[data-passed=true]")
    assert re.search(
        r"Passed on this device: \d cases?, largest error .+, allowed 0.0001\.", page.inner_text("#verdict")
    )


def test_a_hostile_name_is_shown_and_never_obeyed(page_site: Site, page: Page) -> None:
    said: list[str] = []
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    for path in ("/index.html", "/models/flowers/index.html"):
        page.goto(page_site.url + path)
        page.wait_for_timeout(300)
        assert page.locator("img, main i").count() == 0
        assert MARKUP in page.locator("body").inner_text()
    assert not said
    assert not page.complaints.errors  # type: ignore[attr-defined]


def test_a_model_that_cannot_be_loaded_is_an_error_with_a_way_out(page_site: Site, page: Page) -> None:
    page_site.fail("digits.bin", lambda handler, body: handler.answer(body[:-1] + b"?"))
    page.goto(f"{page_site.url}/models/digits/index.html")
    page.wait_for_selector("html[data-state=error]")
    alert = page.get_by_role("alert").inner_text()
    assert alert.startswith("bad_integrity") and "Upload the whole folder again" in alert
    del page_site.faults["digits.bin"]
    page.click("text=Try again")
    page.wait_for_selector(DONE)


@pytest.mark.parametrize("lost", ["neurenix-site/demo.js", "demo/answers.js", "digits/digits.js"])
def test_a_script_that_does_not_arrive_is_an_error_with_a_way_out(page_site: Site, page: Page, lost: str) -> None:
    page_site.fail(lost, closed)
    page.goto(f"{page_site.url}/models/digits/index.html")
    page.wait_for_selector("html[data-state=error]")
    assert re.match(
        r"fetch_failed (A script of this page|digits\.js) could not be loaded\.", page.inner_text("#problem")
    )
    assert not page.is_visible("#loading")
    assert [] == violations(page)
    page_site.faults.clear()
    page.click("text=Try again")
    page.wait_for_selector(DONE)


def test_a_model_that_takes_long_to_load_says_how_far_it_is(page_site: Site, page: Page) -> None:
    page_site.fail("digits.bin", stalled)
    page.goto(f"{page_site.url}/models/digits/index.html")
    page.get_by_text(re.compile(r"Loading the model: 0\.\d of 0\.\d MB")).wait_for()
    assert [] == violations(page)


def test_the_pages_keep_a_strict_policy_of_another_wording(
    page_folder: Path, serve: Callable[..., Site], page: Page
) -> None:
    site = serve(page_folder, {"Content-Security-Policy": BRIEF_CSP, "Cache-Control": "no-store"})
    for path in ("/index.html", "/models/digits/index.html", "/models/flowers/index.html"):
        page.goto(site.url + path)
        page.wait_for_selector(DONE if "models" in path else "h1")
    assert not page.complaints.errors  # type: ignore[attr-defined]


def test_the_site_works_below_any_path(page_folder: Path, serve: Callable[..., Site], page: Page) -> None:
    inside = serve(page_folder.parent, {**HEADERS, "Cache-Control": "no-store"})
    page.goto(f"{inside.url}/site/")
    page.get_by_role("link", name="Try it (flowers)").click()
    page.wait_for_selector(DONE)
    page.get_by_role("link", name="All models").click()
    page.wait_for_url("**/site/index.html")
    assert all(request.startswith("/site") or request == "/favicon.ico" for request in inside.requests)
    assert not page.complaints.errors  # type: ignore[attr-defined]


def test_a_page_opened_as_a_file_says_what_to_do(page_folder: Path, page: Page) -> None:
    page.goto((page_folder / "models" / "digits" / "index.html").as_uri())
    page.wait_for_selector("html[data-place=file]")
    assert "neurenix serve FOLDER" in page.inner_text("#as-file")
    page.goto((page_folder / "index.html").as_uri())
    assert page.get_by_role("link", name="Try it (digits)").is_visible()
