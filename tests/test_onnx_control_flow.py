"""Claims about If, Loop, Scan and sequences: folded or unrolled, and the same answers as ONNX's own evaluator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from onnx_models import model, node

from neurenix.errors import ModelError, UnsupportedError
from neurenix.frontends.onnx import import_onnx
from neurenix.phynexus.reference import run_graph

Array = np.ndarray[Any, Any]


def graph(nodes: list[onnx.NodeProto], inputs: Mapping[str, tuple[int, list[Any]]], outputs: list[str]) -> Any:
    """Return a GraphProto for a subgraph."""
    return helper.make_graph(
        nodes,
        "body",
        [helper.make_tensor_value_info(n, kind, shape) for n, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs],
    )


def agree(proto: onnx.ModelProto, feeds: Mapping[str, Array], dims: Mapping[str, int] | None = None) -> Any:
    """Check that the imported graph answers as ONNX's evaluator does; return the graph."""
    imported = import_onnx(proto, dims=dict.fromkeys(dims or {}, (1, 6)))
    expected = ReferenceEvaluator(proto).run(None, dict(feeds))
    actual = run_graph(imported, dict(zip(imported.inputs, feeds.values())), dims or {})
    for want, have in zip(expected, actual.values()):
        assert want.shape == have.shape
        np.testing.assert_allclose(have, want, rtol=1e-6)
    return imported


def branches(condition: str) -> onnx.NodeProto:
    return helper.make_node(
        "If", [condition], ["y"],
        then_branch=graph([node("Mul", "x two", "t")], {}, ["t"]),
        else_branch=graph([node("Neg", "x", "e")], {}, ["e"]),
    )  # fmt: skip


CONSTANTS = {"two": np.float32([2]), "zero": np.float32([0]), "yes": np.array(True), "no": np.array(False)}


@pytest.mark.parametrize(("condition", "op"), [("yes", "mul"), ("no", "neg")])
def test_a_known_condition_leaves_one_branch(condition: str, op: str) -> None:
    proto = model([branches(condition)], {"x": [3]}, ["y"], CONSTANTS)
    assert [op] == [n.op for n in agree(proto, {"x": np.float32([1, -2, 3])}).nodes]


@pytest.mark.parametrize("x", [[1, 2, 3], [-1, -2, -3]])
def test_a_condition_on_data_chooses_while_it_runs(x: list[int]) -> None:
    nodes = [node("ReduceSum", "x", "s", keepdims=0), node("Greater", "s nought", "c"), branches("c")]
    proto = model(nodes, {"x": [3]}, ["y"], {**CONSTANTS, "nought": np.array(0, np.float32)})
    agree(proto, {"x": np.float32(x)})


def test_branches_of_different_shapes_that_data_chooses_are_refused() -> None:
    choice = helper.make_node(
        "If", ["c"], ["y"],
        then_branch=graph([node("Identity", "x", "t")], {}, ["t"]),
        else_branch=graph([node("Concat", "x x", "e", axis=0)], {}, ["e"]),
    )  # fmt: skip
    nodes = [node("ReduceMax", "x", "s", keepdims=0), node("Greater", "s nought", "c"), choice]
    with pytest.raises(UnsupportedError, match=r"chooses between float32\[3\] and float32\[6\] by data"):
        import_onnx(model(nodes, {"x": [3]}, ["y"], {"nought": np.array(0, np.float32)}))


def loop(keep_going: list[onnx.NodeProto]) -> onnx.NodeProto:
    """Return a Loop that doubles `v` and collects it; `keep_going` makes the condition `go`."""
    body = graph(
        [node("Add", "v v", "w"), node("Identity", "w", "row"), *keep_going],
        {"i": (TensorProto.INT64, []), "on": (TensorProto.BOOL, []), "v": (TensorProto.FLOAT, [2])},
        ["go", "w", "row"],
    )
    return helper.make_node("Loop", ["trips", "yes", "x"], ["last", "rows"], body=body)


def test_a_loop_of_constant_length_is_unrolled() -> None:
    proto = model(
        [loop([node("Identity", "on", "go")])], {"x": [2]}, ["last", "rows"], {**CONSTANTS, "trips": np.array(3)}
    )
    assert 3 == sum(n.op == "add" for n in agree(proto, {"x": np.float32([1, -2])}).nodes)


