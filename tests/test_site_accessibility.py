"""The generated pages in Chromium, for everyone: by keyboard, by reader, on a phone, from right to left."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from accessibility import violations
from local_server import Site
from playwright.sync_api import Browser, Page, expect
from site_page import DONE, MODELS

pytest_plugins = ["browser", "site_fixtures"]
pytestmark = [pytest.mark.browser, pytest.mark.zig]


@pytest.mark.parametrize("name", MODELS)
def test_every_control_has_a_label_and_the_keyboard_reaches_it(visit: Callable[[str], Page], name: str) -> None:
    page = visit(name)
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll('button, input, select, textarea, a, summary, canvas, dialog, progress')]
            .filter((element) => !(element.labels?.length || element.ariaLabel || element.textContent.trim()))
            .map((element) => element.outerHTML)"""
    )
    assert [] == unnamed
    wanted = page.evaluate(
        """() => [...document.querySelectorAll('button, input, select, textarea, a, summary')]
            .filter((element) => element.checkVisibility() && element.type !== 'file').length"""
    )
    reached = []
    for _ in range(wanted + 3):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                """() => {
                    const all = [...document.querySelectorAll('button, input, select, textarea, a, summary')];
                    const now = document.activeElement;
                    const { outlineStyle, outlineWidth } = getComputedStyle(now);
                    return [all.indexOf(now), outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2];
                }"""
            )
        )
    controls = [index for index, _ in reached if index >= 0]
    assert wanted == len(set(controls))
    assert sorted(set(controls)) == list(dict.fromkeys(controls))  # in the order of the page
    assert all(outlined for index, outlined in reached if index >= 0)
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(({ id }) => id)")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", ["", *MODELS])
def test_a_page_fits_a_phone_in_both_schemes(page_site: Site, chromium: Browser, name: str) -> None:
    for scheme in ("light", "dark"):
        context = chromium.new_context(viewport={"width": 360, "height": 740}, color_scheme=scheme, has_touch=True)  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(f"{page_site.url}/models/{name}/index.html" if name else f"{page_site.url}/index.html")
        page.wait_for_selector(DONE if name else "h1")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        small = page.evaluate(
            """() => [...document.querySelectorAll('button, select, .button, textarea')]
                .filter((element) => element.checkVisibility() && element.getBoundingClientRect().height < 40)
                .map((element) => element.outerHTML)"""
        )
        assert [] == small
        page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
        assert [] == violations(page)
        context.close()


def test_what_is_wrong_or_no_answer_is_shown_as_well_on_a_phone(page_site: Site, chromium: Browser) -> None:
    for scheme in ("light", "dark"):
        context = chromium.new_context(viewport={"width": 360, "height": 740}, color_scheme=scheme)  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(f"{page_site.url}/models/flowers/index.html")
        page.wait_for_selector(DONE)
        page.get_by_label("petal width (cm)").fill("")
        page.click("#run")
        page.wait_for_selector("html[data-state=error]")
        expect(page.locator("#problem")).to_be_in_viewport()
        expect(page.get_by_label("petal width (cm)")).to_be_focused()
        assert page.get_by_text("This answer is to what was given before.").is_visible()
        assert [] == violations(page)
        page.get_by_label("petal width (cm)").fill("1")
        page.click("#run")
        page.wait_for_selector(DONE)
        expect(page.locator("#answers .number")).to_be_in_viewport()
        context.close()


def test_a_name_from_right_to_left_turns_nothing_around_it(visit: Callable[[str], Page]) -> None:
    page = visit("flowers")
    share = page.evaluate(
        """() => {
            const [label, share] = document.querySelectorAll('#answers .number > *');
            label.textContent = 'مريض';
            const range = document.createRange();
            range.selectNodeContents(share);
            const pieces = [...range.getClientRects()];
            return { pieces: pieces.length, after: pieces[0].left - label.getBoundingClientRect().right };
        }"""
    )
    assert 1 == share["pieces"]
    assert share["after"] >= 0
