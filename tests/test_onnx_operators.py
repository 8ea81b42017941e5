"""Claims about single ONNX operators that ONNX's own cases do not make: odd attributes, refusals, symbolic axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator
from onnx_models import model, node

from neurenix.errors import ModelError, NeurenixError, UnsupportedError
from neurenix.frontends.onnx import import_onnx
from neurenix.phynexus.reference import run_graph

Array = np.ndarray[Any, Any]

X = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)


def whole(*numbers: int) -> Array:
    return np.array(numbers, np.int64)


# ── refusals ────────────────────────────────────────────────────────────────────────────────────────

# An operator, what it makes of float32[2, 3, 4] with these constants and attributes, and what the error says.
REFUSED: list[tuple[str, list[Array | None], dict[str, Any], int, str]] = [
    ("Transpose", [], {"perm": [0, 0, 1]}, 20, "no permutation"),
    ("Softmax", [], {"axis": 3}, 13, "axis 3 is out of range"),
    ("Hardmax", [], {"axis": -4}, 9, "axis -4 is out of range"),
    ("Squeeze", [whole(1)], {}, 13, r"leaves out axis 1 of \[2, 3, 4\], which is not of size 1"),
    ("Squeeze", [], {"axes": [7]}, 7, "axis 7 is out of range"),
    ("Unsqueeze", [whole(0, -5)], {}, 13, "name one of 5 twice"),
    ("Flatten", [], {"axis": 4}, 20, "axis 4 is not within"),
    ("Split", [whole(2, 2)], {"axis": 1}, 13, "are not what an axis of 3 has"),
    ("Split", [whole(4, -1)], {"axis": 1}, 13, "are not what an axis of 3 has"),
    ("Split", [], {"axis": 1, "num_outputs": 2}, 18, "1 outputs, and its attribute 'num_outputs' is 2"),
    ("Slice", [whole(0), whole(1), whole(0), whole(0)], {}, 13, "by steps of 0"),
    ("Slice", [whole(0, 0), whole(1, 1), whole(1, -2)], {}, 13, "or twice"),
    ("Slice", [whole(0), whole(1, 2)], {}, 13, "1 starts, 2 ends"),
    ("Tile", [whole(1, 1)], {}, 13, "one count for each of 3 axes"),
    ("Tile", [whole(1, 1, -1)], {}, 13, "one count for each of 3 axes"),
    ("Tile", [whole(1, 1, 2**40)], {}, 13, "the limit is"),
    ("Expand", [whole(2**31, 1, 1, 1)], {}, 13, "the limit is"),
    ("Expand", [whole(2, 5, 4)], {}, 13, "do not broadcast"),
    ("Pad", [whole(1, 1)], {}, 13, "two for each of them"),
    ("Pad", [whole(0, 0, 2**40, 0, 0, 0)], {}, 13, "the limit is"),
    ("Pad", [whole(0, 0, -3, 0, 0, -3)], {}, 13, "no size is below 0"),
    ("Pad", [whole(0, 0, 4, 0, 0, 0)], {"mode": "reflect"}, 13, "pads an axis of 4 by 3 at most"),
    ("Pad", [whole(0, 0, 0, 0, 0, 0)], {"mode": "mirror"}, 13, "constant, reflect, edge, wrap"),
    ("Gather", [whole(3)], {"axis": 1}, 13, "index 3 is out of range for 3"),
    ("Gather", [whole(0)], {"axis": 3}, 13, "axis 3 is out of range"),
    ("GatherND", [whole(0, 0, 0, 0)], {}, 13, "name 4 axes"),
    ("GatherND", [np.zeros((2, 1), np.int64)], {"batch_dims": 5}, 13, "batch axes"),
    ("ScatterND", [np.zeros((1, 1), np.int64), X[:1]], {"reduction": "mean"}, 18, "one of none, add, mul, max, min"),
    ("ReduceSum", [whole(1, -2)], {}, 13, "name one of 3 twice"),
    ("ReduceMean", [], {"axes": [3]}, 13, "axis 3 is out of range"),
    ("ArgMax", [], {"axis": 3}, 13, "axis 3 is out of range"),
    ("CumSum", [whole(0, 1)], {}, 14, "its axis is one number"),
    ("TopK", [whole(5)], {"axis": -1}, 11, "cannot take 5 elements along axis -1 of 4"),
    ("TopK", [whole(-1)], {}, 11, "cannot take -1"),
    ("Celu", [], {"alpha": 0.0}, 12, "alpha"),
    ("Clip", [np.zeros(2, np.float32)], {}, 13, "a limit is one number"),
    ("DepthToSpace", [], {"blocksize": 2}, 13, "an image of 4 axes"),
    ("BitShift", [whole(1)], {"direction": "UP"}, 11, "LEFT or RIGHT"),
    ("ReverseSequence", [whole(1, 1)], {"batch_axis": 0, "time_axis": -3}, 10, "are not two of 3"),
    ("Trilu", [None, np.zeros((), np.float32)], {}, 14, "inputs too many"),
    ("EyeLike", [], {}, 9, "a matrix like one"),
    ("Cast", [], {"to": onnx.TensorProto.STRING}, 13, "string"),
    ("Cast", [], {"to": 99}, 13, "unknown element type 99"),
    ("BitCast", [], {"to": onnx.TensorProto.INT64}, 26, "another size"),
    ("Dropout", [np.float32(0.5), np.array(True)], {}, 13, "export the model for inference"),
    ("Constant", [], {"value_string": "a"}, 13, "value_string"),
]  # fmt: skip


@pytest.mark.parametrize(("op", "constants", "attributes", "opset", "message"), REFUSED)
def test_attributes_that_make_no_sense_are_refused_with_the_node(
    op: str, constants: list[Array | None], attributes: dict[str, Any], opset: int, message: str
) -> None:
    names = [f"c{i}" if c is not None else "" for i, c in enumerate(constants)]
    inputs = [] if op == "Constant" else ["x", *names]
    proto = onnx.helper.make_node(op, inputs, ["y"], name="culprit", **attributes)
    known = {n: np.asarray(c) for n, c in zip(names, constants) if c is not None}
    with pytest.raises((ModelError, UnsupportedError), match=rf"node 'culprit' \({op}\): .*{message}"):
        import_onnx(model([proto], {"x": [2, 3, 4]}, ["y"], known, opset=opset))


@pytest.mark.parametrize("channels", [2, 6])
def test_channels_that_are_no_whole_number_of_blocks_are_refused(channels: int) -> None:
    proto = model([node("DepthToSpace", "x", "y", blocksize=2)], {"x": [1, channels, 2, 2]}, ["y"])
    with pytest.raises(ModelError, match=f"its {channels} channels"):
        import_onnx(proto)


def test_a_range_of_a_billion_numbers_is_refused() -> None:
    constants = {"a": np.int64(0), "b": np.int64(2**62), "c": np.int64(1)}
    with pytest.raises(NeurenixError, match="Range"):
        import_onnx(model([node("Range", "a b c", "y")], {}, ["y"], constants))


def test_the_size_of_a_result_that_data_decides_is_refused_with_the_way_out() -> None:
    proto = model([node("Expand", "x s", "y")], {"x": [1], "s": [1]}, ["y"], dtypes={"s": np.int64})
    with pytest.raises(UnsupportedError, match="fix it with constants="):
        import_onnx(proto)
    graph = import_onnx(proto, constants={"s": whole(3)})
    assert (3,) == graph.values["y"].shape


# ── values ──────────────────────────────────────────────────────────────────────────────────────────


def _both(proto: onnx.ModelProto, feeds: dict[str, Array], dims: dict[str, int]) -> tuple[list[Any], list[Any]]:
    expected = ReferenceEvaluator(proto).run(None, feeds)
    actual = run_graph(import_onnx(proto), feeds, dims)
    return [np.asarray(a).tolist() for a in expected], [a.tolist() for a in actual.values()]


def test_limits_that_are_computed_at_run_time() -> None:
    proto = model(
        [node("Clip", "x low high", "y")], {"x": [4], "low": [], "high": []}, ["y"],
    )  # fmt: skip
    x = np.array([-3, -1, 1, 3], np.float32)
    expected, actual = _both(proto, {"x": x, "low": np.array(-2, np.float32), "high": np.array(0.5, np.float32)}, {})
    assert expected == actual


def test_a_limit_that_is_left_out_is_none() -> None:
    graph = import_onnx(model([node("Clip", "x", "y")], {"x": [3]}, ["y"], opset=13))
    x = np.array([-np.inf, 1, np.inf], np.float32)
    assert x.tolist() == run_graph(graph, {"x": x}, {})["y"].tolist()


def test_padding_with_a_number_that_is_computed_at_run_time() -> None:
    proto = model([node("Pad", "x pads v", "y")], {"x": [2], "v": []}, ["y"], {"pads": whole(1, 2)})
    expected, actual = _both(proto, {"x": np.ones(2, np.float32), "v": np.array(7, np.float32)}, {})
    assert expected == actual


def test_large_integers_pass_through_pad_and_clip_exactly() -> None:
    big = 2**53 + 1
    nodes = [node("Pad", "x pads v", "p"), node("Clip", "p low", "y")]
    constants = {"pads": whole(0, 1), "v": np.int64(-big), "low": np.int64(-big)}
    proto = model(nodes, {"x": [1]}, ["y"], constants, dtypes={"x": np.int64})
    y = run_graph(import_onnx(proto), {"x": whole(big)}, {})["y"]
    assert [big, -big] == y.tolist()


def test_softplus_of_large_numbers_is_finite() -> None:
    """ONNX's own body, log(exp(x) + 1), overflows in float32 from 89 on."""
    graph = import_onnx(model([node("Softplus", "x", "y")], {"x": [2]}, ["y"]))
    y = run_graph(graph, {"x": np.array([100, -100], np.float32)}, {})["y"]
    np.testing.assert_allclose([100, 0], y, rtol=1e-6, atol=1e-30)


