"""ONNX operators of users' own domains: entries of the table made from what `register_op` was told."""

from __future__ import annotations

import inspect
from typing import Any

from neurenix import ops
from neurenix.frontends.onnx.operator import Operator
from neurenix.ops import Op
from neurenix.ops.op import REQUIRED
from neurenix.tensor import Tensor
from neurenix.tensor.tensor import apply


def find_custom_operator(op_type: str, domain: str) -> Operator | None:
    """Return the entry of a custom op that imports from this domain; None where none is registered."""
    row = ops.custom.by_onnx(domain, op_type)
    return None if row is None else _entry(row, op_type, domain)


def _entry(row: Op, op_type: str, domain: str) -> Operator:
    """Return an operator with an oracle's signature: inputs are tensors, attributes of their defaults' types."""

    def run(*inputs: Tensor, **attrs: Any) -> Tensor:
        return apply(row.name, *inputs, **attrs)

    inputs = [inspect.Parameter(f"input_{i}", inspect.Parameter.POSITIONAL_ONLY) for i in range(row.arity)]
    attributes = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=inspect.Parameter.empty if value is REQUIRED else value
        )
        for name, value in row.attrs.items()
    ]
    run.__signature__ = inspect.Signature([*inputs, *attributes])  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: Tensor for p in inputs} | {n: _type(v) for n, v in row.attrs.items()}
    return Operator(op_type, domain, 1, run)


def _type(default: Any) -> Any:
    """Return the annotation for an attribute: ONNX writes a bool as an integer, and has no other way to tell."""
    if isinstance(default, tuple):
        return tuple[float, ...] if any(isinstance(v, float) for v in default) else tuple[int, ...]
    return Any if default is REQUIRED else type(default)
