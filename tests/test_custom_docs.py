"""Claims of docs/custom-kernels.md: every example on the page runs as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from custom_ops import no_custom_ops

from neurenix import load_model, ops
from neurenix.config import load_config
from neurenix.custom import registered_ops, unregister_op
from neurenix.errors import VerificationError
from neurenix.project.pipeline import build_models

__all__ = ["no_custom_ops"]

PAGE = Path(__file__).resolve().parent.parent / "docs" / "custom-kernels.md"
FILES = {name: text for text, name in re.findall(r"```\w+\n((?://|#) (\S+\.\w+)\n.*?)```", PAGE.read_text(), re.S)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def run(folder: Path, script: str) -> str:
    """Run a script of the page; return what it prints."""
    root = str(PAGE.parent.parent)
    path = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    # Mesa, which the shader runs on, complains where there is no such folder.
    environment = {**os.environ, "PYTHONPATH": path, "XDG_RUNTIME_DIR": str(folder)}
    command = [sys.executable, "-W", "error", script]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout


def test_the_page_has_an_example_of_each_kind() -> None:
    expected = {
        "soft_clip.c", "soft_clip.py", "row_scale.zig", "row_scale.py", "model.py", "from_onnx.py", "pyproject.toml",
        "oracles.py", "hard_clip.c", "row_energy.py", "row_energy.c", "row_energy.wgsl",
    }  # fmt: skip
    assert expected == FILES.keys()


@pytest.mark.zig
def test_the_kernel_in_c(folder: Path) -> None:
    eager, error = run(folder, "soft_clip.py").splitlines()
    assert "Tensor([0.4898, 1.9732])" == eager
    assert float(error) < 1e-5


@pytest.mark.zig
def test_the_kernel_in_zig(folder: Path) -> None:
    assert float(run(folder, "row_scale.py")) < 1e-5


@pytest.mark.gpu
@pytest.mark.zig
def test_the_shader_in_wgsl(folder: Path) -> None:
    assert float(run(folder, "row_energy.py")) < 1e-5


@pytest.mark.zig
def test_the_model_with_both(folder: Path) -> None:
    assert run(folder, "model.py").startswith("{'output': array([[")


@pytest.mark.zig
def test_the_onnx_model_and_the_project_that_loads_it(folder: Path) -> None:
    assert "0.4820138" in run(folder, "from_onnx.py")  # tanh(2) / 2

    built = build_models(load_config(folder), folder, cache=folder / "cache")[0]
    assert {"limit": 0.25} == ops.get("acme.hard_clip").attrs
    for op in registered_ops():  # what this process registered to compile it
        unregister_op(op)
    answer = load_model(built.directory / "clip.json", "wasm").forward(np.array([[-1, 0.125, 0.2, 3]], np.float32))
    assert [[-0.5, 0.125, np.float32(0.2), 0.5]] == answer["y"].tolist()  # the node has its own limit

    (folder / "hard_clip.c").write_text(FILES["hard_clip.c"].replace("? NX_ATTR_LIMIT", "? 1.0f"), encoding="utf-8")
    with pytest.raises(VerificationError, match=r"the kernel of 'acme.hard_clip' .* differs from its oracle"):
        build_models(load_config(folder), folder, cache=folder / "cache")
