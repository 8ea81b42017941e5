"""Lengths that depend on data: what would mix padding in is refused, and what counts is cut out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from selecting_cases import DIMS, INPUTS, matrix, traced

from neurenix import Tensor, no_grad
from neurenix import expr as ex
from neurenix.compiler import passes
from neurenix.errors import DimensionError, GraphError, UnsupportedError
from neurenix.graph.cutting import cut
from neurenix.graph.graph import Length, check
from neurenix.phynexus.reference import run_graph
from neurenix.tensor import cat
from neurenix.tensor.selecting import compress, lengths, nonzero, with_length


def _below(limit: float) -> ex.Expr:
    return ex.call("lt", ex.operand(0), limit)


REFUSED: dict[str, tuple[Callable[..., Any], str]] = {
    "two selections": (lambda x: compress(x, x > 0) + compress(x, x < 0), r"op 'add'.*axis 0 has two lengths"),
    "almost one selection": (
        lambda x: compress(x, x.map(_below(0.5), dtype="bool")) + compress(x, x.map(_below(0.5000001), dtype="bool")),
        r"op 'add'.*axis 0 has two lengths",
    ),
    "a part and a whole": (lambda x: compress(x, x[:, 0] > 0, 0) * x, r"op 'mul'.*the whole of .* meets a part"),
    "a part behind a part": (lambda x: cat([compress(x, x > 0), x[0]]), "would follow behind the padding of axis 0"),
    "beside each other": (lambda x: cat([compress(x, x[:, 0] > 0, 0), x], 1), "the whole of one input"),
    "windows": (lambda x: compress(x, x > 0).reshape(1, 1, 1, -1).max_pool2d((1, 2)), "reach into the padding"),
    "the end": (lambda x: compress(x, x > 0)[:-1], "counted from an end that is not known"),
    "backwards": (lambda x: compress(x, x > 0).flip(0), "counted from an end that is not known"),
    "split": (lambda x: compress(x, x[:, 0] > 0, 0).reshape(7, -1), "does not say where axis 0 goes"),
    "padded": (lambda x: compress(x, x > 0).pad((0, 1)), "would not follow what counts"),
    "averages": (lambda x: compress(x, x[0] > 0, 1).apply("standardize"), "would count in its averages"),
    "written into": (lambda x: compress(x, x > 0).index_fill(0, [0], 1), "writes into a part"),
    "no rule": (lambda x: compress(x, x[:, 0] > 0, 0).apply("moments", axes=(1,)), "op 'moments'.*mix what counts"),
}  # fmt: skip


@pytest.mark.parametrize(("model", "message"), REFUSED.values(), ids=REFUSED)
def test_what_would_mix_padding_in_is_refused(model: Callable[..., Any], message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        traced(model, INPUTS, DIMS)


def test_one_number_may_meet_a_part() -> None:
    graph = traced(lambda x: compress(x, x > 0).clip(0, 1) + Tensor(np.ones(3 * 7, np.float32)), {"x": "float32[3, 7]"})
    x = matrix(0, (3, 7))
    np.testing.assert_allclose(np.clip(x[x > 0], 0, 1) + 1, run_graph(graph, {"x": x}, {})["output"])


def test_a_length_of_ones_own_is_kept_and_a_larger_one_is_an_error() -> None:
    graph = traced(lambda x, k: with_length(x.exp(), 1, k), {"x": "float32[2, 7]", "k": "int64[]"})
    assert (Length(1, graph.lengths["output"][0].value),) == graph.lengths["output"]
    x = matrix(0, (2, 7))
    for k in (0, 3, 7):
        np.testing.assert_allclose(
            np.exp(x)[:, :k], run_graph(graph, {"x": x, "k": np.array(k)}, {})["output"], rtol=1e-6
        )
    for k in (8, -1):
        with pytest.raises(DimensionError, match=rf"'output' has {k} along axis 1, and was planned for 7 at most"):
            run_graph(graph, {"x": x, "k": np.array(k)}, {})
    with pytest.raises(GraphError, match=r"a length is an int64 scalar, got float32\[1\]"):
        with_length(Tensor([1.0, 2.0]), 0, Tensor([1.0]))
    assert [1.0] == with_length(Tensor([1.0, 2.0]), 0, Tensor(1)).tolist()


def test_eager_tensors_have_no_lengths() -> None:
    with no_grad():
        assert {} == lengths(nonzero(Tensor([1.0])))


def test_several_axes_are_cut_to_a_copy() -> None:
    x = np.arange(24).reshape(2, 3, 4)
    y = cut(x, {0: 1, 2: 3}, "y")
    assert x[:1, :, :3].tolist() == y.tolist()
    assert y.base is None and y.flags.c_contiguous
    assert x is cut(x, {}, "y")


def test_both_axes_of_an_output_may_have_lengths() -> None:
    graph = traced(lambda x: compress(compress(x, x[:, 0] != 0, 0), x[0] != 0, 1), {"x": "float32[5, 7]"})
    assert [0, 1] == [x.axis for x in graph.lengths["output"]]
    x = matrix(2, share=0.6)
    np.testing.assert_array_equal(x[x[:, 0] != 0][:, x[0] != 0], run_graph(passes.run(graph), {"x": x}, {})["output"])


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ({"other": (Length(0, "sum"),)}, "not those of an output"),
        ({"output": (Length(2, "sum"),)}, "not those of an output"),
        ({"output": (Length(1, "sum"), Length(1, "sum"))}, "not those of an output"),
        ({"output": (Length(1, "ghost"),)}, "made by no node"),
        ({"output": (Length(1, "output"),)}, "is no int64 scalar"),
    ],
)
def test_a_graph_with_wrong_lengths_is_refused(lengths: Any, message: str) -> None:
    graph = traced(nonzero, INPUTS, DIMS)
    object.__setattr__(graph, "lengths", lengths)
    with pytest.raises(GraphError, match=message):
        check(graph)