@pytest.mark.parametrize("start", [0.1, 1.0, 100.0])
def test_a_loop_that_data_ends_returns_the_rows_that_it_made(start: float) -> None:
    going = [node("ReduceMax", "w", "m", keepdims=0), node("Less", "m limit", "go")]
    constants = {**CONSTANTS, "trips": np.array(5), "limit": np.array(3, np.float32)}
    proto = model([loop(going)], {"x": [2]}, ["last", "rows"], constants)
    agree(proto, {"x": np.float32([start, -2])})


@pytest.mark.parametrize("size", [1, 2, 6])
def test_a_loop_over_a_symbolic_size_runs_as_often_as_that(size: int) -> None:
    nodes = [node("Shape", "z", "s"), node("Squeeze", "s", "trips"), loop([node("Identity", "on", "go")])]
    proto = model(nodes, {"x": [2], "z": ["n"]}, ["last", "rows"], CONSTANTS)
    agree(proto, {"x": np.float32([1, 2]), "z": np.zeros(size, np.float32)}, {"n": size})


def test_an_endless_loop_is_refused() -> None:
    body = graph([node("Identity", "on", "go"), node("Add", "v v", "w")],
                 {"i": (TensorProto.INT64, []), "on": (TensorProto.BOOL, []), "v": (TensorProto.FLOAT, [2])},
                 ["go", "w"])  # fmt: skip
    proto = model([helper.make_node("Loop", ["", "yes", "x"], ["y"], body=body)], {"x": [2]}, ["y"], CONSTANTS)
    with pytest.raises(UnsupportedError, match="at most 1024 can be unrolled"):
        import_onnx(proto)


def test_a_body_that_takes_something_else_is_refused() -> None:
    body = graph([node("Identity", "i", "go")], {"i": (TensorProto.INT64, [])}, ["go"])
    proto = model([helper.make_node("Loop", ["", "yes", "x"], ["y"], body=body)], {"x": [2]}, ["y"], CONSTANTS)
    with pytest.raises(ModelError, match=r"node 'y' \(Loop\): its body takes 1 inputs"):
        import_onnx(proto)


@pytest.mark.parametrize("size", [1, 4])
def test_a_scan_over_a_symbolic_length_sums_as_far_as_it_goes(size: int) -> None:
    body = graph([node("Add", "total item", "next"), node("Identity", "next", "out")],
                 {"total": (TensorProto.FLOAT, [2]), "item": (TensorProto.FLOAT, [2])}, ["next", "out"])  # fmt: skip
    scan = helper.make_node("Scan", ["x", "seq"], ["last", "sums"], body=body, num_scan_inputs=1)
    proto = model([scan], {"x": [2], "seq": ["n", 2]}, ["last", "sums"])
    sequence = np.arange(2 * size, dtype=np.float32).reshape(size, 2)
    agree(proto, {"x": np.float32([1, 2]), "seq": sequence}, {"n": size})


def test_sequences_leave_no_trace() -> None:
    nodes = [
        node("SplitToSequence", "x", "parts", axis=1),
        node("SequenceAt", "parts one", "b"),
        node("SequenceInsert", "parts b", "more"),
        node("SequenceErase", "more none", "rest"),
        node("SequenceLength", "rest", "count"),
        node("ConcatFromSequence", "rest", "joined", axis=1),
        node("Cast", "count", "c", to=TensorProto.FLOAT),
        node("Mul", "joined c", "y"),
    ]
    proto = model(nodes, {"x": [2, 3]}, ["y"], {"one": np.array(1), "none": np.array(0)})
    agree(proto, {"x": np.arange(6, dtype=np.float32).reshape(2, 3)})


def test_a_sequence_where_a_tensor_must_be_is_refused() -> None:
    proto = model([node("SequenceConstruct", "x x", "s"), node("Relu", "s", "y")], {"x": [2]}, ["y"])
    with pytest.raises(ModelError, match=r"node 'y' \(Relu\): its input 'x' is a sequence"):
        import_onnx(proto)
