"""How long Chromium takes to compile each shader of a model, one after the other, on SwiftShader unless `--real`.

The first answer waits for all of them. Each round compiles all, in a text that no cache knows; the least time counts.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import webgpu
import webgpu_models
from playwright.sync_api import Page, sync_playwright
from webgpu_peers import served, started

import neurenix
from neurenix.compiler import passes
from neurenix.compiler.schedule import schedule
from neurenix.compiler.wgsl import print_wgsl
from neurenix.frontends import load
from neurenix.graph.graph import Graph
from neurenix.graph.shaders import ShaderPlan

COMPILE = """async ([features, text]) => {
  if (!window.device) {
    const adapter = await navigator.gpu.requestAdapter();
    const requiredFeatures = features.filter((name) => adapter.features.has(name));
    window.device = await adapter.requestDevice({ requiredFeatures });
  }
  const start = performance.now();
  const module = device.createShaderModule({ code: text });
  await device.createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint: 'main' } });
  return performance.now() - start;
}"""
EMPTY = "@compute @workgroup_size(64) fn main() {}\n"


def graph_of(name: str) -> Graph:
    """Return a benchmark's model by its name, or that of an ONNX file."""
    if name in webgpu_models.MODELS:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            webgpu_models.write_onnx(webgpu_models.MODELS[name](), path)
            return load(path)
    if name in webgpu.MODELS:
        build, inputs = webgpu.MODELS[name]
        neurenix.manual_seed(0)
        return load(build().eval(), inputs=inputs, name=name)
    return load(Path(name))


@contextmanager
def opened(real: bool) -> Iterator[Page]:
    """Open an empty page that has WebGPU."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        (Path(folder) / "index.html").write_text("<!doctype html><title>Benchmark</title>")
        with served(Path(folder)) as url, started(playwright.chromium, real) as browser:
            page = browser.new_page()
            page.goto(url)
            yield page


def measure(page: Page, shaders: ShaderPlan, rounds: int) -> dict[str, float]:
    """Return the milliseconds of each shader by name."""
    least: dict[str, float] = {}
    page.evaluate(COMPILE, [["subgroups"], EMPTY])
    for number, (name, shader) in itertools.product(range(rounds), shaders.shaders.items()):
        took = page.evaluate(COMPILE, [["subgroups"], f"{shader.source}// {number}\n"])
        least[name] = min(took, least.get(name, took))
    return least


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    known = sorted({*webgpu.MODELS, *webgpu_models.MODELS})
    parser.add_argument("models", nargs="*", default=known, help=f"{', '.join(known)}: all by default; or ONNX files")
    parser.add_argument("--real", action="store_true", help="take the machine's own adapter")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with opened(args.real) as page:
        for name in args.models:
            shaders = print_wgsl(*schedule(passes.run(graph_of(name))))
            least = measure(page, shaders, args.rounds)
            print(f"{name}: {sum(least.values()):.0f} ms for {len(least)} shaders")
            for shader, took in sorted(least.items(), key=lambda row: -row[1]):
                print(f"  {took:7.1f}  {shader}", flush=True)


if __name__ == "__main__":
    main()
