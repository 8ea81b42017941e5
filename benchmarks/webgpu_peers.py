"""WebGPU beside onnxruntime-web, LiteRT.js and TensorFlow.js: the same weights, the same Chromium, in the same run.

In software unless `--real`: SwiftShader is no GPU, and what its figures show is that nothing is wasted. The peers come
from npm, and TensorFlow, which makes the file for LiteRT.js, from PyPI, into .make/engines: once.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnxruntime
from playwright.sync_api import Browser, BrowserType, Error, Page, sync_playwright
from webgpu_models import MODELS, Model, write_layers, write_onnx

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from gpu_browser import GPU_FLAGS

from neurenix.export import ExportOptions, export
from neurenix.frontends import load

HERE = Path(__file__).resolve().parent
PEERS = HERE.parent / ".make" / "engines"
PACKAGES = (
    "onnxruntime-web@1.30.0",
    "@litertjs/core@2.5.3",
    "@tensorflow/tfjs@4.22.0",
    "@tensorflow/tfjs-backend-webgpu@4.22.0",
)
TENSORFLOW = "tensorflow-cpu==2.21.0"
ENGINES = ("neurenix", "onnxruntime", "litert", "tfjs")
# What a page's background must not slow down, and no shader that an earlier run left.
FLAGS = (
    "--disable-background-timer-throttling", "--disable-renderer-backgrounding", "--disable-gpu-shader-disk-cache",
    "--disable-backgrounding-occluded-windows",
)  # fmt: skip
WAIT = 240_000  # milliseconds


def install() -> Path:
    """Fetch the peers, unless they are here; return the Python that has TensorFlow."""
    PEERS.mkdir(parents=True, exist_ok=True)
    if not (PEERS / "node_modules" / "@litertjs" / "core").exists():
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", str(PEERS), *PACKAGES], check=True)
    python = PEERS / "tflite" / "bin" / "python"
    if not any((PEERS / "tflite").glob("lib/python*/site-packages/tensorflow")):
        venv.create(PEERS / "tflite", with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", TENSORFLOW], check=True)
    return python


def write(model: Model, site: Path, python: Path) -> None:
    """Write a model for every engine."""
    folder = site / model.name
    folder.mkdir()
    write_layers(model, folder)
    write_onnx(model, folder / "model.onnx")
    source = b"".join((folder / part).read_bytes() for part in ("layers.json", "layers.bin"))
    kept = PEERS / f"{hashlib.sha256(source).hexdigest()[:16]}.tflite"
    if not kept.exists():  # TensorFlow takes half a minute
        subprocess.run([str(python), str(HERE / "webgpu_tflite.py"), str(folder)], check=True, capture_output=True)
        shutil.copy(folder / "model.tflite", kept)
    shutil.copy(kept, folder / "model.tflite")
    options = ExportOptions(webgpu=True, simd=False, threads=False)
    export(load(folder / "model.onnx"), folder / "webassembly_model", model.name, options)


def expected(model: Model, site: Path) -> np.ndarray:
    """Return onnxruntime's answer on the CPU."""
    image = model.image()
    first = image.transpose(0, 3, 1, 2) if image.ndim == 4 else image
    session = onnxruntime.InferenceSession(site / model.name / "model.onnx", providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": np.ascontiguousarray(first)})[0])


class _Quiet(SimpleHTTPRequestHandler):
    extensions_map: ClassVar = {
        **SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript", ".wasm": "application/wasm",
    }  # fmt: skip

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def served(site: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@contextmanager
def started(chromium: BrowserType, real: bool) -> Iterator[Browser]:
    flags = [f for f in (*GPU_FLAGS, *FLAGS) if not real or "swiftshader" not in f]
    browser = chromium.launch(executable_path="/usr/bin/chromium", args=flags, ignore_default_args=["--disable-gpu"])
    yield browser
    browser.close()


def opened(browser: Browser, url: str, engine: str, model: str) -> Page:
    """Open an engine's page; return it once it has answered. Raises RuntimeError with what the page said."""
    page, said = browser.new_page(), list[str]()
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
    page.goto(f"{url}#{engine}/{model}")
    try:
        page.wait_for_selector("html[data-state]", timeout=WAIT)
    except Error as error:
        raise RuntimeError(f"{engine} did not answer: {'; '.join(said)[:600] or error}") from None
    return page


def measure(model: Model, chromium: BrowserType, url: str, wanted: np.ndarray, args: argparse.Namespace) -> None:
    cold: dict[str, list[float]] = {engine: [] for engine in args.engines}
    for _ in range(args.cold):  # a fresh browser each time, and everybody in turn
        for engine in args.engines:
            with started(chromium, args.real) as browser:
                cold[engine].append(opened(browser, url, engine, model.name).evaluate("result.first"))
    times: dict[str, list[float]] = {engine: [] for engine in args.engines}
    with started(chromium, args.real) as browser:
        pages = {engine: opened(browser, url, engine, model.name) for engine in args.engines}
        made = {}
        for _ in range(args.rounds):
            for engine, page in pages.items():
                found = page.evaluate("measure(3)")
                times[engine] += found["times"]
                made[engine] = found["each"]
        for engine, page in pages.items():
            answer = np.array(page.evaluate("result.answer"), np.float32)
            error = float(np.abs(answer - wanted.ravel()).max() / np.abs(wanted).max())
            each = made[engine]
            objects = sum(count for name, count in each.items() if name.startswith("create"))
            print(
                f"{model.name:<10} {engine:<12}{statistics.median(times[engine]):>10.2f}{min(times[engine]):>9.2f}"
                f"{statistics.median(cold[engine]) if cold[engine] else 0:>10.0f}"
                f"{sum(c for n, c in each.items() if n.startswith('dispatch')):>12.0f}"
                f"{each.get('submit', 0):>9.0f}{objects:>9.0f}   {error:.0e}",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", metavar="model", help=f"some of {', '.join(MODELS)}; all by default")
    parser.add_argument("--real", action="store_true", help="take the machine's own adapter")
    parser.add_argument("--engines", nargs="+", default=ENGINES, choices=ENGINES)
    parser.add_argument("--rounds", type=int, default=5, help="of three calls of every engine, one after the other")
    parser.add_argument("--cold", type=int, default=3, help="fresh browsers for the time to a first answer")
    args = parser.parse_args()
    python = install()
    print(f"{'model':<10} {'engine':<12}{'call ms':>10}{'least':>9}{'first ms':>10}{'dispatches':>12}{'submits':>9}"
          f"{'objects':>9}   error    (dispatches, submits and new objects are those of one call)")  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        site = Path(folder) / "site"
        shutil.copytree(HERE / "webgpu_engines", site)
        (site / "node_modules").symlink_to(PEERS / "node_modules")
        with served(site) as url:
            for name in args.models or MODELS:
                model = MODELS[name]()
                write(model, site, python)
                measure(model, playwright.chromium, url, expected(model, site), args)


if __name__ == "__main__":
    main()
