"""Rows that invocations share, with subgroups and without: milliseconds a call through wgpu and in Chromium.

SwiftShader is Chromium's adapter. Both ways take turns in one run, and the fastest call of each counts. Last, what the
second texts add to NAME.wgsl.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import brotli
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from gpu_browser import GPU_FLAGS
from gpu_cases import printed
from gpu_graphs import EMPTY_MODULE, PAGE
from local_server import Running
from op_cases import reference
from playwright.sync_api import sync_playwright

from neurenix.bundle.golden import Golden, Stored
from neurenix.bundle.writer import Compiled, bundle_files, write_bundle
from neurenix.graph.graph import Graph
from neurenix.nn import Module, TransformerEncoderLayer
from neurenix.nn.functional import layer_norm
from neurenix.phynexus.webgpu import WebGPUEngine
from neurenix.trace import trace

ELEMENTS, LENGTHS, CALLS = 1 << 19, (64, 512, 4096), 25
OPS: dict[str, Callable[[Any], Any]] = {
    "softmax": lambda x: x.softmax(-1),
    "layer_norm": lambda x: layer_norm(x, (x.shape[-1],)),
    "sum": lambda x: x.sum(-1),
    "argmax": lambda x: x.argmax(-1),
}

MEASURE = """async ([name, elements, calls]) => {
  const { loadModel } = await import(`./webassembly_model/${name}.js`);
  const has = GPUSupportedFeatures.prototype.has;
  const load = async (wide) => {
    GPUSupportedFeatures.prototype.has = function (feature) {
      return (wide || feature !== 'subgroups') && has.call(this, feature);
    };
    return loadModel(undefined, { device: 'webgpu' }).finally(() => { GPUSupportedFeatures.prototype.has = has; });
  };
  const models = [await load(true), await load(false)];  // the device of the first is the second's too
  const x = new Float32Array(elements).map((_, i) => Math.sin(i));
  const times = models.map(() => []);
  for (let i = 0; i < calls; i++) {
    for (const [way, model] of models.entries()) {
      const start = performance.now();
      const { y } = await model.forward({ x }, { keep: true });
      times[way].push(performance.now() - start);
      y.dispose();
    }
  }
  return [models.map((model) => model.gpu.subgroups), times, models[0].gpu.adapter];
}"""


class Op(Module):
    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self._function = function

    def forward(self, *inputs: Any) -> Any:
        return {"y": self._function(inputs[0])}


def graphs() -> Iterator[tuple[str, int, Graph]]:
    for name, function in OPS.items():
        for length in LENGTHS:
            shape = f"float32[{ELEMENTS // length}, {length}]"
            graph = replace(trace(Op(function), {"x": shape}), name=f"{name}{length}")
            if printed(graph)[2].has_subgroups:  # argmax shares no short rows
                yield name, length, graph


def through_wgpu(graph: Graph, x: np.ndarray[Any, Any]) -> tuple[list[list[float]], str]:
    made = printed(graph)
    engines = [WebGPUEngine(*made), WebGPUEngine(*made, subgroups=False)]
    times: list[list[float]] = [[], []]
    for call in range(CALLS + 1):
        for way, engine in enumerate(engines):
            start = time.perf_counter()
            engine.run({"x": x}, {})
            if call:
                times[way].append(1e3 * (time.perf_counter() - start))
    return times, engines[0].adapter


def in_chromium(page: Any, graph: Graph, x: np.ndarray[Any, Any], folder: Path) -> tuple[list[list[float]], str]:
    plan, weights, shaders = printed(graph)
    golden = Golden({}, {"x": Stored(x.tobytes())}, reference(graph, {"x": x}), 1e-3)
    golden = replace(golden, outputs={n: a.astype(graph.values[n].dtype.numpy) for n, a in golden.outputs.items()})
    empty = Compiled("scalar", f"{graph.name}.scalar.wasm", EMPTY_MODULE)
    write_bundle(bundle_files(plan, weights, "", [empty], [golden], "benchmark", shaders), folder)
    ways, times, adapter = page.evaluate(MEASURE, [graph.name, ELEMENTS, CALLS])
    assert ways == [True, False]
    return times, adapter


def show(where: str, name: str, length: int, found: tuple[list[list[float]], str]) -> None:
    (wide, plain), adapter = ([min(times) for times in found[0]], found[1])
    print(f"{where:<10}{name:<12}{length:>6}{plain:>10.2f}{wide:>10.2f}{plain / wide:>8.2f}  {adapter}", flush=True)


def sizes() -> None:
    block = TransformerEncoderLayer(128, 4, 512, batch_first=True).eval()
    shaders = printed(trace(block, {"x": "float32[1, 64, 128]"}))[2]
    plain = "".join(shader.source for shader in shaders.shaders.values())
    for what, text in (("plain", plain), ("both", shaders.text())):
        print(f"a block's shaders, {what}: {len(text.encode())} bytes, {len(brotli.compress(text.encode()))} by brotli")


def main() -> None:
    print(f"{'where':<10}{'op':<12}{'length':>6}{'plain ms':>10}{'with ms':>10}{'ratio':>8}  adapter")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        (Path(folder) / "index.html").write_text(PAGE)
        running = Running(Path(folder), {})
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=GPU_FLAGS, ignore_default_args=["--disable-gpu"]
        )
        page = browser.new_page()
        page.goto(running.site.url)
        for name, length, graph in graphs():
            x = np.sin(np.arange(ELEMENTS, dtype=np.float32)).reshape(-1, length)
            show("wgpu", name, length, through_wgpu(graph, x))
            show("Chromium", name, length, in_chromium(page, graph, x, Path(folder) / "webassembly_model"))
        browser.close()
        running.stop()
    sizes()


if __name__ == "__main__":
    main()
