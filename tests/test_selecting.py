"""What selects by data: the places that are not 0, what a condition picks, what differs, which boxes are kept."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from op_cases import NATIVE, WASM, graph_of, random_case, run_forms

from neurenix import Tensor, no_grad, ops
from neurenix import expr as ex
from neurenix.compiler import passes
from neurenix.dims import Dim
from neurenix.dtypes import dtype
from neurenix.errors import DimensionError, GraphError, UnsupportedError
from neurenix.graph.builder import GraphBuilder
from neurenix.graph.cutting import cut
from neurenix.graph.graph import Graph, Length, check
from neurenix.nn import Module
from neurenix.phynexus.reference import run_graph, run_node
from neurenix.tensor import cat
from neurenix.tensor.selecting import compress, lengths, non_max_suppression, nonzero, sizes, unique, with_length
from neurenix.trace import trace

Array = np.ndarray[Any, Any]
FORMS = [
    pytest.param(NATIVE, marks=pytest.mark.zig, id="native"),
    pytest.param(WASM, marks=[pytest.mark.zig, pytest.mark.wasm], id="wasm"),
]


class Model(Module):
    def __init__(self, forward: Callable[..., Any]) -> None:
        super().__init__()
        self._forward = forward

    def forward(self, *inputs: Tensor) -> Any:
        return self._forward(*inputs)


def traced(forward: Callable[..., Any], inputs: Mapping[str, Any], dims: Any = None) -> Graph:
    return trace(Model(forward), inputs, dims)


def matrix(seed: int, shape: tuple[int, ...] = (5, 7), share: float = 0.4) -> Array:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(shape) < share, rng.standard_normal(shape), 0).astype(np.float32)


# ── eager ───────────────────────────────────────────────────────────────────────────────────────────


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


def unique_of(x: Array, sorted: bool, dim: int | None) -> list[Array]:
    """NumPy's answer; in the order of first appearance where it is not sorted."""
    found, indices, inverse, counts = np.unique(x, True, True, True, axis=dim)
    inverse = inverse.reshape(-1)
    if not sorted:
        order = np.argsort(indices)
        found, indices, counts = found.take(order, 0 if dim is None else dim), indices[order], counts[order]
        inverse = np.argsort(order)[inverse]
    return [found, indices, inverse, counts]


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


# ── boxes ───────────────────────────────────────────────────────────────────────────────────────────


def boxes(seed: int) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    scores = rng.random((2, 3, 40)) if seed % 2 else rng.integers(0, 6, (2, 3, 40)) / 5
    return {"boxes": rng.random((2, 40, 4), dtype=np.float32), "scores": scores.astype(np.float32)}


SETTINGS = [
    (most, overlap, score, centred)
    for most, overlap, score, centred in itertools.product((0, 3, 100), (0.0, 0.4), (None, 0.5), (0, 1))
]


@pytest.mark.peers
@pytest.mark.parametrize(("most", "overlap", "score", "centred"), SETTINGS)
def test_the_boxes_kept_are_onnx_runtimes(most: int, overlap: float, score: float | None, centred: int) -> None:
    import onnx
    import onnxruntime

    names = ["boxes", "scores", "most", "overlap"] + (["score"] if score is not None else [])
    node = onnx.helper.make_node("NonMaxSuppression", names, ["kept"], center_point_box=centred)
    floats = onnx.TensorProto.FLOAT
    inputs = [
        onnx.helper.make_tensor_value_info(n, onnx.TensorProto.INT64 if n == "most" else floats, None) for n in names
    ]
    output = onnx.helper.make_tensor_value_info("kept", onnx.TensorProto.INT64, None)
    graph = onnx.helper.make_graph([node], "g", inputs, [output])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 11)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for seed in range(4):
        feeds = boxes(seed)
        limits = {"most": np.array([most]), "overlap": np.array([overlap], np.float32)}
        limits |= {} if score is None else {"score": np.array([score], np.float32)}
        (expected,) = session.run(None, {**feeds, **limits})
        kept = non_max_suppression(Tensor(feeds["boxes"]), Tensor(feeds["scores"]), most, overlap, score, centred)
        np.testing.assert_array_equal(expected, kept.numpy())


