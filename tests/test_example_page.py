"""Checks the example's built site in Chromium: it reads what a mouse draws, and keeps its promises."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from digits_strokes import STROKES, Stroke
from local_server import ISSUE_CSP
from PIL import Image, ImageDraw

pytest_plugins = ["browser"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]

APP = Path(__file__).parents[1] / "example-app"
PATIENCE = 10_000  # milliseconds


class Visit:
    """A page with everything that it complained about and everything that it asked for."""

    def __init__(self, context: Any, url: str) -> None:
        self.url = url
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def open(self, state: str = "ready") -> Visit:
        self.page.goto(self.url)
        return self.wait_for_state(state)

    def wait_for_state(self, state: str) -> Visit:
        self.page.locator(f"main[data-state='{state}']").wait_for()
        return self

    def text(self, selector: str) -> str:
        return str(self.page.locator(selector).text_content())

    def draw(self, strokes: list[Stroke], lift: bool = True) -> None:
        """Draw with the mouse. Without `lift` the button stays down at the end."""
        paper = self.page.locator("#paper").bounding_box()
        mouse = self.page.mouse
        for number, stroke in enumerate(strokes, 1):
            places = [(paper["x"] + x * paper["width"], paper["y"] + y * paper["height"]) for x, y in stroke]
            mouse.move(*places[0])
            mouse.down()
            for place in places[1:]:
                mouse.move(*place, steps=2)
            if lift or number < len(strokes):
                mouse.up()

    def wait_for_answer(self) -> str:
        """Return the big digit, once the pen has rested long enough for the answer to be announced."""
        announced = re.compile(r"(\d), \d+%$")
        text = ""

        def is_announced() -> bool:
            nonlocal text
            text = self.text("#announcement")
            return bool(announced.search(text))

        wait_until(self.page, is_announced)
        match = announced.search(text)
        assert match is not None
        assert self.text("#guess") == match[1]
        return match[1]

    def clear_by_keyboard(self) -> None:
        self.page.locator("#clear").focus()
        self.page.keyboard.press("Enter")


def wait_until(page: Any, condition: Callable[[], bool]) -> None:
    for _ in range(PATIENCE // 50):
        if condition():
            return
        page.wait_for_timeout(50)
    raise AssertionError("the page did not get there in time")


@pytest.fixture
def visit(chromium: Any, serve: Any, digits_site: Path) -> Iterator[Callable[..., Visit]]:
    """Make visits to the example's site, each in a fresh profile."""
    url = serve(digits_site, {"Content-Security-Policy": ISSUE_CSP, "Cache-Control": "no-store"}).url + "/"
    contexts = []

    def make(**options: Any) -> Visit:
        contexts.append(chromium.new_context(**options))
        return Visit(contexts[-1], url)

    yield make
    for context in contexts:
        context.close()


def test_digits_drawn_with_the_mouse_are_read(visit: Callable[..., Visit]) -> None:
    here = visit(viewport={"width": 1200, "height": 820}).open()
    read = {}
    for digit, strokes in STROKES.items():
        here.draw(strokes)
        read[digit] = here.wait_for_answer()
        here.clear_by_keyboard()
        assert here.text("#announcement") == "Cleared."
        wait_until(here.page, lambda: here.text("#guess") == "?")
    right = [digit for digit in STROKES if read[digit] == str(digit)]
    assert len(right) >= 9, read
    assert here.complaints == []


def test_the_bars_move_while_the_pen_is_down(visit: Callable[..., Visit]) -> None:
    here = visit().open()
    here.draw(STROKES[1], lift=False)
    wait_until(here.page, lambda: here.text("#guess") == "1")
    assert here.text("#bars .best .digit") == "1"
    assert here.text("#bars .best .value").endswith("%")
    assert here.text("#announcement") == ""
    here.page.mouse.up()
    assert here.wait_for_answer() == "1"


def test_undo_takes_back_one_stroke_by_keyboard(visit: Callable[..., Visit]) -> None:
    here = visit().open()
    here.draw(STROKES[5])
    assert here.wait_for_answer() == "5"
    here.page.keyboard.press("Control+z")  # the hat is gone, the belly still there
    assert here.page.locator("main").get_attribute("data-ink") == "true"
    here.page.locator("#undo").focus()
    here.page.keyboard.press("Space")
    assert here.page.locator("main").get_attribute("data-ink") == "false"
    wait_until(here.page, lambda: here.text("#guess") == "?")
    assert here.page.locator("#undo").get_attribute("aria-disabled") == "true"
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert here.page.evaluate(outline) == "solid", "the focus cannot be seen"


