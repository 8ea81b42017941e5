"""Claims about attention on a GPU: however many queries, keys and columns there are, it answers as the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gpu_cases import printed
from op_cases import assert_close, reference

from neurenix.compiler.wgsl import attention
from neurenix.compiler.wgsl.workgroup_memory import workgroup_bytes
from neurenix.nn import Module
from neurenix.nn.functional import scaled_dot_product_attention
from neurenix.phynexus.webgpu import WebGPUEngine
from neurenix.trace import trace

pytestmark = pytest.mark.gpu

# Queries, keys, their length, columns of v: each number of quads a workgroup takes, rounds of keys that end inside,
# more columns than one workgroup sums up, and what vectors of 4 do not divide.
SHAPES = (
    (1, 300, 8, 300),
    (1, 5, 4, 1100),
    (6, 70, 12, 20),
    (11, 9, 7, 6),
    (33, 33, 36, 132),
    (64, 65, 32, 32),
    (70, 40, 68, 260),
)


class Attention(Module):
    def forward(self, *inputs: Any) -> Any:
        return scaled_dot_product_attention(*inputs)


class Attentions(Module):
    """Attention of every shape, of inputs of its own, and with a mask."""

    def forward(self, *inputs: Any) -> Any:
        made = {}
        for i in range(len(SHAPES)):
            q, k, v, mask = inputs[4 * i : 4 * i + 4]
            made |= {f"plain{i}": scaled_dot_product_attention(q, k, v)}
            made |= {f"masked{i}": scaled_dot_product_attention(q, k, v, mask).relu()}
        return made


@pytest.mark.parametrize("tiled", [False, True], ids=["direct", "in tiles"])
def test_attention_of_every_shape_answers_as_the_reference(tiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if tiled:
        monkeypatch.setattr(attention, "TILED", 0)
    rng, feeds = np.random.default_rng(5), {}
    for i, (rows, keys, width, columns) in enumerate(SHAPES):
        shapes = {"q": (2, rows, width), "k": (2, keys, width), "v": (2, keys, columns), "m": (rows, keys)}
        feeds |= {f"{name}{i}": rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    graph = trace(Attentions().eval(), {name: f"float32{list(a.shape)}" for name, a in feeds.items()})
    plan, weights, shaders = printed(graph)
    assert tiled == any("tile_q" in shader.source for shader in shaders.shaders.values())
    answers = WebGPUEngine(plan, weights, shaders).run(feeds, {})
    for name, wanted in reference(graph, feeds).items():
        assert_close(wanted, answers[name], 1e-5, name)


def test_only_attention_over_much_holds_tiles_of_queries_and_keys() -> None:
    def source(length: int) -> str:
        shape = f"float32[8, {length}, 64]"
        return printed(trace(Attention().eval(), {"q": shape, "k": shape, "v": shape}))[2].text()

    assert "tile_q" in source(1024)
    assert "tile_q" not in source(128)
    # A browser's first answer waits for a store of each number of it, where the GPU is software.
    assert workgroup_bytes(source(128)) <= 1024