# ── traced ──────────────────────────────────────────────────────────────────────────────────────────

Case = tuple[Callable[..., Any], Callable[..., Any]]

# What a traced model computes of x [n, 7], and what NumPy does.
MODELS: dict[str, Case] = {
    "places": (nonzero, lambda x: np.stack(np.nonzero(x))),
    "places by row": (lambda x: nonzero(x).permute(1, 0), lambda x: np.argwhere(x)),
    "selected": (lambda x: compress(x, x > 0.5), lambda x: x[x > 0.5]),
    "rows": (lambda x: compress(x, x.sum(1) > 0, 0), lambda x: x[x.sum(1) > 0]),
    "columns": (lambda x: compress(x, x[0] != 0, 1), lambda x: x[:, x[0] != 0]),
    "different": (lambda x: unique(x).values, lambda x: np.unique(x)),
    "as they appear": (
        lambda x: list(unique((x * 3).round(), False)),
        lambda x: unique_of(np.round(x * 3), False, None),
    ),
    "of what was selected": (
        lambda x: list(unique(compress((x * 3).round(), x > 0), True)),
        lambda x: unique_of(np.round(x * 3)[x > 0], True, None),
    ),
    "places of what was selected": (
        lambda x: nonzero(compress(x, x > -0.5)),
        lambda x: np.stack(np.nonzero(x[x > -0.5])),
    ),
    "sum": (lambda x: compress(x, x > 0.5).sum(), lambda x: x[x > 0.5].sum()),
    "mean of rows": (lambda x: compress(x, x[:, 0] != 0, 0).mean(0), lambda x: x[x[:, 0] != 0].mean(0)),
    "mean of all": (lambda x: compress(x, x[:, 0] != 0, 0).mean(), lambda x: x[x[:, 0] != 0].mean()),
    "deviation": (lambda x: compress(x, x != 0).std(), lambda x: np.std(x[x != 0], ddof=1)),
    "largest": (lambda x: compress(x, x < 0).amax(), lambda x: x[x < 0].max()),
    "smallest": (lambda x: compress(x, x > 0).amin(), lambda x: x[x > 0].min()),
    "where the largest is": (lambda x: compress(x, x < 0).argmax(0), lambda x: x[x < 0].argmax()),
    "product": (lambda x: compress(x, x != 0).prod(), lambda x: x[x != 0].prod()),
    "all of them": (lambda x: (compress(x, x > 0) > 0).all(), lambda x: np.asarray(True)),
    "sorted": (lambda x: compress(x, x != 0).sort(descending=True).values, lambda x: np.sort(x[x != 0])[::-1]),
    "softmax": (
        lambda x: compress(x, x != 0).softmax(0),
        lambda x: np.exp(x[x != 0]) / np.exp(x[x != 0]).sum(),
    ),
    "running sum": (lambda x: compress(x, x != 0).cumsum(0), lambda x: np.cumsum(x[x != 0])),
    "from behind": (
        lambda x: compress(x, x != 0).apply("cumsum", axis=0, reverse=True),
        lambda x: np.cumsum(x[x != 0][::-1])[::-1],
    ),
    "the last": (
        lambda x: compress(x, x != 0).index_select(0, nonzero(x)[0] * 0 - 1),
        lambda x: x[x != 0][-1:].repeat((x != 0).sum()),
    ),
    "the first few": (lambda x: compress(x, x != 0)[2:5], lambda x: x[x != 0][2:5]),
    "flattened": (lambda x: compress(x, x[:, 0] != 0, 0).reshape(-1), lambda x: x[x[:, 0] != 0].reshape(-1)),
    "behind others": (lambda x: cat([x[0], compress(x, x > 0)]), lambda x: np.concatenate([x[0], x[x > 0]])),
    "products of rows": (
        lambda x: compress(x, x[:, 0] != 0, 0) @ x.permute(1, 0),
        lambda x: x[x[:, 0] != 0] @ x.T,
    ),
    "products over what was selected": (
        lambda x: compress(x, x[:, 0] != 0, 0).permute(1, 0) @ compress(x, x[:, 0] != 0, 0),
        lambda x: x[x[:, 0] != 0].T @ x[x[:, 0] != 0],
    ),
    "gathered": (lambda x: x.apply("gather_nd", nonzero(x).permute(1, 0)), lambda x: x[x != 0]),
    "written": (
        lambda x: (x * 0).apply("scatter_nd", nonzero(x).permute(1, 0), compress(x, x != 0) * 2),
        lambda x: x * 2,
    ),
    "norm": (lambda x: compress(x, x > 0).norm(), lambda x: np.sqrt((x[x > 0] ** 2).sum())),
    "any": (lambda x: (compress(x, x > 0) > 1).any(), lambda x: np.asarray((x[x > 0] > 1).any())),
    "where the smallest is": (lambda x: compress(x, x > 0).argmin(0), lambda x: x[x > 0].argmin()),
    "every row sorted": (
        lambda x: compress(x, x[:, 0] != 0, 0).sort(1).values,
        lambda x: np.sort(x[x[:, 0] != 0], 1),
    ),
    "few sorted": (lambda x: compress(x, x > 0).topk(3).values, lambda x: np.sort(x[x > 0])[::-1][:3]),
    "columns sorted": (
        lambda x: compress(x, x[:, 0] != 0, 0).sort(0).values,
        lambda x: np.sort(x[x[:, 0] != 0], 0),
    ),
    "products one by one": (
        lambda x: compress(x, x[:, 0] != 0, 0).unsqueeze(1) @ compress(x, x[:, 0] != 0, 0).unsqueeze(2),
        lambda x: (x[x[:, 0] != 0] ** 2).sum(1).reshape(-1, 1, 1),
    ),
    "windows of each": (
        lambda x: compress(x, x[:, 0] != 0, 0).unsqueeze(1).unsqueeze(1).max_pool2d((1, 7)),
        lambda x: x[x[:, 0] != 0].max(1).reshape(-1, 1, 1, 1),
    ),
    "variances": (
        lambda x: compress(x, x[:, 0] != 0, 0).var(0, correction=0),
        lambda x: np.var(x[x[:, 0] != 0], 0),
    ),
    "shares of each row": (
        lambda x: compress(x, x[:, 0] != 0, 0).log_softmax(1).exp().sum(1).round(),
        lambda x: np.ones((x[:, 0] != 0).sum()),
    ),
    "one condition twice": (lambda x: compress(x, x > 0.5) * compress(x, x > 0.5), lambda x: x[x > 0.5] ** 2),
    "size": (lambda x: sizes(nonzero(x)), lambda x: np.array([2, (x != 0).sum()])),
}  # fmt: skip

INPUTS = {"x": "float32[n, 7]"}
DIMS = {"n": (1, 6)}


def as_list(result: Any) -> list[Any]:
    return result if isinstance(result, list) else [result]


def feeds_of(*seeds: int) -> list[tuple[dict[str, Array], dict[str, int]]]:
    return [
        ({"x": matrix(seed, (1 + seed % 6, 7), share)}, {"n": 1 + seed % 6})
        for seed, share in zip(seeds, (0.4, 0.8, 1))
    ]


def hold(expected: Any, actual: Mapping[str, Array], what: str) -> None:
    assert len(as_list(expected)) == len(actual)
    for wanted, got in zip(as_list(expected), actual.values()):
        assert np.shape(wanted) == got.shape, what
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6, err_msg=what)


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


# ── what is refused ─────────────────────────────────────────────────────────────────────────────────


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


# ── lengths themselves ──────────────────────────────────────────────────────────────────────────────


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
