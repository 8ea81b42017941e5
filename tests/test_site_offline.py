"""The service worker in Chromium: a site works without a network, isolates its pages, and keeps only what it should."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from local_server import Site
from playwright.sync_api import Browser, Page
from site_models import export_models, make_site
from site_versions import make_version, open_and_keep, profile, shown, versions

from neurenix.server import Changes
from neurenix.server import serve as serve_locally
from neurenix.site import SiteOptions
from neurenix.site.hosting import HEADERS

pytest_plugins = ["browser"]
pytestmark = pytest.mark.browser

__all__ = ["versions"]


@pytest.mark.zig
def test_after_one_visit_the_whole_site_works_without_a_network(
    tmp_path: Path, serve: Callable[..., Site], chromium: Browser
) -> None:
    models = [model for model in export_models(tmp_path) if model.name in ("flowers", "digits")]
    site = serve(make_site(models, tmp_path).directory, {**HEADERS, "Cache-Control": "no-cache"})
    with profile(chromium) as context:
        page = open_and_keep(context, f"{site.url}/models/flowers/index.html")
        page.wait_for_load_state("networkidle")  # a last question of the worker's may still be on its way
        context.set_offline(True)
        asked = len(site.requests)
        for address in ("/models/flowers/index.html", "/models/digits/", "/models/flowers"):
            page.goto(site.url + address)
            page.wait_for_selector("html[data-state=done]")
            page.click("#self-test")
            page.wait_for_selector("#verdict[data-passed=true]")
            assert page.evaluate("crossOriginIsolated")  # the headers are kept with the files
        page.reload()
        page.wait_for_selector("html[data-state=done]")
        assert "refused" == page.evaluate("fetch('/%ff').then(() => 'found', () => 'refused')")
        page.goto(f"{site.url}/")
        page.get_by_role("link", name="Try it (digits)").click()
        page.wait_for_selector("html[data-state=done]")
        assert asked == len(site.requests)


@pytest.mark.parametrize("offline", [True, False])
def test_the_worker_isolates_pages_where_the_host_sends_no_headers(
    tmp_path: Path, serve: Callable[..., Site], chromium: Browser, offline: bool
) -> None:
    folder = make_version(tmp_path, "one", SiteOptions("service-worker", offline))
    site = serve(folder, {"Cache-Control": "no-cache"})
    with profile(chromium) as context:
        page = context.new_page()
        loads: list[str] = []
        page.on("load", lambda tab: loads.append(tab.url))
        page.goto(site.url)
        page.wait_for_timeout(1500)
        assert page.evaluate("crossOriginIsolated")
        assert 2 == len(loads)  # once more, and never again
        assert ("one",) * 4 == shown(page)
        page.reload()
        assert page.evaluate("crossOriginIsolated")


def test_a_site_that_is_being_developed_is_not_kept(versions: list[Path], page: Page) -> None:
    with serve_locally(versions[0], changes=Changes()) as server:
        page.goto(server.url)
        assert ("one",) * 4 == shown(page)
        page.wait_for_timeout(300)
        assert 0 == page.evaluate("navigator.serviceWorker.getRegistrations().then((all) => all.length)")
    assert not page.complaints.errors  # type: ignore[attr-defined]


def test_without_a_secure_context_the_site_works_online(
    versions: list[Path], serve: Callable[..., Site], page: Page
) -> None:
    site = serve(versions[0])
    page.goto(site.plain_url())
    assert ("one",) * 4 == shown(page)
    assert not page.complaints.errors  # type: ignore[attr-defined]
