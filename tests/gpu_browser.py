"""Fixtures for tests of WebGPU in Chromium: one that has it, in software, and bundles of small models with shaders.

A test module uses them with `pytest_plugins = ["browser", "gpu_browser"]`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from browser import FLAGS, launch, new_tab
from gpu_page import LARGE, MODELS, OpenModel
from local_server import Running
from playwright.sync_api import Browser, Page, Playwright
from runtime_page import PAGE, SCRIPT

import neurenix
from neurenix.export import ExportOptions, export
from neurenix.graph import shaders

# WebGPU on SwiftShader, a GPU in software. Playwright would add --disable-gpu by itself.
GPU_FLAGS = [f for f in FLAGS if f != "--disable-gpu"] + ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]


@pytest.fixture(scope="session")
def gpu_bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Export one of MODELS, once: `gpu_bundle("cnn")` gives its folder."""
    made: dict[str, Path] = {}

    def bundle(name: str) -> Path:
        if name not in made:
            neurenix.manual_seed(5)
            build, inputs, dims = MODELS[name]
            folder = tmp_path_factory.mktemp("gpu") / "webassembly_model"
            options = ExportOptions(inputs=inputs, dims=dims, simd=False, threads=False, webgpu=True)
            with patch.object(shaders, "WORTHWHILE_FLOPS", 1 if name in LARGE else shaders.WORTHWHILE_FLOPS):
                export(build().eval(), folder, name, options)
            made[name] = folder
        return made[name]

    return bundle


@pytest.fixture(scope="session")
def gpu_chromium(playwright: Playwright) -> Iterator[Browser]:
    """One Chromium with WebGPU for the session."""
    browser = launch(playwright, GPU_FLAGS, ignore_default_args=["--disable-gpu"])
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def open_gpu_tab(gpu_chromium: Browser) -> Callable[[], AbstractContextManager[Page]]:
    """Open a page that has WebGPU for as long as one likes: `with open_gpu_tab() as page:`."""
    return partial(new_tab, gpu_chromium)


@pytest.fixture
def open_models(gpu_chromium: Browser, gpu_bundle: Callable[[str], Path], tmp_path: Path) -> Iterator[OpenModel]:
    """Open a page that has some of MODELS, after a script that patches it: `open_models("cnn", scripts=…)`."""
    stack: list[Any] = []

    @contextmanager
    def served(folder: Path, scripts: tuple[str, ...]) -> Iterator[Page]:
        running = Running(folder, {"Cache-Control": "no-store"})
        with new_tab(gpu_chromium) as tab:
            for script in scripts:
                tab.add_init_script(script)
            tab.goto(running.site.url)
            tab.wait_for_selector("html[data-state]")
            yield tab
        running.stop()

    def start(*names: str, scripts: tuple[str, ...] | str = ()) -> Page:
        folder = tmp_path / "site"
        for name in names:
            shutil.copytree(gpu_bundle(name), folder / "webassembly_model", dirs_exist_ok=True)
        (folder / "index.html").write_text(PAGE, encoding="utf-8")
        others = "".join(
            f"import {{ loadModel as {name} }} from './webassembly_model/{name}.js'; window.{name} = {name};\n"
            for name in names
        )
        (folder / "page.js").write_text(others + SCRIPT.replace("my_model", names[0]), encoding="utf-8")
        context = served(folder, (scripts,) if isinstance(scripts, str) else scripts)
        stack.append(context)
        return context.__enter__()

    yield start
    for context in stack:
        context.__exit__(None, None, None)
