"""GFLOP/s of single layers through the whole stack: natively, and in Chromium's relaxed SIMD, forward() included."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright

from neurenix import Tensor, load_model
from neurenix.nn import Conv2d, Linear, Module, ReLU, Sequential
from neurenix.server import serve
from neurenix.wasm import export_to_wasm

IN_PAGE = """async ([path, shape, rounds]) => {
  const { loadModel } = await import(path);
  const model = await loadModel();
  const size = shape.reduce((a, b) => a * b, 1);
  const input = model.createTensor(shape, Float32Array.from({ length: size }, (_, i) => (i % 17) / 17));
  const time = async (calls) => {
    const start = performance.now();
    for (let i = 0; i < calls; i++) await model.forward(input);
    return performance.now() - start;
  };
  // The clock of a page that is not isolated ticks every 0.1 ms: one measurement spans at least a hundred ticks.
  let calls = 1;
  while (await time(calls) < 10) calls *= 2;
  let best = Infinity;
  for (let i = 0; i < rounds; i++) best = Math.min(best, await time(calls) / calls);
  return best;
}"""


@dataclass(frozen=True)
class Case:
    """One layer on one input; `flops` counts a multiplication and an addition as two."""

    name: str
    layer: Module
    shape: tuple[int, ...]
    flops: int


def linear(m: int, k: int, n: int) -> Case:
    return Case(f"linear_{m}x{k}x{n}", Sequential(Linear(k, n), ReLU()), (m, k), 2 * m * k * n)


def conv(c: int, o: int, size: int, kernel: int = 3) -> Case:
    layer = Sequential(Conv2d(c, o, kernel, padding=kernel // 2), ReLU())
    return Case(f"conv_{c}x{o}_{kernel}x{kernel}_{size}", layer, (1, c, size, size), 2 * c * o * (kernel * size) ** 2)


def depthwise(c: int, size: int, kernel: int = 3, stride: int = 1) -> Case:
    layer = Sequential(Conv2d(c, c, kernel, stride, kernel // 2, groups=c), ReLU())
    flops = 2 * c * (kernel * (size // stride)) ** 2
    return Case(f"depthwise_{c}_{kernel}x{kernel}_{size}_s{stride}", layer, (1, c, size, size), flops)


def grouped(c: int, groups: int, size: int) -> Case:
    layer = Sequential(Conv2d(c, c, 3, padding=1, groups=groups), ReLU())
    return Case(f"grouped_{c}by{groups}_3x3_{size}", layer, (1, c, size, size), 2 * c * c // groups * (3 * size) ** 2)


class Scores(Module):
    """What attention multiplies: both operands are made at run time."""

    def forward(self, input: Tensor) -> Tensor:
        return (input @ input.transpose(-2, -1)) @ input


def attention(heads: int, length: int, width: int) -> Case:
    flops = 4 * heads * length * length * width
    return Case(f"attention_{heads}x{length}x{width}", Scores(), (1, heads, length, width), flops)


CASES = [linear(512, 512, 512), linear(240, 256, 256), linear(3120, 64, 384), linear(1, 784, 256),
         conv(1, 16, 28), conv(16, 32, 14), conv(64, 64, 28), conv(128, 128, 14), conv(96, 96, 28, 1),
         grouped(128, 4, 28), grouped(128, 32, 14), depthwise(96, 56), depthwise(384, 14), depthwise(144, 56, 3, 2),
         depthwise(240, 14, 5), attention(8, 64, 32), attention(4, 256, 64), attention(12, 128, 64)]  # fmt: skip


def native_seconds(case: Case, folder: Path) -> float:
    model = load_model(folder / f"{case.name}.json", device="cpu")
    x = np.random.default_rng(0).random(case.shape, dtype=np.float32)
    model.forward(x)
    best = float("inf")
    for _ in range(30):
        start = time.perf_counter()
        model.forward(x)
        best = min(best, time.perf_counter() - start)
    return best


def browser_seconds(case: Case, page: Page) -> float:
    return float(page.evaluate(IN_PAGE, [f"/{case.name}.js", list(case.shape), 20])) / 1000


def main() -> None:
    executable = os.environ.get("NEURENIX_CHROMIUM", "/usr/bin/chromium")
    print(f"{'layer':<24} {'native':>10} {'Chromium':>10}   GFLOP/s")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        for case in CASES:
            batch = case.shape[0]
            sizes = ("batch", *case.shape[1:])
            export_to_wasm(case.layer, folder, case.name, inputs={"x": sizes}, dims={"batch": (1, batch)}, native=True)
        (folder / "index.html").write_text("<!doctype html><title>kernels</title>")
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        with serve(folder) as site:
            page = browser.new_page()
            page.goto(site.url)
            for case in CASES:
                rates = [case.flops / s / 1e9 for s in (native_seconds(case, folder), browser_seconds(case, page))]
                print(f"{case.name:<24} {rates[0]:>10.1f} {rates[1]:>10.1f}")
        browser.close()


if __name__ == "__main__":
    main()
