"""Fixtures for tests by real builds: `pytest_plugins = ["scratch_fixtures"]` gives them to a module."""

from __future__ import annotations

from pathlib import Path

import pytest
from scratch_project import Project, make_project, make_shared


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the projects of a module share: the plugin as if installed, and a build cache."""
    return make_shared(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def project(tmp_path: Path, shared: Path) -> Project:
    return make_project(tmp_path / "project", shared, shared / "cache")


@pytest.fixture
def fresh(tmp_path: Path, shared: Path) -> Project:
    """A project with a cache of its own, to count what is trained and compiled."""
    return make_project(tmp_path / "project", shared, tmp_path / "cache")
