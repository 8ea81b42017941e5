"""The service worker in Chromium: works without a network, changes versions whole or not at all, isolates pages."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from local_server import Handler, Site, broken, missing, truncated
from playwright.sync_api import Browser, BrowserContext, Page
from site_models import PROJECT, export_models, make_site

from neurenix.server import Changes
from neurenix.server import serve as serve_locally
from neurenix.site import SiteOptions, build_site
from neurenix.site.hosting import HEADERS

pytest_plugins = ["browser"]
pytestmark = pytest.mark.browser

PAGE = """<!doctype html><html lang="en" data-html="{version}"><title>Mine</title>
<link rel="icon" href="data:,"><header></header>
<script type="module" src="neurenix-site/offline.js"></script><script type="module" src="app.js"></script>"""
# What a page of one version puts together from three files, the last of them later.
APP = """
import {{ version }} from './part.js';
const {{ dataset }} = document.documentElement;
const data = await (await fetch('data.json')).json();
Object.assign(dataset, {{ app: '{version}', part: version, data: data.version, state: 'done' }});
"""
Whole = tuple[str, ...]


def make_version(folder: Path, version: str, options: SiteOptions | None = None) -> Path:
    """Build a site of pages alone, all of one version."""
    web = folder / f"web-{version}"
    web.mkdir(parents=True, exist_ok=True)
    (web / "index.html").write_text(PAGE.format(version=version), encoding="utf-8")
    (web / "app.js").write_text(APP.format(version=version), encoding="utf-8")
    (web / "part.js").write_text(f"export const version = '{version}';\n", encoding="utf-8")
    (web / "data.json").write_text(f'{{"version": "{version}"}}\n', encoding="utf-8")
    (web / "same.txt").write_text("in every version\n", encoding="utf-8")
    return build_site([], web, folder, folder / f"site-{version}", PROJECT, options).directory


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three versions of a site."""
    folder = tmp_path_factory.mktemp("versions")
    return [make_version(folder, version) for version in ("one", "two", "three")]


@contextmanager
def profile(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context()
    context.set_default_timeout(20_000)
    try:
        yield context
    finally:
        context.close()


def shown(page: Page) -> Whole:
    """Which version each part of the page is of."""
    page.wait_for_selector("html[data-state=done]")
    data = page.evaluate("({...document.documentElement.dataset})")
    return data["html"], data["app"], data["part"], data["data"]


def open_and_keep(context: BrowserContext, url: str) -> Page:
    """Visit a site and wait until it is kept whole."""
    page = context.new_page()
    page.goto(url)
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    return page


def update(page: Page) -> str:
    """Look for a newer version, as the browser does from time to time; return what became of it."""
    found: str = page.evaluate(
        """async () => {
            const registration = await navigator.serviceWorker.ready;
            await registration.update();
            const coming = registration.installing;
            if (coming) {
                await new Promise((resolve) => coming.addEventListener('statechange', () => {
                    if (coming.state !== 'installing') resolve();
                }));
            }
            return (coming ?? registration.waiting)?.state ?? 'none';
        }"""
    )
    return found


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
    versions: list[Path],
    serve: Callable[..., Site],
    chromium: Browser,
    fault: Callable[[Handler, bytes], None],
) -> None:
    one, two, _ = versions
    site = serve(one, {"Cache-Control": "no-cache"})
    with profile(chromium) as context:
        page = open_and_keep(context, site.url)
        page.reload()
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
    versions: list[Path], serve: Callable[..., Site], chromium: Browser, moment: int
) -> None:
    one, two, three = versions
    site = serve(one, {"Cache-Control": "no-cache"})
    answered = 0

    def swap(handler: Handler, body: bytes) -> None:
        nonlocal answered
        answered += 1
        if answered > moment:
            site.folder = three
        handler.answer(body)

    with profile(chromium) as context:
        page = open_and_keep(context, site.url)
        page.reload()
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
    versions: list[Path], serve: Callable[..., Site], chromium: Browser
) -> None:
    # A navigation that Chromium hands to a worker that is about to end is never answered: one in forty hung for good.
    one, two, _ = versions
    site = serve(one, {"Cache-Control": "no-cache"})
    with profile(chromium) as context:
        page = open_and_keep(context, site.url)
        page.reload()
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
    versions: list[Path], tmp_path: Path, serve: Callable[..., Site], chromium: Browser
) -> None:
    one, two, _ = versions
    broken_two = Path(shutil.copytree(two, tmp_path / "two"))
    worker = broken_two / "neurenix-worker.js"
    deaf = worker.read_text(encoding="utf-8").replace("if (event.data === 'take over') worker.skipWaiting();", "")
    worker.write_text(deaf, encoding="utf-8")
    site = serve(one, {"Cache-Control": "no-cache"})
    with profile(chromium) as context:
        page = open_and_keep(context, site.url)
        page.reload()
        site.folder = broken_two
        assert "installed" == update(page)
        page.clock.install()
        page.reload()
        page.wait_for_selector("html[data-state=changing]")
        page.clock.fast_forward(10_000)
        page.wait_for_selector("html[data-html=two]")
        assert ("two",) * 4 == shown(page)


def test_a_cleared_cache_is_no_reason_to_mix(
    versions: list[Path], serve: Callable[..., Site], chromium: Browser
) -> None:
    one, two, _ = versions
    site = serve(one, {"Cache-Control": "no-cache"})
    with profile(chromium) as context:
        page = open_and_keep(context, site.url)
        page.reload()
        page.evaluate("caches.keys().then((names) => Promise.all(names.map((name) => caches.delete(name))))")
        page.reload()
        assert ("one",) * 4 == shown(page)
        site.folder = two
        found = page.evaluate("fetch('part.js').then((response) => response.text(), () => 'refused')")
        assert found in ("export const version = 'one';\n", "refused")


def test_a_site_that_is_no_longer_for_offline_use_takes_its_worker_away(
    versions: list[Path], tmp_path: Path, serve: Callable[..., Site], chromium: Browser
) -> None:
    site = serve(versions[0], {"Cache-Control": "no-cache"})
    with profile(chromium) as context:
        page = open_and_keep(context, site.url)
        page.reload()
        site.folder = make_version(tmp_path, "plain", SiteOptions(offline=False))
        page.evaluate("navigator.serviceWorker.ready.then((registration) => registration.update())")
        page.wait_for_timeout(500)
        page.goto(f"{site.url}/data.json")
        assert 0 == page.evaluate("navigator.serviceWorker.getRegistrations().then((all) => all.length)")
        assert [] == page.evaluate("caches.keys()")


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
