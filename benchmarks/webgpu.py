"""WebGPU in Chromium on SwiftShader: dispatches, objects, the time to a first answer, milliseconds a call.

SwiftShader is a GPU in software, a hundred times slower than one: what counts here is that nothing is wasted. With
`--real` the browser takes the machine's own adapter.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from gpu_browser import GPU_FLAGS
from gpu_page import COUNTING
from local_server import Running
from playwright.sync_api import sync_playwright
from runtime_page import PAGE, SCRIPT

import neurenix
from neurenix.export import ExportOptions, export
from neurenix.nn import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential, TransformerEncoderLayer

MODELS: dict[str, tuple[Any, dict[str, Any]]] = {
    "mlp": (
        lambda: Sequential(Linear(784, 256), ReLU(), Linear(256, 128), ReLU(), Linear(128, 10)),
        {"x": "float32[1, 784]"},
    ),
    "lenet": (
        lambda: Sequential(
            Conv2d(1, 6, 5, padding=2), ReLU(), MaxPool2d(2), Conv2d(6, 16, 5), ReLU(), MaxPool2d(2), Flatten(),
            Linear(400, 120), ReLU(), Linear(120, 84), ReLU(), Linear(84, 10),
        ),
        {"x": "float32[1, 1, 28, 28]"},
    ),
    "block": (lambda: TransformerEncoderLayer(128, 4, 512, batch_first=True), {"x": "float32[1, 64, 128]"}),
}  # fmt: skip

MEASURE = """async () => {
  const start = performance.now();
  const model = await loadModel(undefined, { device: 'webgpu' });
  const [{ shape, name }] = model.inputs;
  const input = new Float32Array(shape.reduce((a, b) => a * b));
  await model.forward({ [name]: input });
  const first = performance.now() - start;
  const objects = { ...made };
  const times = [];
  for (let i = 0; i < 21; i++) {
    const before = performance.now();
    await model.forward({ [name]: input });
    times.push(performance.now() - before);
  }
  const later = Object.keys(made).filter((key) => key !== 'createCommandEncoder')
    .reduce((sum, key) => sum + made[key] - (objects[key] ?? 0), 0);
  const again = performance.now();
  await (await loadModel(undefined, { device: 'webgpu' })).forward({ [name]: input });
  const second = performance.now() - again;
  times.sort((a, b) => a - b);
  const { adapter, pipelines, bindGroups, buffers, bytes, dispatches } = model.gpu;
  return { adapter, pipelines, bindGroups, buffers, bytes, dispatches, first, second, call: times[10], later };
}"""


def main(real: bool) -> None:
    flags = [f for f in GPU_FLAGS if not real or "swiftshader" not in f]
    print("model   dispatches shaders buffers  KB on GPU  first ms  again ms  call ms  made by a call  adapter")
    for name, (build, inputs) in MODELS.items():
        neurenix.manual_seed(0)
        with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
            options = ExportOptions(inputs=inputs, simd=False, threads=False, webgpu=True)
            export(build().eval(), Path(folder) / "webassembly_model", name, options)
            (Path(folder) / "index.html").write_text(PAGE)
            (Path(folder) / "page.js").write_text(SCRIPT.replace("my_model", name))
            running = Running(Path(folder), {})
            browser = playwright.chromium.launch(
                executable_path="/usr/bin/chromium", args=flags, ignore_default_args=["--disable-gpu"]
            )
            page = browser.new_page()
            page.add_init_script(COUNTING)
            page.goto(running.site.url)
            page.wait_for_selector("html[data-state]")
            r = page.evaluate(MEASURE)
            print(
                f"{name:<8}{r['dispatches']:>10}{r['pipelines']:>8}{r['buffers']:>8}{r['bytes'] / 1024:>11.0f}"
                f"{r['first']:>10.0f}{r['second']:>10.0f}{r['call']:>9.2f}{r['later']:>16}  {r['adapter']}"
            )
            browser.close()
            running.stop()


if __name__ == "__main__":
    main("--real" in sys.argv[1:])
