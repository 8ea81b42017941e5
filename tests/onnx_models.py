"""Small ONNX models for tests: a few nodes between named inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    """Return a node; its inputs and outputs are words of a text."""
    return helper.make_node(op, inputs.split(), outputs.split(), **attributes)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[Any]],
    outputs: Sequence[str],
    constants: Mapping[str, np.ndarray[Any, Any]] | None = None,
    opset: int = 20,
    dtypes: Mapping[str, type] | None = None,
) -> onnx.ModelProto:
    """Return a model; inputs are float32 of the given shapes unless `dtypes` says otherwise."""
    kinds = dtypes or {}

    def value(name: str, shape: Sequence[Any] | None) -> onnx.ValueInfoProto:
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(kinds.get(name, np.float32)))
        return helper.make_tensor_value_info(name, kind, shape)

    graph = helper.make_graph(
        list(nodes),
        "g",
        [value(n, s) for n, s in inputs.items()],
        [value(n, None) for n in outputs],
        [onnx.numpy_helper.from_array(a, n) for n, a in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
