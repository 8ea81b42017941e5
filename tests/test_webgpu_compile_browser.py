"""The shaders of every kernel compile in Chromium, whose compiler is another than wgpu's, without a word."""

from __future__ import annotations

from typing import Any

import pytest
from local_server import Site
from op_cases import Family, graph_of, ops, random_case, rows
from playwright.sync_api import Browser
from runtime_page import Serve

from neurenix.compiler import passes
from neurenix.compiler.schedule import schedule
from neurenix.compiler.wgsl import LAUNCHES, print_wgsl
from neurenix.errors import UnsupportedError
from neurenix.graph.shaders import Shader

pytest_plugins = ["browser", "gpu_browser"]
pytestmark = pytest.mark.browser

COMPILE = """async (shaders) => {
  const device = await (await navigator.gpu.requestAdapter()).requestDevice();
  const bad = [];
  for (const { name, code, writes, params } of shaders) {
    device.pushErrorScope('validation');
    const module = device.createShaderModule({ code });
    const { messages } = await module.getCompilationInfo();
    const kinds = [...writes.map((write) => (write ? 'storage' : 'read-only-storage')), ...(params ? ['uniform'] : [])];
    const entries = kinds.map((type, binding) => ({ binding, visibility: GPUShaderStage.COMPUTE, buffer: { type } }));
    const layout = device.createPipelineLayout({ bindGroupLayouts: [device.createBindGroupLayout({ entries })] });
    const made = await device.createComputePipelineAsync({ layout, compute: { module, entryPoint: 'main' } })
      .then(() => '', (error) => error.message);
    const error = await device.popErrorScope();
    const said = [made, error?.message, ...messages.map(({ message, lineNum }) => `${lineNum}: ${message}`)];
    if (said.some(Boolean)) bad.push([name, ...said.filter(Boolean)]);
  }
  device.destroy();
  return bad;
}"""


def _shaders(names: list[str], seeds: range) -> dict[str, Shader]:
    """The shaders of some rows by their text: random cases in dtypes that have none are passed over."""
    found: dict[str, Shader] = {}
    for name in names:
        for seed in seeds:
            try:
                plan, weights = schedule(passes.run(graph_of([random_case(ops.get(name), seed)])[0]))
                shaders = print_wgsl(plan, weights).shaders
            except UnsupportedError:
                continue
            found |= {shader.source: shader for shader in shaders.values()}
    return found


def test_shaders_compile_without_a_word(gpu_chromium: Browser, serve: Serve, tmp_path: Any) -> None:
    structured = [row.name for row in rows() if row.kernel is not None and row.kernel.source in LAUNCHES]
    maps = [row.name for row in rows(Family.ELEMENTWISE)][::4]
    found = _shaders(structured, range(100, 103)) | _shaders(maps, range(1))
    assert len(found) > len(structured)
    (tmp_path / "index.html").write_text("<!doctype html><title>Shaders</title>", encoding="utf-8")
    site: Site = serve(tmp_path)
    texts = [{"name": s.name, "code": s.source, "writes": list(s.writes), "params": s.params} for s in found.values()]
    for start in range(0, len(texts), 30):  # a page of its own for each: a device holds on to what it compiled
        page = gpu_chromium.new_page()
        page.goto(site.url)
        assert [] == page.evaluate(COMPILE, texts[start : start + 30])
        page.close()
