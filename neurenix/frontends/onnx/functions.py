"""Operators that ONNX defines by others: the body that stands for a node, from onnx's own definitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from neurenix.dims import Dim
from neurenix.frontends.onnx.symbolic import Value


def expansion(node: Any, opset: int, inputs: Sequence[Value | None], attributes: Mapping[str, Any]) -> Any | None:
    """Return a FunctionProto that computes what the node does, or None where ONNX defines none.

    `attributes` are the node's own; onnx must see them where the node, itself of a body, only refers to them.
    """
    import onnx

    try:
        schema = onnx.defs.get_schema(node.op_type, opset, node.domain)
    except onnx.defs.SchemaError:
        return None
    if schema.has_context_dependent_function:
        versions = [v for v in schema.context_dependent_function_opset_versions if v <= opset]
        if not versions:
            return None
        types = [_type(v).SerializeToString() for v in inputs]
        body = schema.get_context_dependent_function_with_opset_version(
            max(versions), _resolved(node, attributes), types
        )
        return onnx.FunctionProto.FromString(body) if body else None
    if schema.has_function:
        versions = [v for v in schema.function_opset_versions if v <= opset]
        body = schema.get_function_with_opset_version(max(versions)) if versions else b""
        return onnx.FunctionProto.FromString(body) if body else None
    return None


def _resolved(node: Any, attributes: Mapping[str, Any]) -> bytes:
    """Return the serialised node with values in place of references to the attributes of the function around it."""
    import onnx

    if not any(a.ref_attr_name for a in node.attribute):
        return bytes(node.SerializeToString())
    own = [a for a in node.attribute if not a.ref_attr_name]
    given = [
        onnx.helper.make_attribute(a.name, onnx.numpy_helper.from_array(v) if isinstance(v, np.ndarray) else v)
        for a in node.attribute
        if a.ref_attr_name and (v := attributes.get(a.name)) is not None and not (isinstance(v, tuple) and not v)
    ]
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    del copy.attribute[:]
    copy.attribute.extend([*own, *given])
    return bytes(copy.SerializeToString())


def schema_defaults(node: Any, opset: int) -> list[Any]:
    """Return the AttributeProtos that ONNX takes for what the node does not say; a body refers to them."""
    import onnx

    attributes = onnx.defs.get_schema(node.op_type, opset, node.domain).attributes.values()
    return [a.default_value for a in attributes if a.default_value.type != onnx.AttributeProto.UNDEFINED]


def _type(value: Value | None) -> Any:
    """Return the TypeProto of a value; context-dependent bodies look at dtypes and ranks."""
    import onnx

    proto = onnx.TypeProto()
    if value is None:
        return proto
    proto.tensor_type.elem_type = onnx.helper.np_dtype_to_tensor_dtype(value.dtype.numpy)
    proto.tensor_type.shape.SetInParent()
    for size in value.shape:
        dim = proto.tensor_type.shape.dim.add()
        if isinstance(size, Dim):
            dim.dim_param = str(size)
        else:
            dim.dim_value = size
    return proto
