"""Claims about products and convolutions on a GPU: each way to make them answers as the reference at every size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gpu_cases import printed
from op_cases import assert_close, reference

import neurenix
from neurenix.compiler.wgsl import contractions
from neurenix.nn import Conv2d, Linear, Module, ModuleList
from neurenix.phynexus.webgpu import WebGPUEngine
from neurenix.trace import trace

pytestmark = pytest.mark.gpu

# Rows, depth and columns: whole quads and not, fewer than an invocation has, more than a workgroup has.
PRODUCTS = (
    (1, 7, 5),
    (1, 784, 20),
    (2, 64, 70),
    (4, 10, 3),
    (5, 12, 8),
    (9, 320, 40),
    (33, 17, 6),
    (70, 20, 36),
    (40, 3, 130),
)
# What Conv2d takes, of 13 by 9 pixels.
CONVOLUTIONS: tuple[tuple[tuple[int, int, int], dict[str, Any]], ...] = (
    ((3, 8, 3), {"stride": 2, "padding": 1}),
    ((4, 6, 5), {"padding": 2}),
    ((8, 12, 3), {"groups": 2, "padding": (2, 0)}),
    ((6, 10, 3), {"groups": 2, "dilation": 2}),
    ((8, 5, 1), {}),
    ((4, 4, 1), {"stride": 2}),
    *(((8, 8, k), {"groups": 8, "stride": stride, "padding": k // 2}) for k in (2, 3, 5) for stride in (1, 2)),
    ((6, 6, 3), {"groups": 6, "padding": 1}),
    ((8, 8, 3), {"groups": 8, "stride": (1, 3)}),
    ((8, 8, 3), {"groups": 8, "dilation": 2}),
    ((4, 4, 9), {"groups": 4, "padding": 4}),
)  # fmt: skip
BATCHES = ((3, 6, 8, 12), (2, 33, 7, 5), (1, 1, 16, 9), (4, 4, 20, 64))


class Products(Module):
    """Every layer and every product of batches, each of inputs of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.linears = ModuleList([Linear(k, n) for _, k, n in PRODUCTS])
        self.convolutions = ModuleList([Conv2d(*sizes, **options) for sizes, options in CONVOLUTIONS])

    def forward(self, *inputs: Any) -> Any:
        given = iter(inputs)
        layers = [*self.linears, *self.convolutions]
        made = {f"layer{i}": layer(next(given)).relu() for i, layer in enumerate(layers)}
        for i in range(len(BATCHES)):
            a, b, turned = next(given), next(given), next(given)
            made |= {f"rows{i}": a @ b, f"turned{i}": a @ turned.transpose(-1, -2)}
        return made


def _specs() -> list[tuple[int, ...]]:
    layers = [(m, k) for m, k, _ in PRODUCTS] + [(2, sizes[0], 13, 9) for sizes, _ in CONVOLUTIONS]
    return layers + [shape for n, m, k, c in BATCHES for shape in ((n, m, k), (n, k, c), (n, c, k))]


@pytest.mark.parametrize("tiled", [False, True], ids=["direct", "in tiles"])
def test_products_and_convolutions_answer_as_the_reference(tiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if tiled:
        monkeypatch.setattr(contractions, "TILED", 0)
        monkeypatch.setattr(contractions, "LEAST_SIDE", 0)
    neurenix.manual_seed(3)
    rng = np.random.default_rng(3)
    feeds = {f"x{i}": rng.standard_normal(shape).astype(np.float32) for i, shape in enumerate(_specs())}
    graph = trace(Products().eval(), {name: f"float32{list(a.shape)}" for name, a in feeds.items()})
    plan, weights, shaders = printed(graph)
    names = {d.shader for d in shaders.dispatches}
    assert tiled == any("tile_a" in shaders.shaders[name].source for name in names)
    answers = WebGPUEngine(plan, weights, shaders).run(feeds, {})
    for name, wanted in reference(graph, feeds).items():
        assert_close(wanted, answers[name], 1e-5, name)


def test_large_products_are_made_in_tiles_and_small_ones_without() -> None:
    def source(rows: int, columns: int, depth: int) -> str:
        graph = trace(Linear(depth, columns).eval(), {"x": f"float32[{rows}, {depth}]"})
        return printed(graph)[2].text()

    assert "tile_a" in source(1024, 1024, 1024)
    assert "tile_a" not in source(1024, 16, 1 << 14)
    assert "workgroupBarrier" not in source(256, 256, 256)
