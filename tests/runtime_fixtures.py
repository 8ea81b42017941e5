"""Fixtures of the tests of the JavaScript runtime: `pytest_plugins = ["browser", "runtime_fixtures"]` gives them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from local_server import Running, Site
from playwright.sync_api import Page
from runtime_page import OpenTab, Serve, open_page


@pytest.fixture
def site(tiny_bundle: Path, serve: Serve) -> Site:
    return serve(tiny_bundle.parent)


@pytest.fixture(scope="module")
def shared_page(open_tab: OpenTab, compiled_tiny_bundle: Path) -> Iterator[Page]:
    """One page for the tables of wrong calls, which change nothing."""
    running = Running(compiled_tiny_bundle.parent, {})
    with open_tab() as tab:
        yield open_page(tab, running.site)
    running.stop()
