"""Sites of pages alone in several versions, and what a test does with one that a service worker keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from local_server import Site
from playwright.sync_api import Browser, BrowserContext, Page
from site_models import PROJECT

from neurenix.site import SiteOptions, build_site

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


@pytest.fixture
def kept(versions: list[Path], serve: Callable[..., Site], chromium: Browser) -> Iterator[tuple[Site, Page]]:
    """The first version, served, and a page of it in a new profile, answered by the worker that keeps the site."""
    site = serve(versions[0], {"Cache-Control": "no-cache"})
    with profile(chromium) as context:
        page = open_and_keep(context, site.url)
        page.reload()
        yield site, page


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
