"""ONNX operators in their older and newer versions, against onnxruntime: where attributes became inputs, above all."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
import pytest
from onnx_models import model, node

from neurenix.frontends.onnx import import_onnx
from neurenix.phynexus.reference import run_graph

pytestmark = pytest.mark.peers

Array = np.ndarray[Any, Any]


def _floats(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _whole(*numbers: int, of: str = "int64") -> Array:
    return np.array(numbers, of)


X = _floats(2, 3, 4)
N = _whole(-7, -2, 0, 3, 9)
ODD = np.array([np.nan, -np.inf, np.inf, -1.5, 0.0, 2.5], np.float32)
SCORES = np.array([[1, 3, 3, 2], [4, 0, 4, 4]], np.float32)
PLACES = _whole(0, -1, 1, of="int32")
REDUCTIONS = ["L1", "L2", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare"]
Case = tuple[str, tuple[int, ...], dict[str, Array | None], dict[str, Any], int]


def _case(op: str, opsets: tuple[int, ...], *inputs: Array | None, outputs: int = 1, **attributes: Any) -> Case:
    """A node at several opsets; its first input is the model's, the others are constants, None leaves one out."""
    return op, opsets, {f"i{k}": a for k, a in enumerate(inputs)}, attributes, outputs


CASES = [
    # arithmetic
    _case("Add", (7, 13, 14), X, _floats(3, 1)),
    _case("Div", (7, 13, 14), N, _whole(2, 3, 4, -2, -4)),
    _case("Mod", (10, 13), N, _whole(2, 3, 4, -2, -4)),
    _case("Mod", (10, 13), X, _floats(4, seed=1), fmod=1),
    _case("Pow", (7, 12, 13, 15), np.abs(X), np.float32(1.5)),
    _case("Pow", (12, 15), X, np.int64(3)),
    _case("Pow", (12, 15), N, np.int64(2)),
    _case("Sum", (8, 13), X, _floats(4), _floats(3, 1)),
    _case("Mean", (8, 13), X, _floats(4), _floats(3, 1)),
    _case("Max", (8, 12, 13), X, _floats(4), _floats(3, 1)),
    _case("Min", (12, 13), N, _whole(0)),
    _case("Round", (11, 22), np.array([0.5, 1.5, 2.5, -0.5, -1.5, 2.4], np.float32)),
    _case("Sign", (9, 13), ODD[1:]),
    # activations
    _case("Elu", (7, 22), X, alpha=0.7),
    _case("Selu", (7, 22), X, alpha=1.5, gamma=1.1),
    _case("Celu", (12,), X, alpha=0.7),
    _case("HardSigmoid", (7, 22), X, alpha=0.3, beta=0.4),
    _case("HardSwish", (14, 22), X),
    _case("Softplus", (7, 22), X * 40),
    _case("Softsign", (7, 22), X),
    _case("ThresholdedRelu", (10, 22), X, alpha=0.3),
    _case("Shrink", (9,), X, bias=0.2, lambd=0.4),
    _case("LeakyRelu", (7, 16), X, alpha=0.2),
    _case("PRelu", (7, 9, 16), X, _floats(3, 1, seed=2)),
    _case("PRelu", (9, 16), X, _floats(4, seed=2)),
    _case("Clip", (7, 10), X, min=-0.5, max=0.25),
    _case("Clip", (7,), X),
    _case("Clip", (11, 12, 13), X, np.float32(-0.5), np.float32(0.25)),
    _case("Clip", (12, 13), X, None, np.float32(0.25)),
    _case("Clip", (12, 13), N, np.int64(-1)),
    *(_case(op, (7, 11), X, axis=a) for op in ("Softmax", "LogSoftmax", "Hardmax") for a in (0, 1, 2)),
    *(_case(op, (13,), X, axis=a) for op in ("Softmax", "LogSoftmax", "Hardmax") for a in (0, -1)),
    _case("Dropout", (7, 10, 12, 13), X, outputs=1),
    # comparisons and bits
    _case("Equal", (7, 11, 13), N, _whole(3)),
    _case("Less", (7, 9, 13), X, _floats(4)),
    _case("GreaterOrEqual", (12, 16), X, _floats(4)),
    _case("Where", (9, 16), X > 0, X, _floats(4)),
    _case("IsNaN", (9, 13), ODD),
    _case("IsInf", (10,), ODD, detect_negative=0),
    _case("IsInf", (10, 20), ODD, detect_positive=0),
    _case("IsInf", (10,), ODD),
    _case("BitShift", (11,), _whole(1, 5, 200, of="uint8"), _whole(1, 2, 3, of="uint8"), direction="RIGHT"),
    _case("BitwiseAnd", (18,), _whole(12, -5, 7), _whole(10)),
    # casts
    *(_case("Cast", (7, 9, 13, 19), ODD[3:], to=getattr(onnx.TensorProto, to)) for to in ("INT64", "BOOL", "DOUBLE")),
    _case("CastLike", (15, 19), X, np.int64(0)),
    # reductions
    *(_case(f"Reduce{r}", (7, 11, 13), X, axes=[0, -1], keepdims=k) for r in REDUCTIONS if r != "Sum" for k in (0, 1)),
    _case("ReduceSum", (7, 11), X, axes=[1]),
    _case("ReduceSum", (13,), X, _whole(1, -1), keepdims=0),
    *(_case(f"Reduce{r}", (18,), X, _whole(0, -1), keepdims=0) for r in REDUCTIONS),
    *(_case(f"Reduce{r}", (18,), X, noop_with_empty_axes=1) for r in ("Sum", "Max", "Mean")),
    _case("ReduceLogSum", (7, 13, 18), np.abs(X)),
    _case("ReduceSum", (13,), N, keepdims=0),
    _case("ReduceMax", (12, 18), N),
    *(_case(op, (7, 11, 12, 13), SCORES, axis=a) for op in ("ArgMax", "ArgMin") for a in (0, 1)),
    *(_case(op, (12, 13), SCORES, axis=1, select_last_index=1, keepdims=0) for op in ("ArgMax", "ArgMin")),
    _case("CumSum", (11, 14), X, np.int64(1), exclusive=1),
    _case("CumSum", (11, 14), N, np.int32(-1), reverse=1),
    _case("TopK", (7,), SCORES, k=2, outputs=2),
    _case("TopK", (10,), SCORES, _whole(3), outputs=2),
    _case("TopK", (11, 24), SCORES, _whole(2), axis=0, largest=0, outputs=2),
    # movement
    _case("Reshape", (7, 13, 14), X, _whole(0, -1)),
    _case("Flatten", (7, 9, 11, 13), X, axis=2),
    _case("Flatten", (11, 13), X, axis=-1),
    _case("Squeeze", (7, 11), X[:1, :, :1], axes=[0, 2]),
    _case("Squeeze", (13, 21), X[:1, :, :1], _whole(-1)),
    _case("Squeeze", (7, 13), X[:1, :, :1]),
    _case("Unsqueeze", (7, 11), X, axes=[0, 4]),
    _case("Unsqueeze", (13, 21), X, _whole(-1, 1)),
    _case("Concat", (7, 11, 13), X, X, axis=1),
    _case("Split", (7, 11), X, axis=2, outputs=2),
    _case("Split", (7, 11), X, axis=2, split=[1, 3], outputs=2),
    _case("Split", (13, 18), X, _whole(3, 1), axis=-1, outputs=2),
    _case("Split", (18,), _floats(7, 2), axis=0, num_outputs=3, outputs=3),
    _case("Slice", (7, 9), X, axes=[2, 0], starts=[1, -1], ends=[2**31 - 1, 2**63 - 1]),
    _case("Slice", (7,), X, starts=[0, 1], ends=[1, -1]),
    _case("Slice", (10, 11, 13), X, _whole(-1, 3), _whole(-(2**63), 0), _whole(2, 1), _whole(-1, -2)),
    _case("Slice", (10, 13), X, _whole(-9), _whole(9), _whole(1)),
    _case("Slice", (11, 13), X, _whole(5), _whole(9), None, _whole(2)),
    _case("Expand", (8, 13), X, _whole(2, 1, 1, 1)),
    _case("Tile", (7, 13), X, _whole(2, 1, 3)),
    _case("Pad", (7, 10), X, pads=[0, 1, 2, 0, 0, 1], value=1.5),
    *(_case("Pad", (7, 10), X, pads=[0, 1, 2, 0, 0, 3], mode=m) for m in ("reflect", "edge")),
    _case("Pad", (11, 13), X, _whole(0, 1, -2, 0, 0, 1), np.float32(2)),
    *(_case("Pad", (11, 13, 18), X, _whole(0, 1, 2, 0, 0, 3), mode=m) for m in ("reflect", "edge")),
    _case("Pad", (18, 19, 21), X, _whole(1, 2), np.float32(2), _whole(-1)),
    _case("Pad", (19, 21), X, _whole(0, 3, 0, 0, 0, 2), mode="wrap"),
    # by indices
    _case("Gather", (7, 11, 13), X, PLACES, axis=1),
    _case("Gather", (11, 13), X, np.int64(-1), axis=-1),
    _case("GatherElements", (11, 13), X, np.full((2, 1, 4), -1), axis=1),
    _case("GatherND", (11, 12, 13), X, np.array([[0, -1], [1, 0]])),
    _case("GatherND", (12, 13), X, np.array([[1], [0]]), batch_dims=1),
    _case("Scatter", (9, 10), X, np.array([[[1, 0]]]), np.ones((1, 1, 2), np.float32), axis=1),
    _case("ScatterElements", (11, 13), X, np.array([[[1, -1]]]), np.ones((1, 1, 2), np.float32), axis=2),
    *(
        _case("ScatterElements", opsets, X, np.zeros((1, 2, 2), np.int64), _floats(1, 2, 2), axis=2, reduction=r)
        for r, opsets in (("add", (16, 18)), ("mul", (16, 18)), ("max", (18,)), ("min", (18,)))
    ),
    _case("ScatterND", (11, 13), X, np.array([[1, -1]]), _floats(1, 4)),
    *(
        _case("ScatterND", opsets, X, np.array([[1, 2], [1, 2]]), _floats(2, 4), reduction=r)
        for r, opsets in (("add", (16, 18)), ("mul", (16, 18)), ("max", (18,)), ("min", (18,)))
    ),
    _case("OneHot", (9, 11), _whole(0, -1, 2, 9), np.int64(3), np.array([0.5, 2], np.float32), axis=0),
    _case("OneHot", (11,), _whole(0, -3, 2, -4), _whole(3), _whole(0, 1)),
    _case("DepthToSpace", (7,), _floats(1, 8, 2, 3), blocksize=2),
    _case("DepthToSpace", (11, 13), _floats(1, 8, 2, 3), blocksize=2, mode="CRD"),
    _case("SpaceToDepth", (7, 13), _floats(1, 2, 4, 6), blocksize=2),
    _case("ReverseSequence", (10,), _floats(4, 3, 2), _whole(1, 4, 2)),
    _case("ReverseSequence", (10,), _floats(3, 4, 2), _whole(0, 4, 2), batch_axis=0, time_axis=1),
    _case("Trilu", (14,), _floats(2, 4, 5), np.int64(-1)),
    _case("Trilu", (14,), _floats(2, 4, 5), np.int64(1), upper=0),
    # from nothing
    _case("EyeLike", (9,), _floats(3, 5), k=-1),
    _case("Range", (11,), np.float32(1), np.float32(9.5), np.float32(2.5)),
    _case("Range", (11,), np.int64(9), np.int64(-3), np.int64(-5)),
    _case("Shape", (7, 13), X),
    _case("Shape", (15, 19, 21), X, start=-2, end=9),
    _case("Size", (7, 13), X),
    _case("CenterCropPad", (18,), X, _whole(4, 3), axes=[0, -1]),
]