def test_the_last_of_equal_largest_along_a_symbolic_axis() -> None:
    proto = model([node("ArgMax", "x", "y", axis=1, select_last_index=1)], {"x": [2, "n"]}, ["y"])
    x = np.array([[1, 5, 5, 0], [7, 7, 7, 7]], np.float32)
    expected, actual = _both(proto, {"x": x}, {"n": 4})
    assert expected == actual


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Softmax", "x", "y", axis=1)], [node("Hardmax", "x", "y", axis=0)], [node("Trilu", "x", "y")],
        [node("Tile", "x twice", "y")], [node("Pad", "x pads", "y")], [node("EyeLike", "x", "y", k=1)],
        [node("ReduceMax", "x", "y")], [node("Slice", "x one most one minus", "y")],
        [node("Flatten", "x", "y", axis=2)],
        [node("Cast", "x", "i", to=7), node("OneHot", "i four values", "y", axis=0)],
        [node("Shape", "x", "s"), node("Gather", "s one", "n"), node("TopK", "x n", "y i", axis=1)],
        [node("Shape", "x", "s"), node("Tile", "x s", "y")],
        [node("Shape", "x", "s"), node("ReduceProd", "s", "n", keepdims=0), node("Cast", "x", "i", to=7),
         node("OneHot", "i n values", "y")],
    ],
    ids=lambda nodes: nodes[-1].op_type,
)  # fmt: skip
def test_operators_along_symbolic_axes(nodes: list[onnx.NodeProto]) -> None:
    constants = {
        "twice": whole(2, 1), "pads": whole(0, 1, 2, 0), "one": whole(1), "most": whole(-(2**63)), "minus": whole(-1),
        "four": np.int64(4), "values": np.array([0, 1], np.float32),
    }  # fmt: skip
    used = {i for n in nodes for i in n.input}
    proto = model(nodes, {"x": ["m", "n"]}, ["y"], {k: v for k, v in constants.items() if k in used}, opset=18)
    for m, n in ((1, 1), (2, 3), (5, 4)):
        x = np.random.default_rng(0).permutation(m * n).reshape(m, n).astype(np.float32)
        expected = ReferenceEvaluator(proto).run(None, {"x": x})
        actual = run_graph(import_onnx(proto), {"x": x}, {"m": m, "n": n})
        np.testing.assert_allclose(expected[0], actual["y"], rtol=1e-6, atol=1e-7)


