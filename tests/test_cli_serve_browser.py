"""Claims about live reload in a real browser, under the policy that the server sends."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from neurenix.server import ISOLATION_HEADERS, SITE_HEADERS, Changes, serve

pytest_plugins = ["browser"]
pytestmark = pytest.mark.browser

HEADERS = {**SITE_HEADERS, **ISOLATION_HEADERS}

# A worker that keeps the first page that it has seen for ever.
STUBBORN = """
addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => {
  if (event.request.mode !== "navigate") return;
  event.respondWith(caches.open("kept").then(async (cache) => {
    const kept = await cache.match(event.request);
    if (kept) return kept;
    const answer = await fetch(event.request);
    await cache.put(event.request, answer.clone());
    return answer;
  }));
});
"""
REGISTER = 'navigator.serviceWorker.register("worker.js");'


def write_page(folder: Path, words: str, script: str = "") -> None:
    (folder / "page.js").write_text(script, encoding="utf-8")
    page = (
        f'<!DOCTYPE html><html lang="en"><head><title>t</title><link rel="icon" href="data:,">{script and TAG}</head>'
    )
    (folder / "index.html").write_text(f"{page}<body><p>{words}</p></body></html>", encoding="utf-8")


TAG = '<script type="module" src="page.js"></script>'


def test_an_open_page_shows_what_has_changed_and_nothing_is_complained_of(page: Page, tmp_path: Path) -> None:
    changes = Changes()
    write_page(tmp_path, "first")
    with serve(tmp_path, headers=HEADERS, changes=changes) as server:
        page.goto(server.url)
        expect(page.locator("p")).to_have_text("first")
        assert page.evaluate("crossOriginIsolated")
        for words in ("second", "third"):
            page.evaluate("window.old = true")
            write_page(tmp_path, words)
            changes.notify()
            expect(page.locator("p")).to_have_text(words)
            assert page.evaluate("window.old === undefined")
        page.wait_for_timeout(700)  # a page that has just loaded does not load again
        page.evaluate("window.old = true")
        page.wait_for_timeout(700)
        assert page.evaluate("window.old")
        assert [] == page.complaints.errors  # type: ignore[attr-defined]


def test_a_worker_that_serves_offline_does_not_keep_the_old_page(page: Page, tmp_path: Path) -> None:
    changes = Changes()
    (tmp_path / "worker.js").write_text(STUBBORN, encoding="utf-8")
    write_page(tmp_path, "first", REGISTER)
    with serve(tmp_path, headers=HEADERS, changes=changes) as server:
        page.goto(server.url)
        page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        page.reload()
        page.reload()
        write_page(tmp_path, "second")
        page.reload()
        expect(page.locator("p")).to_have_text("first")  # the worker is as stubborn as it should be
        changes.notify()
        expect(page.locator("p")).to_have_text("second")
