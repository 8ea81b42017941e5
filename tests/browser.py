"""Fixtures for tests in a real browser: a small bundle, a local server that can fail, Chromium, a page.

A test module uses them with `pytest_plugins = ["browser"]`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from local_server import PLAIN_HOST, Running, Site
from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright, sync_playwright
from tiny_bundle import write_tiny_bundle

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--use-fake-device-for-media-stream",  # a camera and a microphone of test patterns, which pages may be granted
    f"--host-resolver-rules=MAP {PLAIN_HOST} 127.0.0.1",
)


@pytest.fixture
def serve() -> Iterator[Callable[..., Site]]:
    """Serve a folder on a free port: `serve(folder, headers={...})` gives a Site."""
    running: list[Running] = []

    def start(folder: Path, headers: dict[str, str] | None = None) -> Site:
        running.append(Running(Path(folder), {"Cache-Control": "no-store"} if headers is None else headers))
        return running[-1].site

    yield start
    for server in running:
        server.stop()


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    """The one Playwright that a process may have."""
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    """One Chromium for the session."""
    browser = launch(playwright, FLAGS)
    yield browser
    browser.close()


def launch(playwright: Playwright, flags: Sequence[str], **options: Any) -> Browser:
    """Start a Chromium: NEURENIX_CHROMIUM, the system's, or Playwright's own."""
    named = os.environ.get("NEURENIX_CHROMIUM")
    system = Path("/usr/bin/chromium")
    executable = named or (str(system) if system.exists() else None)
    if not Path(executable or playwright.chromium.executable_path).exists():
        pytest.fail(
            "There is no Chromium for the browser tests: `make test` installs it, "
            "or set NEURENIX_CHROMIUM to the path of one."
        )
    return playwright.chromium.launch(executable_path=executable, args=list(flags), **options)


@dataclass
class Complaints:
    """What a page said that nobody wants to hear: errors, warnings, policy reports. And its notices."""

    errors: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def hear(self, message: ConsoleMessage) -> None:
        (self.errors if message.type in ("error", "warning") else self.notices).append(message.text)


REPORT_VIOLATIONS = """addEventListener('securitypolicyviolation', (event) =>
  console.error(`CSP: ${event.effectiveDirective} blocked ${event.blockedURI}`))"""


@contextmanager
def new_tab(chromium: Browser) -> Iterator[Page]:
    """Open a page in a context of its own. `page.complaints` collects what its console says."""
    context = chromium.new_context()
    context.add_init_script(REPORT_VIOLATIONS)
    tab = context.new_page()
    tab.set_default_timeout(20_000)
    complaints = Complaints()
    tab.on("console", complaints.hear)
    tab.on("pageerror", lambda error: complaints.errors.append(str(error)))
    tab.complaints = complaints  # type: ignore[attr-defined]
    try:
        yield tab
    finally:
        context.close()


@pytest.fixture(scope="session")
def open_tab(chromium: Browser) -> Callable[[], AbstractContextManager[Page]]:
    """Open a page for as long as one likes: `with open_tab() as page:`."""
    return partial(new_tab, chromium)


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page for this test alone."""
    with new_tab(chromium) as tab:
        yield tab


@pytest.fixture(scope="session")
def compiled_tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle, compiled once. Tests take `tiny_bundle`, a copy of their own."""
    folder = tmp_path_factory.mktemp("tiny") / "webassembly_model"
    write_tiny_bundle(folder, "my_model")
    return folder


@pytest.fixture
def tiny_bundle(compiled_tiny_bundle: Path, tmp_path: Path) -> Path:
    """A copy of the tiny bundle to serve and to spoil: `site/webassembly_model`, the model `my_model`."""
    return Path(shutil.copytree(compiled_tiny_bundle, tmp_path / "site" / "webassembly_model"))
