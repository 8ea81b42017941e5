"""Claims about fused attention: what becomes one node, that it answers as its parts did, and which look-alikes stay."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from gpu_cases import printed
from op_cases import FORMS, Array, assert_close, reference, run_forms
from tracing import traced

import neurenix
from neurenix import Tensor, ops
from neurenix.compiler import passes
from neurenix.compiler.schedule import schedule
from neurenix.graph.graph import Graph
from neurenix.nn import TransformerEncoderLayer
from neurenix.nn.functional import scaled_dot_product_attention as attention
from neurenix.phynexus.webgpu import WebGPUEngine
from neurenix.trace import trace

HEADS = dict.fromkeys("qkv", "float32[n, 3, t, 8]")
ROWS = dict.fromkeys("qkv", "float32[n, t, 24]")
DIMS = {"n": (1, 2), "t": (1, 70)}
Model = tuple[Callable[..., Any], Mapping[str, str]]


def _heads(x: Tensor) -> Tensor:
    return x.reshape(x.shape[0], x.shape[1], 3, 8).permute(0, 2, 1, 3)


def _in_layers(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    y = attention(_heads(q), _heads(k), _heads(v))
    return y.permute(0, 2, 1, 3).reshape(q.shape)


def _exported(q: Tensor, k: Tensor, v: Tensor, m: Tensor) -> Tensor:
    """As frameworks export it: keys turned with their heads, a quotient, a mask of 1 and 0 made additive."""
    scores = (_heads(q) @ k.reshape(k.shape[0], k.shape[1], 3, 8).permute(0, 2, 3, 1)) / 8**0.5
    y = (scores + (1 - m.reshape(m.shape[0], 1, 1, -1)) * -10000).softmax(-1) @ _heads(v)
    return y.permute(0, 2, 1, 3).reshape(q.shape)


def _filled(q: Tensor, k: Tensor, v: Tensor, m: Tensor) -> Tensor:
    return (q @ k.transpose(-1, -2)).masked_fill(m == 0, -1e9).softmax(-1) @ v


# What becomes one `attention`: the function, its inputs, and the ops of the graph that comes of it.
FUSED: Mapping[str, tuple[Callable[..., Any], Mapping[str, str], list[str]]] = {
    "plain": (attention, HEADS, ["attention"]),
    "scaled": (lambda q, k, v: attention(q, k, v, scale=0.3).relu(), HEADS, ["attention"]),
    "causal": (lambda q, k, v: attention(q, k, v, is_causal=True), HEADS, ["iota", "iota", "map", "attention"]),
    "added": (attention, {**HEADS, "m": "float32[n, 1, t, t]"}, ["attention"]),
    "bool": (lambda q, k, v, m: attention(q, k, v, m.reshape(m.shape[0], 1, 1, -1) > 0),
             {**HEADS, "m": "float32[n, t]"}, ["reshape", "map", "map", "attention", "any", "map", "map"]),
    "filled": (_filled, {**HEADS, "m": "float32[t, t]"}, ["map", "map", "attention"]),
    "exported": (_exported, {**ROWS, "m": "float32[n, t]"}, ["map", "attention"]),
    "in layers": (_in_layers, ROWS, ["attention"]),
    "one key's heads": (attention, {**HEADS, "k": "float32[n, 1, t, 8]", "v": "float32[n, 1, t, 8]"}, ["attention"]),
    "wide": (attention, {**HEADS, "v": "float32[n, 3, t, 300]"}, ["attention"]),
    "odd": (attention, {"q": "float32[t, 5]", "k": "float32[9, 5]", "v": "float32[9, 3]"}, ["attention"]),
    "no keys": (attention, {"q": "float32[t, 5]", "k": "float32[0, 5]", "v": "float32[0, 3]"}, ["attention"]),
}  # fmt: skip


def _graph(name: str) -> Graph:
    function, inputs, _ = FUSED[name]
    text = " ".join(inputs.values())
    return traced(function, inputs, {d: bounds for d, bounds in DIMS.items() if f"{d}," in text})


def _feeds(graph: Graph, dims: Mapping[str, int]) -> dict[str, Array]:
    rng = np.random.default_rng(4)
    shapes = {n: tuple(neurenix.dims.evaluate(s, dims) for s in graph.values[n].shape) for n in graph.inputs}
    drawn = {n: rng.standard_normal(s).astype(np.float32) for n, s in shapes.items()}
    if "m" in drawn:  # a mask of 1 and 0, that leaves every query something
        drawn["m"] = (drawn["m"] > 0).astype(np.float32)
        drawn["m"][..., 0] = 1
    return drawn


SIZES = [{"n": 2, "t": 70}, {"n": 1, "t": 33}, {"n": 1, "t": 1}]


@pytest.mark.parametrize("name", FUSED)
def test_written_out_attention_becomes_one_node(name: str) -> None:
    graph, kinds = _graph(name), FUSED[name][2]
    better = passes.run(graph)
    assert sorted(kinds) == sorted(n.op for n in better.nodes if n.op != "reshape" or "reshape" in kinds)
    for dims in SIZES[:2]:
        feeds = _feeds(graph, dims)
        expected, actual = reference(graph, feeds, dims), reference(better, feeds, dims)
        for output, wanted in expected.items():
            np.testing.assert_allclose(actual[output], wanted, rtol=1e-6, atol=1e-7)  # the scale is a float32


@pytest.mark.parametrize("forms", FORMS)
def test_fused_attention_is_compiled(forms: tuple[str, ...]) -> None:
    for name in FUSED:
        graph = _graph(name)
        sizes = [{d: s for d, s in dims.items() if d in graph.dims} for dims in SIZES]
        feeds = [(_feeds(graph, dims), dims) for dims in sizes]
        for form, answers in run_forms(graph, feeds, forms):
            for (arrays, dims), found in zip(feeds, answers):
                for output, wanted in reference(graph, arrays, dims).items():
                    assert_close(wanted, found[output], 2e-6, f"{name} on {form} for {dims}")


@pytest.mark.gpu
@pytest.mark.parametrize("name", FUSED)
def test_fused_attention_answers_on_a_gpu(name: str) -> None:
    graph = _graph(name)
    engine = WebGPUEngine(*printed(graph))
    for given in SIZES:
        dims = {d: s for d, s in given.items() if d in graph.dims}
        feeds = _feeds(graph, dims)
        ((output, wanted),) = reference(graph, feeds, dims).items()
        assert_close(wanted, engine.run(feeds, dims)[output], 2e-6, f"{name} for {dims}")


def test_scores_take_no_memory_that_grows_with_their_number() -> None:
    """50 MB of scores are held 48 queries at a time."""
    graph = traced(attention, dict.fromkeys("qkv", "float32[1, 12, t, 64]"), {"t": (1, 1024)})
    plan, _ = schedule(passes.run(graph))
    operands = 4 * 12 * 1024 * 64 * 4
    assert plan.arena_size < operands + (4 << 20)
    assert schedule(passes.run(graph, optimize=False))[0].arena_size > operands + 12 * 1024 * 1024 * 4


def test_a_transformer_layer_moves_no_heads() -> None:
    layer = TransformerEncoderLayer(16, 2, 32, batch_first=True).eval()
    graph = passes.run(trace(layer, {"x": "float32[n, t, 16]"}, {"n": (1, 2), "t": (1, 8)}))
    found = [n.op for n in graph.nodes if n.op != "reshape"]
    assert [*["matmul"] * 3, "attention", "matmul", "standardize", "matmul", "matmul", "standardize"] == found


@pytest.mark.parametrize(
    "function",
    [
        lambda q, k, v: (w := (q @ k.transpose(-1, -2)).softmax(-1)) @ v + w.sum(),  # the weights are asked for
        lambda q, k, v: (q @ k.transpose(-1, -2)).softmax(-2) @ v,
        lambda q, k, v: (q @ k.transpose(-1, -2)).tanh().softmax(-1) @ v,
        lambda q, k, v: ((s := q @ k.transpose(-1, -2)) + s.exp()).softmax(-1) @ v,
        lambda q, k, v: (q @ k.transpose(-1, -2)).sigmoid() @ v,
    ],
)
def test_what_only_looks_alike_stays(function: Callable[..., Any]) -> None:
    graph = passes.run(traced(function, HEADS, DIMS))
    assert "attention" not in [n.op for n in graph.nodes]


def test_its_flops_are_those_of_two_products_and_a_softmax() -> None:
    row = ops.get("attention")
    outside = row.count_flops([(2, 10, 8), (2, 20, 8), (2, 20, 4)], (2, 10, 4), row.bind({}))
    inside = row.count_flops([(10, 2, 8), (20, 2, 8), (20, 2, 4)], (10, 2, 4), row.bind({"inside": True}))
    assert outside == inside == 2 * 400 * 12 + 5 * 400
