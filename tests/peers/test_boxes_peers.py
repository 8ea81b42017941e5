"""Which boxes are kept: those that onnxruntime keeps."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import onnxruntime
import pytest
from selecting_cases import boxes

from neurenix import Tensor
from neurenix.tensor.selecting import non_max_suppression

pytestmark = pytest.mark.peers


SETTINGS = [
    (most, overlap, score, centred)
    for most, overlap, score, centred in itertools.product((0, 3, 100), (0.0, 0.4), (None, 0.5), (0, 1))
]


@pytest.mark.parametrize(("most", "overlap", "score", "centred"), SETTINGS)
def test_the_boxes_kept_are_onnx_runtimes(most: int, overlap: float, score: float | None, centred: int) -> None:
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
