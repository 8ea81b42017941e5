"""Claims about patterns: what is written out in parts becomes one op and answers alike, and look-alikes stay."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from neurenix.compiler import passes
from neurenix.graph.graph import Graph
from neurenix.nn import Module
from neurenix.phynexus.reference import run_graph
from neurenix.tensor import Tensor
from neurenix.trace import trace

Function = Callable[[Tensor], Tensor]


def norm(x: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return centred / ((centred * centred).mean(-1, keepdim=True) + 1e-3).sqrt()


def norm_by_reciprocal(x: Tensor) -> Tensor:
    mean = x.mean(-1, keepdim=True)
    return (((x - mean) ** 2).mean(-1, keepdim=True) + 1e-3).sqrt().reciprocal() * (x - mean)


def softmax(x: Tensor) -> Tensor:
    power = (x - x.amax(-1, keepdim=True)).exp()
    return power / power.sum(-1, keepdim=True)


def softmax_of_rows(x: Tensor) -> Tensor:
    power = (x - x.amax(1).unsqueeze(1)).exp()
    return power / power.sum(1).unsqueeze(1)


def norm_of_rows(x: Tensor) -> Tensor:
    centred = x - x.mean(1, keepdim=True)
    return centred / ((centred * centred).mean(1, keepdim=True) + 1e-3).sqrt()


def norm_around_another_mean(x: Tensor) -> Tensor:
    centred = x - (x * 2).mean(-1, keepdim=True)
    return centred / ((centred * centred).mean(-1, keepdim=True) + 1e-3).sqrt()


def sum_along_another_axis(x: Tensor) -> Tensor:
    power = (x - x.amax(-1, keepdim=True)).exp()
    return power / power.sum(1, keepdim=True)


def traced(function: Function) -> Graph:
    class Model(Module):
        def forward(self, x: Tensor) -> Tensor:
            return function(x)

    return trace(Model(), {"x": "float32[n, 5, 6]"}, {"n": (1, 4)}, "model")


def answers_alike(function: Function) -> list[str]:
    """Check the answers after all passes, and return the ops that are left."""
    graph = traced(function)
    better = passes.run(graph)
    feeds = {"x": np.random.default_rng(0).normal(size=(3, 5, 6)).astype(np.float32)}
    expected, actual = (run_graph(g, feeds, {"n": 3})["output"] for g in (graph, better))
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)
    return [node.op for node in better.nodes]


@pytest.mark.parametrize("function", [norm, norm_by_reciprocal])
def test_a_layer_norm_in_parts_is_one_kernel(function: Function) -> None:
    assert ["standardize"] == answers_alike(function)


def test_a_softmax_in_parts_is_one_kernel() -> None:
    assert ["softmax"] == answers_alike(softmax)


def test_a_softmax_along_another_axis_is_one_between_moves() -> None:
    assert "softmax" in answers_alike(softmax_of_rows)


@pytest.mark.parametrize("function", [norm_of_rows, norm_around_another_mean, sum_along_another_axis])
def test_what_only_looks_alike_stays(function: Function) -> None:
    assert not {"standardize", "softmax"} & set(answers_alike(function))


@pytest.mark.parametrize("of", ["int32", "int64"])
def test_one_hot_vectors_times_a_table_are_its_rows_and_zeros_for_no_class(of: str) -> None:
    class Model(Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = Tensor(np.random.default_rng(1).normal(size=(7, 4)).astype(np.float32))

        def forward(self, x: Tensor) -> Tensor:
            return (x.unsqueeze(-1) == Tensor(np.arange(7), of)).cast("float32") @ self.table

    graph = trace(Model(), {"x": f"{of}[n, 3]"}, {"n": (1, 4)}, "model")
    better = passes.run(graph)
    assert "gather" in [n.op for n in better.nodes] and "matmul" not in [n.op for n in better.nodes]
    ends = np.iinfo(of)
    feeds = {"x": np.array([[0, 6, 3], [-1, 7, 2], [ends.min, ends.max, 5]], of)}
    expected, actual = (run_graph(g, feeds, {"n": 3})["output"] for g in (graph, better))
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_attention_turns_nothing_and_scales_once() -> None:
    """As PyTorch exports it: the keys are turned as a stack of matrices, and both operands are scaled."""

    def scores(x: Tensor) -> Tensor:
        heads = x.reshape(-1, 5, 2, 3).permute(0, 2, 1, 3)
        keys = heads.reshape(-1, 5, 3).permute(0, 2, 1).reshape(-1, 2, 3, 5)
        return (heads * 0.5) @ (keys * 0.5)

    assert ["reshape", "permute", "batch_matmul"] == answers_alike(scores)  # a reshape costs nothing
