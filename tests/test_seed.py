"""The document that this project implements: its snippets, run word for word, and its page, byte for byte.

`seed/` holds the document's code blocks. What a block supposes (a `model`, some `inputs`) is given to it.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from local_server import Site
from playwright.sync_api import Page

import neurenix
from neurenix import load_model
from neurenix.device import Device, DeviceType
from neurenix.errors import DeviceError, InputError, UnsupportedError
from neurenix.nn import Linear, Module, ReLU, Sequential
from neurenix.wasm import custom_shaders, export_to_wasm, register_custom_shader

pytest_plugins = ["browser", "pretend_host"]

SEED = Path(__file__).parent / "seed"
MANIFEST = Path("webassembly_model") / "my_model.json"
PAGE_INPUT = np.arange(1, 11, dtype=np.float32) / 10  # the numbers that page.html writes out


def run_snippet(name: str, **context: Any) -> dict[str, Any]:
    """Run a code block in the current folder, with what it supposes as global names; return its globals."""
    return runpy.run_path(str(SEED / f"{name}.py"), init_globals=context)


@pytest.fixture
def model() -> Sequential:
    neurenix.manual_seed(0)
    return Sequential(Linear(10, 20), ReLU(), Linear(20, 5))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def shaders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registered shaders are forgotten after the test."""
    monkeypatch.setattr("neurenix.wasm._shaders", {})


