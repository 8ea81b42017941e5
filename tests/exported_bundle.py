"""Fixtures: the model of exported_model.py as a bundle. A test module takes them with `pytest_plugins`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from exported_model import NAME, cnn

from neurenix.wasm import export_to_wasm


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with native libraries. Tests that spoil it take `bundle`, a copy."""
    folder = tmp_path_factory.mktemp("session") / "bundle"
    inputs = {"image": "float32[batch, 1, 8, 8]"}
    export_to_wasm(cnn(), folder, NAME, inputs=inputs, dims={"batch": (1, 9)}, native=True)
    return folder


@pytest.fixture
def bundle(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "bundle"))
