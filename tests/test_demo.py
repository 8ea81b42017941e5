"""The page of demo=True in Chromium: it answers as Python does, shows its errors, and keeps the policy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from local_server import ISSUE_CSP, Site
from playwright.sync_api import Page

import neurenix
from neurenix import load_model
from neurenix.nn import Conv2d, Flatten, Linear, ReLU, Sequential, Softmax
from neurenix.wasm import export_to_wasm

pytest_plugins = ["browser"]
pytestmark = [pytest.mark.browser, pytest.mark.zig]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of small images, with its page."""
    out = tmp_path_factory.mktemp("demo")
    neurenix.manual_seed(0)
    model = Sequential(Conv2d(1, 6, 3), ReLU(), Flatten(), Linear(6 * 64, 4), Softmax())
    labels = ("north", "east", "south", "west")
    export_to_wasm(model, out, "cnn", inputs={"image": "float32[n, 1, 10, 10]"}, labels=labels, demo=True)
    return out


@pytest.fixture
def demo(folder: Path, serve: Callable[..., Site], page: Page) -> Page:
    """The demo page of the model `cnn`, under the policy that a bundle runs under, after its first answer."""
    site = serve(folder, {"Content-Security-Policy": ISSUE_CSP, "Cache-Control": "no-store"})
    page.goto(site.url)
    page.wait_for_selector("html[data-state=done]")
    return page


def test_the_page_answers_what_is_typed_as_python_does(demo: Page, folder: Path) -> None:
    assert demo.title() == "cnn"
    values = np.linspace(-1, 1, 100, dtype=np.float32).round(3)
    demo.get_by_label("Give it as").select_option("values")
    demo.get_by_label("image", exact=True).fill(" ".join(map(str, values.tolist())))
    demo.keyboard.press("Control+Enter")
    demo.wait_for_selector("html[data-state=done]")
    demo.wait_for_timeout(100)
    expected = load_model(folder / "cnn.json").forward(values.reshape(1, 1, 10, 10))["output"][0]
    rows = demo.locator("#output-output .bars li")
    assert rows.locator(".label").all_inner_texts() == ["north", "east", "south", "west"]
    shown = [float(text.removesuffix(" %")) / 100 for text in rows.locator(".value").all_inner_texts()]
    np.testing.assert_allclose(shown, expected, rtol=0, atol=0.00051)
    best = demo.locator("#output-output .best .label").inner_text()
    assert ["north", "east", "south", "west"][int(expected.argmax())] == best
    assert demo.locator("#facts").inner_text().startswith("wasm · relaxed · 1 thread · ")
    assert not demo.complaints.errors  # type: ignore[attr-defined]


def test_the_pages_buttons_fill_the_field_and_dims_change_its_size(demo: Page) -> None:
    demo.get_by_label("Give it as").select_option("values")
    demo.get_by_role("button", name="Zeros: image").click()
    assert demo.input_value("#input-image-values") == ", ".join(["0"] * 100)
    demo.fill("#dim-n", "2")
    demo.keyboard.press("Tab")
    assert demo.inner_text("#input-image-count") == "200 values"
    demo.get_by_label("image", exact=True).fill("1 2 3")
    assert demo.inner_text("#input-image-count") == "3 of 200 values"
    demo.click("text=Random")
    assert demo.inner_text("#input-image-count") == "200 values"
    demo.click("#run")
    demo.wait_for_selector("html[data-state=done] #output-output .bars + .bars")
    assert not demo.complaints.errors  # type: ignore[attr-defined]


@pytest.mark.parametrize(("typed", "text"), [("1 2 x", "“x” is no number"), ("1 2 3", "[1, 1, 10, 10] takes 100")])
def test_the_page_shows_an_error_and_recovers(demo: Page, typed: str, text: str) -> None:
    demo.get_by_label("Give it as").select_option("values")
    demo.get_by_label("image", exact=True).fill(typed)
    demo.click("#run")
    demo.wait_for_selector("html[data-state=error]")
    problem = demo.get_by_role("alert").inner_text()
    assert problem.startswith("bad_input") and text in problem
    demo.click("text=Random")
    demo.click("#run")
    demo.wait_for_selector("html[data-state=done]")
    assert not demo.is_visible("#problem")


def test_the_page_says_when_its_model_cannot_be_loaded(folder: Path, serve: Callable[..., Site], page: Page) -> None:
    site = serve(folder, {"Content-Security-Policy": ISSUE_CSP})
    site.fail("cnn.bin", lambda handler, body: handler.answer(body[:-1] + b"?"))
    page.goto(site.url)
    page.wait_for_selector("html[data-state=error]")
    assert page.get_by_role("alert").inner_text().startswith("bad_integrity")


def test_the_page_fits_a_phone(demo: Page) -> None:
    demo.set_viewport_size({"width": 320, "height": 640})
    assert demo.evaluate("document.documentElement.scrollWidth") <= 320
