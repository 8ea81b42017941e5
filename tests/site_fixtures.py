"""A site of one model of each kind, served, and its pages opened: `pytest_plugins = ["browser", "site_fixtures"]`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from local_server import Site
from playwright.sync_api import Page
from site_models import export_models, make_site
from site_page import DONE

from neurenix.project.build_record import BuiltModel
from neurenix.site.hosting import HEADERS


@pytest.fixture(scope="session")
def page_models(tmp_path_factory: pytest.TempPathFactory) -> list[BuiltModel]:
    """One model of each kind."""
    return export_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def page_folder(page_models: list[BuiltModel], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of them."""
    return make_site(page_models, tmp_path_factory.mktemp("pages")).directory


@pytest.fixture
def page_site(page_folder: Path, serve: Callable[..., Site]) -> Site:
    return serve(page_folder, {**HEADERS, "Cache-Control": "no-store"})


@pytest.fixture
def visit(page_site: Site, page: Page) -> Iterator[Callable[[str], Page]]:
    """Open a model's page and wait for its first answer. In the end nothing was complained about."""

    def open_model(name: str) -> Page:
        page.goto(f"{page_site.url}/models/{name}/index.html")
        page.wait_for_selector(DONE)
        return page

    yield open_model
    assert not page.complaints.errors  # type: ignore[attr-defined]