def test_a_finger_draws_and_does_not_scroll(visit: Callable[..., Visit]) -> None:
    here = visit(viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True).open()
    paper = here.page.locator("#paper").bounding_box()
    session = here.page.context.new_cdp_session(here.page)
    places = [{"x": paper["x"] + x * paper["width"], "y": paper["y"] + y * paper["height"]} for x, y in STROKES[1][0]]
    session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": places[:1]})
    for place in places[1:]:
        session.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [place]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert here.wait_for_answer() == "1"
    assert here.page.evaluate("scrollY") == 0
    assert here.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(visit: Callable[..., Visit], scheme: str) -> None:
    here = visit(viewport={"width": 360, "height": 780}, color_scheme=scheme).open()
    here.draw(STROKES[8])
    here.wait_for_answer()
    assert here.page.evaluate("document.documentElement.scrollWidth") <= 360
    assert here.complaints == []


def test_the_facts_are_shown_and_nothing_leaves_the_device(visit: Callable[..., Visit]) -> None:
    here = visit().open()
    loaded = len(here.requests)
    here.draw(STROKES[3])
    assert here.wait_for_answer() == "3"
    assert here.text("#backend").startswith("WebAssembly")
    assert re.fullmatch(r"(under )?\d+(\.\d)? ms", here.text("#duration"))
    downloaded = re.fullmatch(r"(\d+) kB", here.text("#downloaded"))
    assert downloaded is not None
    # More than the parameters alone (20,490 of four bytes), and not much more than code and page may add.
    assert 80 < int(downloaded[1]) < 500
    assert here.requests[loaded:] == []
    assert [url for url in here.requests if not url.startswith(here.url)] == []


def test_the_page_waits_visibly_and_a_drawing_made_meanwhile_is_read(visit: Callable[..., Visit]) -> None:
    here = visit()
    held: list[Any] = []
    here.page.route("**/digits.bin", lambda route: held.append(route))
    here.open("loading")
    wait_until(here.page, lambda: len(held) > 0)
    here.page.locator("#progress").wait_for()
    here.draw(STROKES[7])
    held.pop().continue_()
    here.wait_for_state("ready")
    wait_until(here.page, lambda: here.text("#guess") == "7")


def test_a_missing_file_is_an_error_that_retry_overcomes(visit: Callable[..., Visit]) -> None:
    here = visit()
    here.page.route("**/digits.bin", lambda route: route.fulfill(status=404, body="no"))
    here.open("error")
    assert here.text("#error-title") == "The model could not be loaded"
    assert here.text("#error-code") == "missing_file"
    assert "digits.bin" in here.text("#error-message")
    here.page.unroute("**/digits.bin")
    here.page.locator("#retry").press("Enter")
    here.wait_for_state("ready")
    here.draw(STROKES[0])
    assert here.wait_for_answer() == "0"


def test_a_missing_module_is_an_error_that_retry_overcomes(visit: Callable[..., Visit]) -> None:
    here = visit()
    here.page.route("**/digits.js", lambda route: route.fulfill(status=404, body="no"))
    here.open("error")
    assert "digits.js" in here.text("#error-message")
    here.page.unroute("**/digits.js")
    here.page.locator("#retry").press("Enter")
    here.wait_for_state("ready")


def test_the_page_and_python_prepare_digits_alike(visit: Callable[..., Visit], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(APP / "src"))
    from digits_app.preprocess import prepare  # the example is not installed where the tests run

    here = visit().open()
    prepare_there = """async (strokes) => {
        const { prepare } = await import('./preprocess.js');
        return Array.from(prepare(strokes.map((stroke) => stroke.map(([x, y]) => ({ x, y })))));
    }"""
    for digit, strokes in STROKES.items():
        theirs = np.array(here.page.evaluate(prepare_there, strokes))
        ours = prepare(picture_of(strokes)).ravel()
        likeness = float(np.corrcoef(theirs, ours)[0, 1])
        assert likeness > 0.85, f"{digit}: {likeness:.3f}"


def picture_of(strokes: list[Stroke], side: int = 300, width: int = 20) -> Image.Image:
    """Draw dark strokes with round ends on light paper."""
    picture = Image.new("L", (side, side), 240)
    pen = ImageDraw.Draw(picture)
    for stroke in strokes:
        places = [(x * side, y * side) for x, y in stroke]
        pen.line(places, fill=30, width=width, joint="curve")
        for x, y in places:
            pen.ellipse([x - width / 2, y - width / 2, x + width / 2, y + width / 2], fill=30)
    return picture
