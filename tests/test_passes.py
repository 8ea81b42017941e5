"""The passes: each keeps a model's answers, and does what it is there for."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from op_cases import assert_close
from random_nets import IMAGE, activation, norm, random_net

from neurenix import Tensor
from neurenix.bundle.description import describe, read_plan
from neurenix.compiler import passes
from neurenix.compiler.schedule import schedule
from neurenix.graph.graph import Graph, check
from neurenix.graph.plan import Plan
from neurenix.nn import Conv2d, Flatten, Linear, MaxPool2d, Module, Parameter, ReLU, Sequential, Softmax
from neurenix.phynexus.reference import run_graph, run_plan, unpack_tensors
from neurenix.trace import trace

RNG = np.random.default_rng(2)
SPEC = {"image": f"float32[batch, {', '.join(map(str, IMAGE))}]"}


def _traced(model: Module, spec: dict[str, str] | None = None) -> Graph:
    return trace(model, SPEC if spec is None else spec, {"batch": (1, 5)} if "batch" in str(spec or SPEC) else None)


def _images(batch: int) -> dict[str, np.ndarray[Any, Any]]:
    return {"image": np.random.default_rng(batch).standard_normal((batch, *IMAGE)).astype(np.float32)}


def ops_of(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


@pytest.mark.parametrize("optimize", [True, False])
@pytest.mark.parametrize("seed", range(80))
def test_every_pass_keeps_the_answers(seed: int, optimize: bool) -> None:
    model = random_net(seed)
    graph = _traced(model)
    feeds, dims = _images(3), {"batch": 3}
    expected = run_graph(graph, feeds, dims, "float64")["output"]
    assert_close(expected, model(feeds["image"]).numpy(), 1e-4, "the model itself")
    for each in passes.OPTIMISED if optimize else passes.REQUIRED:
        graph = check(each(graph))
        assert_close(expected, run_graph(graph, feeds, dims, "float64")["output"], 1e-4, each.__name__)
    plan, weights = schedule(graph)
    again = read_plan(json.loads(json.dumps({**describe(plan), "memory": _memory(plan)}, allow_nan=False)))
    assert describe(plan) == describe(again)
    for batch in (1, 5):
        feeds, dims = _images(batch), {"batch": batch}
        answer = run_plan(again, unpack_tensors(again, weights), feeds, dims)["output"]
        assert_close(run_graph(graph, feeds, dims, "float64")["output"], answer, 1e-4, f"the plan, batch {batch}")
    _assert_nothing_overlaps(plan)


def _memory(plan: Plan) -> dict[str, int]:
    return {"weights": plan.weights_size, "arena": plan.arena_size}


def _assert_nothing_overlaps(plan: Plan) -> None:
    """What a step reads, writes or scribbles on keeps clear of all that is read later."""
    alive = set(plan.outputs)
    for step in reversed(plan.steps):
        touched = {step.output, *([step.scratch] if step.scratch else [])}
        reads = {*step.inputs, *(step.epilogue.inputs if step.epilogue else ())} & plan.buffers.keys()
        for name in touched:
            for other in (alive | reads | touched) - {name}:
                a, b = plan.buffers[name], plan.buffers[other]
                assert a.offset + a.size <= b.offset or b.offset + b.size <= a.offset, f"{name} overlaps {other}"
        alive = (alive - touched) | reads
    assert alive <= set(plan.inputs), "something is read that no step has made"
    assert all(b.offset + b.size <= plan.arena_size for b in plan.buffers.values())


def test_batch_norm_leaves_nothing_behind() -> None:
    model = Sequential(Conv2d(3, 8, 3), norm(RNG, 8), ReLU(), Conv2d(8, 5, 3, bias=False), norm(RNG, 5))
    graph = passes.run(_traced(model))
    assert ["permute", "conv2d", "conv2d", "permute"] == ops_of(graph)
    first, second = (n for n in graph.nodes if n.op == "conv2d")
    assert first.epilogue is not None and second.epilogue is not None
    # two weights and two shifts by channel: no scale is left
    assert ["add(x0, x1)", 1] == [repr(second.epilogue.expr), len(second.epilogue.inputs)]
    assert [1] == [len(first.epilogue.inputs)]
    assert 4 == len(graph.constants)


def test_scales_and_shifts_fold_into_a_linear_layer() -> None:
    class Scaled(Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = Linear(4, 3)
            self.by = Parameter(np.array([1.0, 2.0, 3.0], np.float32))

        def forward(self, *inputs: Tensor) -> Tensor:
            return (self.layer(inputs[0]) * self.by - 1) / self.by + self.by

    graph = trace(Scaled(), {"x": "float32[batch, 4]"})
    folded = passes.run(graph)
    assert ["matmul"] == ops_of(folded)
    assert 2 == len(folded.constants)
    feeds = {"x": RNG.standard_normal((3, 4)).astype(np.float32)}
    answer = run_graph(folded, feeds, {"batch": 3})["output"]
    assert_close(run_graph(graph, feeds, {"batch": 3}, "float64")["output"], answer, 1e-6, "folded")


def test_an_output_that_is_a_reshape_keeps_its_shape_in_the_plan() -> None:
    graph = passes.run(trace(Flatten(), {"x": "float32[batch, 2, 3]"}))
    plan, weights = schedule(graph)
    feeds = {"x": RNG.standard_normal((2, 2, 3)).astype(np.float32)}
    answer = run_plan(plan, unpack_tensors(plan, weights), feeds, {"batch": 2})["output"]
    np.testing.assert_array_equal(feeds["x"].reshape(2, 6), answer)
    assert answer.flags.writeable and not np.shares_memory(answer, feeds["x"])


def test_a_scale_stays_when_the_unscaled_value_is_needed_too() -> None:
    class Both(Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = Linear(4, 3, bias=False)

        def forward(self, *inputs: Tensor) -> dict[str, Tensor]:
            y = self.layer(inputs[0])
            return {"plain": y, "scaled": y * np.array([1, 2, 3], np.float32)}

    graph = trace(Both(), {"x": "float32[2, 4]"})
    feeds = {"x": RNG.standard_normal((2, 4)).astype(np.float32)}
    before, after = run_graph(graph, feeds, {}), run_graph(passes.run(graph), feeds, {})
    for name in before:
        assert_close(before[name], after[name], 1e-6, name)


def test_elementwise_tails_become_epilogues() -> None:
    model = Sequential(Conv2d(3, 8, 3, padding=1), ReLU(), Flatten(), Linear(8 * 11 * 13, 4), *(ReLU(),) * 3)
    graph = passes.run(_traced(model))
    assert "map" not in ops_of(graph)
    assert all(n.epilogue is not None for n in graph.nodes if n.op in ("conv2d", "matmul"))


def test_a_bias_made_at_run_time_is_no_constant_by_channel() -> None:
    class Shifted(Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = Linear(4, 9, bias=False)

        def forward(self, *inputs: Tensor) -> Tensor:
            return self.layer(inputs[0]) + inputs[1]

    graph = passes.run(trace(Shifted(), {"x": "float32[batch, 4]", "shift": "float32[9]"}))
    assert ["matmul", "map"] == ops_of(graph)


def test_only_the_borders_are_permuted() -> None:
    body = [Conv2d(3, 8, 3, padding=1), norm(RNG, 8), activation(RNG), MaxPool2d(2), Conv2d(8, 4, 1), ReLU()]
    assert 2 == ops_of(passes.run(_traced(Sequential(*body)))).count("permute")
    flat = passes.run(_traced(Sequential(*body, Flatten(), Linear(4 * 5 * 6, 3))))
    assert 1 == ops_of(flat).count("permute")  # the flattening is folded into the rows of the weight
    grey = Sequential(Conv2d(1, 4, 3), ReLU(), Flatten(), Linear(4 * 6 * 6, 2))
    assert 0 == ops_of(passes.run(_traced(grey, {"x": "float32[batch, 1, 8, 8]"}))).count("permute")


def test_an_inner_softmax_is_lowered_to_the_last_axis() -> None:
    graph = passes.run(_traced(Sequential(Conv2d(3, 5, 1), Softmax(1))))
    assert [-1] == [n.attrs["axis"] for n in graph.nodes if n.op == "softmax"]


def test_long_chains_stay_readable() -> None:
    class Long(Module):
        def forward(self, *inputs: Tensor) -> Tensor:
            y = inputs[0]
            for i in range(120):
                y = (y * 0.99 + i / 1000).tanh()
            for _ in range(40):
                y = y.silu()  # reads its operand twice: written out as one tree it would have 2**40 leaves
            return y

    graph = trace(Long(), {"x": "float32[7]"})
    plan, weights = schedule(passes.run(graph))
    text = json.dumps({**describe(plan), "memory": _memory(plan)}, allow_nan=False)
    assert len(text) < 100_000
    again = read_plan(json.loads(text))
    feeds = {"x": RNG.standard_normal(7).astype(np.float32)}
    answer = run_plan(again, unpack_tensors(again, weights), feeds, {})["output"]
    assert_close(run_graph(graph, feeds, {}, "float64")["output"], answer, 1e-5, "a chain of 160")


def test_infinite_constants_pass_through_json() -> None:
    class Clamp(Module):
        def forward(self, *inputs: Tensor) -> Tensor:
            return inputs[0].maximum(float("-inf")).minimum(float("inf"))

    plan, _ = schedule(passes.run(trace(Clamp(), {"x": "float32[3]"})))
    text = json.dumps({**describe(plan), "memory": _memory(plan)}, allow_nan=False)
    assert plan.steps[0].attrs == read_plan(json.loads(text)).steps[0].attrs