def forward(model: Module, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    with neurenix.no_grad():
        return np.asarray(model.eval()(neurenix.Tensor(x)).numpy())


@pytest.mark.zig
def test_the_export_snippet_runs_as_a_program(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", SEED / "export.py"],
        env={**os.environ, "XDG_RUNTIME_DIR": str(folder)},  # without it Mesa's driver chatters
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    written = {path.name for path in (folder / "webassembly_model").iterdir()}
    # "A JSON file describing the model architecture, binary files containing the model parameters, a JavaScript loader"
    assert {"my_model.json", "my_model.bin", "my_model.js"} <= written


@pytest.mark.zig
def test_the_export_snippet_returns_the_folder_and_describes_the_architecture(folder: Path) -> None:
    found = run_snippet("export")
    assert found["export_path"] == "webassembly_model"
    manifest = json.loads(MANIFEST.read_text(encoding="utf-8"))
    expected = [
        ("0", "Linear", {"in_features": 10, "out_features": 20, "bias": True}, ["0.weight", "0.bias"]),
        ("1", "ReLU", {}, []),
        ("2", "Linear", {"in_features": 20, "out_features": 5, "bias": True}, ["2.weight", "2.bias"]),
    ]
    assert expected == [(x["name"], x["type"], x["config"], x["parameters"]) for x in manifest["layers"]]


@pytest.mark.zig
@pytest.mark.browser
def test_the_page_shows_pythons_five_numbers(folder: Path, serve: Callable[..., Site], page: Page) -> None:
    found = run_snippet("export")
    (folder / "index.html").write_bytes((SEED / "page.html").read_bytes())
    page.goto(serve(folder).url)
    page.wait_for_selector("#output p")
    text = page.inner_text("#output")
    assert text.startswith("Model output: ")
    shown = np.asarray(json.loads(text.removeprefix("Model output: "))["output"])
    loaded = load_model(MANIFEST).forward({"input": PAGE_INPUT})["output"]
    assert loaded.shape == shown.shape == (1, 5)
    np.testing.assert_allclose(shown, loaded, rtol=0, atol=1e-6)
    np.testing.assert_allclose(shown, forward(found["model"], PAGE_INPUT[None]), rtol=0, atol=1e-6)
    assert not page.complaints.errors  # type: ignore[attr-defined]


@pytest.mark.zig
@pytest.mark.browser
def test_webgpu_asked_for_outright_is_refused_in_a_browser_that_has_none(
    folder: Path, serve: Callable[..., Site], page: Page
) -> None:
    run_snippet("export")
    (folder / "index.html").write_text("<!doctype html><title>Test</title>", encoding="utf-8")
    page.goto(serve(folder).url)
    code = page.evaluate(
        """async () => {
          const { loadModel } = await import('./webassembly_model/my_model.js');
          try {
            await loadModel('webassembly_model', { device: 'webgpu' });
          } catch (error) {
            return error.code;
          }
        }"""
    )
    assert DeviceError.code == code


def test_the_run_in_browser_snippet_answers_and_marks_the_model(model: Sequential) -> None:
    inputs = neurenix.Tensor(PAGE_INPUT[None])
    found = run_snippet("run_in_browser", model=model, inputs=inputs)
    expected = forward(model, PAGE_INPUT[None])
    np.testing.assert_array_equal(expected, found["result"].numpy())
    assert model.browser_device == "webgpu"


@pytest.mark.zig
def test_a_marked_model_tells_the_page_which_device_to_try_first(folder: Path, model: Sequential) -> None:
    run_snippet("run_in_browser", model=model, inputs=PAGE_INPUT[None])
    export_to_wasm(model, "webassembly_model", "my_model")
    assert json.loads(MANIFEST.read_text(encoding="utf-8"))["device"] == "webgpu"


def test_run_in_browser_leaves_the_model_in_the_mode_that_it_was_in(model: Sequential) -> None:
    for training in (True, False):
        model.train(training)
        run_snippet("run_in_browser", model=model, inputs={"input": PAGE_INPUT[None]})
        assert training == model.training


def test_the_device_snippet_leaves_the_model_on_the_cpu_where_no_webgpu_is(model: Sequential, pretend: Any) -> None:
    pretend(problem="no driver")
    found = run_snippet("device", model=model)
    assert Device(DeviceType.WEBGPU) == found["device"]
    assert found["device"].is_available() is False
    assert Device(DeviceType.CPU) == model.device


@pytest.mark.gpu
def test_the_device_snippet_moves_the_model_where_webgpu_is(model: Sequential) -> None:
    expected = forward(model, PAGE_INPUT[None])
    found = run_snippet("device", model=model)
    assert found["device"].is_available() is True
    model.eval()
    np.testing.assert_allclose(forward(model, PAGE_INPUT[None]), expected, rtol=0, atol=1e-6)
    assert Device(DeviceType.WEBGPU) == model.device


def test_moving_to_webgpu_by_force_says_why_it_cannot_be(model: Sequential, pretend: Any) -> None:
    pretend(problem="no driver")
    with pytest.raises(DeviceError, match=r"device 'webgpu' is not available.*use Device\(DeviceType\.CPU\)"):
        model.to(Device(DeviceType.WEBGPU))
    assert Device(DeviceType.CPU) == model.device


@pytest.mark.zig
def test_the_advanced_snippet_asks_for_threads_and_runs_on_one_visibly(folder: Path, model: Sequential) -> None:
    run_snippet("advanced", model=model)
    assert json.loads(MANIFEST.read_text(encoding="utf-8"))["threads"] == {"requested": True}
    loaded = load_model(MANIFEST)
    assert loaded.threads == 1
    np.testing.assert_allclose(
        loaded.forward(PAGE_INPUT)["output"], forward(model, PAGE_INPUT[None]), rtol=0, atol=1e-6
    )


def test_quantize_is_refused_with_a_code_and_writes_nothing(folder: Path, model: Sequential) -> None:
    with pytest.raises(UnsupportedError, match="quantize=True arrives in a later version; use quantize=False") as info:
        export_to_wasm(model, "webassembly_model", "my_model", quantize=True)
    assert info.value.code == "unsupported"
    assert not list(folder.iterdir())


def test_the_custom_shader_snippet_registers_its_source(shaders: None) -> None:
    run_snippet("custom_shader")
    source = re.search(r'"""(.*?)"""', (SEED / "custom_shader.py").read_text(encoding="utf-8"), re.DOTALL)
    assert source is not None
    assert {"matrix_multiply": source[1]} == custom_shaders()


@pytest.mark.parametrize(
    ("op", "wgsl"),
    [
        ("Matrix", "@compute fn main() {}"),
        ("", "@compute fn main() {}"),
        (None, "@compute fn main() {}"),
        ("relu", "fn main() {}"),
        ("relu", "@compute fn other() {}"),
        ("relu", None),
    ],
)
def test_a_shader_that_cannot_be_one_is_refused(shaders: None, op: Any, wgsl: Any) -> None:
    with pytest.raises(InputError):
        register_custom_shader(op, wgsl)
    assert custom_shaders() == {}
