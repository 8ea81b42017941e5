"""What selects by data: the places that are not 0, what a condition picks, what differs, which boxes are kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from op_cases import FORMS, graph_of, random_case, run_forms
from selecting_cases import DIMS, INPUTS, MODELS, as_list, boxes, feeds_of, hold, matrix, traced, unique_of

from neurenix import Tensor, ops
from neurenix.compiler import passes
from neurenix.dims import Dim
from neurenix.dtypes import dtype
from neurenix.errors import GraphError
from neurenix.graph.builder import GraphBuilder
from neurenix.graph.cutting import cut
from neurenix.phynexus.reference import run_graph, run_node
from neurenix.tensor.selecting import compress, non_max_suppression, nonzero, unique

Array = np.ndarray[Any, Any]


@pytest.mark.parametrize("kind", ["float32", "int64", "int32", "int8", "uint8", "bool"])
@pytest.mark.parametrize("share", [0, 0.3, 1])
def test_the_places_are_numpys(kind: str, share: float) -> None:
    x = (matrix(0, (3, 4, 5), share) * 4).astype(kind)
    np.testing.assert_array_equal(np.stack(np.nonzero(x)), nonzero(Tensor(x)).numpy())


@pytest.mark.parametrize("dim", [None, 0, 1, -1])
def test_what_a_condition_picks_is_numpys(dim: int | None) -> None:
    x = matrix(1)
    for condition in ([True, False, True, True], [False] * 5, [True] * 3):
        expected = np.compress(condition, x, dim)
        np.testing.assert_array_equal(expected, compress(Tensor(x), Tensor(np.array(condition)), dim).numpy())
    with pytest.raises(GraphError, match=r"a condition for the 5 elements of axis 0 has the shape \[6\]"):
        compress(Tensor(x), Tensor(np.ones(6, bool)), 0)


@pytest.mark.parametrize("sorted", [True, False])
@pytest.mark.parametrize("dim", [None, 0, 1, -1])
@pytest.mark.parametrize("kind", ["float32", "int64", "uint8", "bool"])
def test_what_differs_is_numpys(sorted: bool, dim: int | None, kind: str) -> None:
    for seed in range(4):
        x = np.random.default_rng(seed).integers(0, 3, (6, 4 if dim in (None, 0) else 9)).astype(kind)
        for expected, actual in zip(unique_of(x, sorted, dim), unique(Tensor(x), sorted, dim)):
            np.testing.assert_array_equal(expected, actual.numpy())


def test_nan_is_one_value() -> None:
    x = np.array([np.nan, 1, np.nan, -np.inf], np.float32)
    for expected, actual in zip(unique_of(x, True, None), unique(Tensor(x))):
        np.testing.assert_array_equal(expected, actual.numpy())


@pytest.mark.parametrize("name", MODELS)
def test_a_traced_model_gives_numpys_answers_and_has_their_size(name: str) -> None:
    model, expected = MODELS[name]
    graph = traced(model, INPUTS, DIMS)
    for feeds, dims in feeds_of(5, 3, 0):
        hold(expected(feeds["x"]), run_graph(graph, feeds, dims), name)
        hold(expected(feeds["x"]), run_graph(passes.run(graph), feeds, dims), name)


GARBAGE = {"f": np.nan, "i": 10**9 + 7, "u": 77, "b": True}


@pytest.mark.parametrize("name", MODELS)
def test_no_answer_depends_on_padding(name: str) -> None:
    """Spoil what lies behind every length, of every value on the way."""
    model, expected = MODELS[name]
    builder = GraphBuilder("model", {"n": (1, 6)})
    with builder.recording():
        outputs = [y.traced for y in as_list(model(Tensor(builder.input("x", dtype("float32"), (Dim.symbol("n"), 7)))))]
    for feeds, dims in feeds_of(5, 3, 0):
        values: dict[str, Array] = {**builder.constants, **feeds}
        for node in builder.nodes:
            made = run_node(node, [values[i] for i in node.inputs], dims).copy()
            for axis, length in builder.lengths.get(node.output, {}).items():
                behind = (slice(None),) * axis + (slice(int(values[length.name]), None),)
                made[behind] = GARBAGE[made.dtype.kind]
            values[node.output] = made
        found = {
            y.name: cut(
                values[y.name], {a: int(values[n.name]) for a, n in builder.lengths.get(y.name, {}).items()}, "y"
            )
            for y in outputs
        }
        hold(expected(feeds["x"]), found, name)


@pytest.mark.parametrize("forms", FORMS)
@pytest.mark.parametrize("optimize", [True, False], ids=["optimised", "plain"])
def test_compiled_models_give_numpys_answers_and_have_their_size(forms: tuple[str, ...], optimize: bool) -> None:
    def every(x: Tensor) -> dict[str, Tensor]:
        return {f"y{i}_{j}": y for i, (f, _) in enumerate(MODELS.values()) for j, y in enumerate(as_list(f(x)))}

    feeds = feeds_of(5, 3, 0)
    for form, answers in run_forms(traced(every, INPUTS, DIMS), feeds, forms, optimize):
        for (given, _), found in zip(feeds, answers):
            for i, (name, (_, expected)) in enumerate(MODELS.items()):
                part = {k: v for k, v in found.items() if k.startswith(f"y{i}_")}
                hold(expected(given["x"]), part, f"{name} on {form}")


@pytest.mark.parametrize("forms", FORMS)
def test_kernels_give_the_oracles_answers_and_minus_one_behind_them(forms: tuple[str, ...]) -> None:
    cases = [random_case(ops.get(name), seed) for name in ("nonzero", "non_max_suppression") for seed in range(60)]
    graph, feeds = graph_of(cases)
    whole = replace(graph, lengths={})
    expected = run_graph(whole, feeds, {}, "float64")
    for form, (answers,) in run_forms(whole, [(feeds, {})], forms):
        for at, case in enumerate(cases):
            np.testing.assert_array_equal(
                answers[f"y{at}"], expected[f"y{at}"], f"{case.row.name} {case.attrs} on {form}"
            )


@pytest.mark.parametrize("forms", FORMS)
def test_compiled_boxes_are_those_of_the_reference(forms: tuple[str, ...]) -> None:
    def model(boxes: Tensor, scores: Tensor, limit: Tensor) -> dict[str, Tensor]:
        kept = non_max_suppression(boxes, scores, limit, 0.3, 0.2)
        best = non_max_suppression(boxes, scores, 2, 0.3, center_point_box=1)
        chosen = boxes[0].index_select(0, kept[:, 2])
        return {"kept": kept, "best": best, "chosen": chosen, "area": chosen.prod(1).sum()}

    graph = traced(
        model, {"boxes": "float32[b, 40, 4]", "scores": "float32[b, 3, 40]", "limit": "int64[1]"}, {"b": (1, 2)}
    )
    assert {"kept": (0,), "best": (0,), "chosen": (0,)} == {
        k: tuple(x.axis for x in v) for k, v in graph.lengths.items()
    }
    feeds: list[Any] = [({**boxes(seed), "limit": np.array([seed])}, {"b": 2}) for seed in (0, 1, 50)]
    expected = [run_graph(graph, *feed) for feed in feeds]
    assert [0, 6] == [len(e["kept"]) for e in expected[:2]]
    for form, answers in run_forms(graph, feeds, forms):
        for wanted, found in zip(expected, answers):
            for name in wanted:
                np.testing.assert_allclose(found[name], wanted[name], rtol=1e-5, err_msg=f"{name} on {form}")