def test_a_cache_is_written_at_each_batchs_own_place() -> None:
    nodes = [node("TensorScatter", "past new at", "y", axis=1, mode="circular")]
    proto = model(nodes, {"past": [2, "t", 3], "new": [2, 2, 3], "at": [2]}, ["y"], opset=24, dtypes={"at": np.int64})
    past, new = np.zeros((2, 5, 3), np.float32), np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    expected = past.copy()
    expected[0, [1, 2]], expected[1, [4, 0]] = new[0], new[1]
    graph = import_onnx(proto, dims={"t": (2, 9)})
    assert np.array_equal(expected, run_graph(graph, {"past": past, "new": new, "at": whole(1, 4)}, {"t": 5})["y"])


def test_constants_are_computed_at_build_time() -> None:
    nodes = [node("Constant", "", "c", value_floats=[1.0, 4.0]), node("Sqrt", "c", "r"), node("Add", "x r", "y")]
    graph = import_onnx(model(nodes, {"x": [2]}, ["y"]))
    assert ["add"] == [n.op for n in graph.nodes]


def test_a_tensor_repeated_along_four_axes_compiles_within_six() -> None:
    """Its expansion would walk eight axes; kernels take six, so it is made in two steps."""
    proto = model([node("Tile", "x r", "y")], {"x": [2, 3, 4, 5]}, ["y"], {"r": whole(2, 3, 2, 4)})
    graph = import_onnx(proto)
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    assert np.array_equal(np.tile(x, (2, 3, 2, 4)), run_graph(graph, {"x": x}, {})["y"])
    assert max(len(n.attrs["shape"]) for n in graph.nodes if n.op == "expand") <= 8
    assert 2 == sum(n.op == "expand" for n in graph.nodes)
