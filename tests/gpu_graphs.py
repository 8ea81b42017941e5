"""Graphs in a page, through the runtime that ships: written as bundles with shaders and nothing else, and answered.

For WebAssembly such a bundle has an empty module: a runtime that left the GPU would have nothing to answer with.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import gpu_cases
import numpy as np
from local_server import Running
from op_cases import Array, reference
from playwright.sync_api import Page
from runtime_page import OpenTab, complaints

from neurenix.bundle.golden import Golden, Stored
from neurenix.bundle.writer import Compiled, bundle_files, write_bundle
from neurenix.graph.graph import Graph
from neurenix.graph.plan import Plan
from neurenix.graph.shaders import ShaderPlan

EMPTY_MODULE = b"\0asm\1\0\0\0"
PAGE = '<!doctype html><meta charset="utf-8"><title>Graphs</title>'
# A device holds on to what it compiled: after so many shaders a page is left for a fresh one.
MOST_SHADERS = 60

# Loads a bundle, runs it once and lets go of it: where it ran, what was said of it and of its shaders, and the bytes of
# every output.
ANSWER = """async ([name, feeds]) => {
  const { loadModel } = await import(`./webassembly_model/${name}.js`);
  const { ARRAYS } = await import('./webassembly_model/neurenix.runtime/tensor.js');
  const said = [], modules = [];
  const { createShaderModule } = GPUDevice.prototype;
  GPUDevice.prototype.createShaderModule = function (descriptor) {
    modules.push(createShaderModule.call(this, descriptor));
    return modules.at(-1);
  };
  const model = await loadModel(undefined, { device: 'webgpu', onFallback: ({ message }) => said.push(message) })
    .finally(() => { GPUDevice.prototype.createShaderModule = createShaderModule; });
  for (const module of modules) said.push(...(await module.getCompilationInfo()).messages.map((of) => of.message));
  const inputs = Object.fromEntries(feeds.map(([port, dtype, shape, text]) => {
    const { buffer } = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
    return [port, model.createTensor(shape, new ARRAYS[dtype](buffer), dtype)];
  }));
  const answers = await model.forward(inputs);
  const { device, variant, gpu: { calls } } = model;
  model.dispose();
  const outputs = Object.entries(answers).map(([port, { data, dtype, shape }]) => {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    return [port, dtype, shape, btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))];
  });
  return { device, variant, calls, said, outputs };
}"""

Answers = dict[str, Array]
Compile = Callable[[Graph], tuple[Plan, bytes, ShaderPlan]]


class GraphPage:
    """A served folder of bundles and the page that answers them."""

    def __init__(self, folder: Path, open_tab: OpenTab, url: str, compiled: Compile = gpu_cases.printed) -> None:
        self._folder, self._open_tab, self._url, self._compiled = folder, open_tab, url, compiled
        self._tabs = ExitStack()
        self._page: Page | None = None
        self._shaders = 0
        self._numbers = itertools.count()
        self.variants = set[str]()  # of the shaders that answered

    def answer(
        self,
        graph: Graph,
        feeds: Mapping[str, Array],
        dims: Mapping[str, int] | None = None,
        tolerance: float = 1e-3,
        expected: Answers | None = None,
    ) -> tuple[Answers, Answers]:
        """Return what is expected, by the reference unless given, and what the page says: on the GPU, without a word.

        What is expected is the bundle's golden case too, within `tolerance`: the runtime itself refuses worse.
        """
        name = f"graph{next(self._numbers)}"
        plan, weights, shaders = self._compiled(replace(graph, name=name))
        expected = reference(graph, feeds, dims) if expected is None else expected
        golden = Golden(
            dims or {},
            {port: Stored(array.tobytes()) for port, array in feeds.items()},
            {port: array.astype(graph.values[port].dtype.numpy) for port, array in expected.items()},
            tolerance,
        )
        empty = Compiled("scalar", f"{name}.scalar.wasm", EMPTY_MODULE)
        write_bundle(bundle_files(plan, weights, "", [empty], [golden], "tests", shaders), self._folder)
        try:
            variant, answers = _ask(self._fresh(len(shaders.shaders)), name, feeds)
        except BaseException:
            self.close()
            raise
        self.variants.add(variant)
        return expected, answers

    def _fresh(self, shaders: int) -> Page:
        """Return the page, or another one where it would compile too much."""
        self._shaders += shaders
        if self._page is None or self._shaders > MOST_SHADERS:
            self.close()
            self._page, self._shaders = self._tabs.enter_context(self._open_tab()), shaders
            self._page.goto(self._url)
        return self._page

    def close(self) -> None:
        """Close the page; the next answer opens another."""
        self._tabs.close()
        self._page = None


@contextmanager
def graph_page(folder: Path, open_tab: OpenTab, compiled: Compile = gpu_cases.printed) -> Iterator[GraphPage]:
    """Serve a folder and open a page there for graphs."""
    (folder / "index.html").write_text(PAGE, encoding="utf-8")
    running = Running(folder, {"Cache-Control": "no-store"})
    page = GraphPage(folder / "webassembly_model", open_tab, running.site.url, compiled)
    yield page
    page.close()
    running.stop()


def _ask(page: Page, name: str, feeds: Mapping[str, Array]) -> tuple[str, Answers]:
    given = [[n, a.dtype.name, list(a.shape), base64.b64encode(a.tobytes()).decode()] for n, a in feeds.items()]
    found = page.evaluate(ANSWER, [name, given])
    assert ("webgpu", [], []) == (found["device"], found["said"], complaints(page))
    assert 2 == found["calls"]  # the golden case, and this one
    return found["variant"], {
        port: np.frombuffer(base64.b64decode(text), kind).reshape(shape) for port, kind, shape, text in found["outputs"]
    }
