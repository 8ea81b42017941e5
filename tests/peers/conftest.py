"""The comparisons with PyTorch: `make test-peers` installs it and runs them, `make test` leaves them out."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave these files unread where they are not asked for, so that nobody needs PyTorch, or waits for its import."""
    asked = str(config.option.markexpr)
    unwanted = "not peers" in asked or (importlib.util.find_spec("torch") is None and "peers" not in asked)
    return True if unwanted and collection_path.name.startswith("test_") else None
