"""Names of outputs, and what cannot be traced or compiled: each refusal names the thing and the way out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neurenix import Tensor
from neurenix import expr as ex
from neurenix.compiler import passes
from neurenix.compiler.schedule import schedule
from neurenix.errors import GraphError, UnsupportedError
from neurenix.nn import Conv2d, Module, ReLU, Sequential
from neurenix.phynexus.reference import run_graph
from neurenix.trace import trace


class _Names(Module):
    def __init__(self, forward: Any) -> None:
        super().__init__()
        self._forward = forward

    def forward(self, *inputs: Tensor) -> Any:
        return self._forward(*inputs)


def test_outputs_may_be_named_like_ops() -> None:
    model = _Names(lambda x: {"mul": (x.relu() * 2).exp(), "relu": x.relu(), "exp_1": x * 3, "constant": x})
    graph = trace(model, {"x": "float32[4]"})
    feeds = {"x": np.array([-1.0, 0.5, 1, 2], np.float32)}
    for found in (run_graph(graph, feeds, {}), run_graph(passes.run(graph), feeds, {})):
        assert ["mul", "relu", "exp_1", "constant"] == list(found)
        np.testing.assert_allclose(np.exp(np.maximum(feeds["x"], 0) * 2), found["mul"], rtol=1e-6)
        np.testing.assert_allclose(feeds["x"] * 3, found["exp_1"])
        np.testing.assert_allclose(feeds["x"], found["constant"])


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        (lambda x: {"x": x.relu()}, "the output 'x' has the name of an input"),
        (lambda x: {"a b": x.relu()}, "the output name 'a b' must match"),
        (lambda x: {3: x.relu()}, "the output name 3 must match"),
        (lambda x: x.relu().numpy(), "has no numbers while the model is being traced"),
        (lambda x: [x, 1], "'output_1' is a int"),
        (lambda x: {}, "has no outputs"),
        (lambda x: x.map(ex.operand(1)), r"op 'map': x1 reads x1, but there are 1 operands"),
    ],
)
def test_outputs_that_cannot_be_named_are_refused(forward: Any, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        trace(_Names(forward), {"x": "float32[4]"})


@pytest.mark.parametrize(
    ("model", "spec", "message"),
    [
        (
            _Names(lambda x: x.apply("max_pool2d_gather", x, kernel_size=(1, 1))),
            "float32[1, 1, 2, 2]",
            r"op 'max_pool2d_gather' \('output'\) has no kernel",
        ),
        (
            _Names(lambda x: x.apply("avg_pool2d", kernel_size=(1, 1))),
            "float64[1, 1, 2, 2]",
            r"op 'avg_pool2d'.*which is float64; its kernel takes float32",
        ),
        (_Names(lambda x: x.permute(6, 5, 4, 3, 2, 1, 0)), "float32[2, 3, 4, 5, 6, 7, 8]", "7 axes"),
        (_Names(lambda x: x.exp()), "float32[40000, 40000]", "MB of working memory"),
    ],
)
def test_what_cannot_be_compiled_is_named(model: Module, spec: str, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        schedule(passes.run(trace(model, {"x": spec})))


def test_a_window_that_does_not_fit_the_smallest_dims_is_refused() -> None:
    spec = {"x": "float32[1, 3, height, 9]"}
    with pytest.raises(GraphError, match=r"is -3 where its dims are smallest: raise the 'min' of height"):
        trace(Conv2d(3, 2, 5), spec, {"height": (1, 10)})
    assert "output" in trace(Conv2d(3, 2, 5), spec, {"height": (5, 10)}).outputs


def test_an_unsupported_op_names_its_layer() -> None:
    gather = _Names(lambda x: x.apply("max_pool2d_gather", x, kernel_size=(1, 1)))
    model = Sequential(Conv2d(3, 4, 1), gather, ReLU())
    with pytest.raises(UnsupportedError, match=r"op 'max_pool2d_gather' .* in layer '1'"):
        schedule(passes.run(trace(model, {"x": "float32[1, 3, 2, 2]"})))