def _model(case: Case, opset: int) -> onnx.ModelProto:
    op, _, inputs, attributes, outputs = case
    names = ["y", "z", "w"][:outputs]
    proto = onnx.helper.make_node(op, [n if a is not None else "" for n, a in inputs.items()], names, **attributes)
    known = {n: a for n, a in inputs.items() if n != "i0" and a is not None}
    first = inputs["i0"]
    assert first is not None
    made = model([proto], {"i0": first.shape}, names, known, opset=opset, dtypes={"i0": first.dtype.type})
    for output in made.graph.output:
        output.ClearField("type")  # onnxruntime finds out
    return made


@pytest.mark.parametrize(
    ("case", "opset"),
    [pytest.param(c, o, id=f"{c[0]}-{o}-{i}") for i, c in enumerate(CASES) for o in c[1]],
)
def test_every_version_of_an_operator_agrees_with_onnxruntime(case: Case, opset: int) -> None:
    proto, first = _model(case, opset), case[2]["i0"]
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"i0": np.asarray(first)})
    fixed = {"i0": first} if case[0] == "Range" else None
    graph = import_onnx(proto, constants=fixed)
    actual = run_graph(graph, {} if fixed else {"i0": np.asarray(first)}, {})
    for want, have in zip(expected, actual.values()):
        assert want.shape == have.shape
        np.testing.assert_allclose(want, have, rtol=1e-5, atol=1e-6)
        whole = {want.dtype.kind, have.dtype.kind} != {"f"}
        assert not whole or want.dtype == have.dtype


def test_there_is_a_case_for_every_operator_with_several_functions() -> None:
    from neurenix.frontends.onnx.operator import supported_operators

    ours = {"activations", "comparison", "elementwise", "gathering", "movement", "rearranging", "reduction", "slicing"}
    versioned = {
        op for (_, op), entries in supported_operators().items()
        if len(entries) > 1 and entries[0].function.__module__.rpartition(".")[2] in ours
    }  # fmt: skip
    assert set() == versioned - {c[0] for c in CASES}


def test_the_mask_of_dropout_is_a_float_before_opset_10_and_bool_after() -> None:
    for opset, kind in ((7, np.float32), (10, np.bool_), (13, np.bool_)):
        proto = model([node("Dropout", "x", "y mask")], {"x": [2, 3]}, ["y", "mask"], opset=opset)
        mask = run_graph(import_onnx(proto), {"x": np.ones((2, 3), np.float32)}, {})["mask"]
        assert (kind, True) == (mask.dtype.type, bool(mask.all()))
