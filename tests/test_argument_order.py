"""Inputs that are named as forward()'s arguments are these arguments, in whatever order they are written."""

from __future__ import annotations

import numpy as np
import pytest

from neurenix.nn import Module
from neurenix.phynexus.reference import run_graph
from neurenix.tensor import Tensor
from neurenix.trace import trace
from neurenix.wasm import run_in_browser


class Difference(Module):
    def forward(self, left: Tensor, right: Tensor, by: float = 1.0) -> Tensor:
        return (left - right) * by


@pytest.mark.parametrize("names", [("left", "right"), ("right", "left")])
def test_a_named_argument_is_that_argument(names: tuple[str, str]) -> None:
    values = {"left": np.full(3, 5.0, np.float32), "right": np.full(3, 2.0, np.float32)}
    graph = trace(Difference(), dict.fromkeys(names, "float32[3]"))
    assert names == graph.inputs
    assert [3.0] * 3 == run_graph(graph, values, {})["output"].tolist()
    assert [3.0] * 3 == run_in_browser(Difference(), {name: values[name] for name in names})["output"].tolist()


class Optional(Module):
    def forward(self, x: Tensor, added: Tensor | None = None, taken: Tensor | None = None) -> Tensor:
        y = x if added is None else x + added
        return y if taken is None else y - taken


@pytest.mark.parametrize(("names", "wanted"), [(("x", "taken"), 4.0), (("taken", "x"), 4.0), (("x", "added"), 6.0)])
def test_an_argument_behind_one_that_is_left_out_is_that_argument(names: tuple[str, str], wanted: float) -> None:
    values = {"x": np.full(2, 5.0, np.float32), names[names[0] == "x"]: np.full(2, 1.0, np.float32)}
    graph = trace(Optional(), dict.fromkeys(names, "float32[2]"))
    assert [wanted] * 2 == run_graph(graph, values, {})["output"].tolist()
    assert [wanted] * 2 == run_in_browser(Optional(), {name: values[name] for name in names})["output"].tolist()


def test_names_of_ones_own_are_in_order() -> None:
    graph = trace(Difference(), {"right_hand": "float32[1]", "left_hand": "float32[1]"})
    values = {"right_hand": np.array([5.0], np.float32), "left_hand": np.array([2.0], np.float32)}
    assert [3.0] == run_graph(graph, values, {})["output"].tolist()
