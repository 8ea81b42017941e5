"""The service worker in Chromium, when a site changes: its versions come whole or not at all, and never mix."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from local_server import Handler, Site, broken, missing, truncated
from playwright.sync_api import Browser, Page
from site_versions import kept, make_version, open_and_keep, profile, shown, update, versions

from neurenix.site import SiteOptions

pytest_plugins = ["browser"]
pytestmark = pytest.mark.browser

__all__ = ["kept", "versions"]


def test_a_new_version_comes_whole_with_the_next_page_once_a_single_tab_is_left(
    versions: list[Path], serve: Callable[..., Site], chromium: Browser
) -> None:
    one, two, _ = versions
    site = serve(one, {"Cache-Control": "max-age=600"})  # as GitHub Pages: caches of their own come between
    with profile(chromium) as context:
        page = open_and_keep(context, site.url)
        page.reload()
        assert ("one",) * 4 == shown(page)
        other = context.new_page()
        other.goto(site.url)
        site.folder = two
        asked = len(site.requests)
        assert "installed" == update(page)
        assert "/same.txt" not in site.requests[asked:]  # what has not changed is not downloaded again
        assert "A new version of this site is ready" in page.inner_text("#neurenix-update")
        for tab in (page, other):
            tab.reload()
            assert ("one",) * 4 == shown(tab)
        other.close()
        page.reload()
        page.wait_for_selector("html[data-html=two]")
        assert ("two",) * 4 == shown(page)
        assert 1 == len(page.evaluate("caches.keys()"))
        assert page.locator("#neurenix-update").count() == 0


@pytest.mark.parametrize("fault", [missing, broken, truncated])
def test_an_incomplete_version_changes_nothing(
    kept: tuple[Site, Page], versions: list[Path], fault: Callable[[Handler, bytes], None]
) -> None:
    site, page = kept
    _, two, _ = versions
    site.folder = two
    site.fail("part.js", fault)
    assert "redundant" == update(page)
    page.reload()
    assert ("one",) * 4 == shown(page)
    assert 1 == len(page.evaluate("caches.keys()"))
    site.faults.clear()
    assert "installed" == update(page)
    page.reload()
    page.wait_for_selector("html[data-html=two]")
    assert ("two",) * 4 == shown(page)


@pytest.mark.parametrize("moment", range(6))
def test_versions_never_mix_whenever_a_site_is_replaced(
    kept: tuple[Site, Page], versions: list[Path], moment: int
) -> None:
    site, page = kept
    _, two, three = versions
    answered = 0

    def swap(handler: Handler, body: bytes) -> None:
        nonlocal answered
        answered += 1
        if answered > moment:
            site.folder = three
        handler.answer(body)

    site.folder = two
    # Every request counts: one for the worker, and one for each of four files that are others in every version.
    site.faults[""] = swap
    became = update(page)
    page.reload()
    parts = shown(page)
    assert 1 == len(set(parts)), f"after {moment} requests: {parts}"
    # The browser may look for a version by itself meanwhile: then the third is there at once.
    assert parts[0] in (("one", "three") if became == "redundant" else ("two", "three"))
    site.folder = three
    update(page)
    page.reload()
    page.wait_for_selector("html[data-html=three]")
    assert ("three",) * 4 == shown(page)


def test_nothing_is_loaded_while_one_version_takes_over_from_another(
    kept: tuple[Site, Page], versions: list[Path]
) -> None:
    # A navigation that Chromium hands to a worker that is about to end is never answered: one in forty hung for good.
    site, page = kept
    _, two, _ = versions
    site.folder = two
    assert "installed" == update(page)
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    page.add_init_script(
        """let found;
        navigator.serviceWorker.getRegistration().then((registration) => { found = registration; });
        navigation.addEventListener('navigate', () =>
            console.log(document.documentElement.dataset.state, Boolean(found?.waiting), found?.active.state));"""
    )
    page.reload()
    page.wait_for_selector("html[data-html=two]")
    assert ("two",) * 4 == shown(page)
    assert ["changing false activated"] == told


def test_a_version_that_does_not_take_over_keeps_nobody_out(
    kept: tuple[Site, Page], versions: list[Path], tmp_path: Path
) -> None:
    site, page = kept
    broken_two = Path(shutil.copytree(versions[1], tmp_path / "two"))
    worker = broken_two / "neurenix-worker.js"
    deaf = worker.read_text(encoding="utf-8").replace("if (event.data === 'take over') worker.skipWaiting();", "")
    worker.write_text(deaf, encoding="utf-8")
    site.folder = broken_two
    assert "installed" == update(page)
    page.clock.install()
    page.reload()
    page.wait_for_selector("html[data-state=changing]")
    page.clock.fast_forward(10_000)
    page.wait_for_selector("html[data-html=two]")
    assert ("two",) * 4 == shown(page)


def test_a_cleared_cache_is_no_reason_to_mix(kept: tuple[Site, Page], versions: list[Path]) -> None:
    site, page = kept
    _, two, _ = versions
    page.evaluate("caches.keys().then((names) => Promise.all(names.map((name) => caches.delete(name))))")
    page.reload()
    assert ("one",) * 4 == shown(page)
    site.folder = two
    found = page.evaluate("fetch('part.js').then((response) => response.text(), () => 'refused')")
    assert found in ("export const version = 'one';\n", "refused")


def test_a_site_that_is_no_longer_for_offline_use_takes_its_worker_away(
    kept: tuple[Site, Page], tmp_path: Path
) -> None:
    site, page = kept
    site.folder = make_version(tmp_path, "plain", SiteOptions(offline=False))
    page.evaluate("navigator.serviceWorker.ready.then((registration) => registration.update())")
    page.wait_for_timeout(500)
    page.goto(f"{site.url}/data.json")
    assert 0 == page.evaluate("navigator.serviceWorker.getRegistrations().then((all) => all.length)")
    assert [] == page.evaluate("caches.keys()")
