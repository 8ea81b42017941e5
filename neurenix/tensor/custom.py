"""Custom ops on tensors: what a layer or a caller of one needs to know of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neurenix import ops
from neurenix.errors import InputError
from neurenix.tensor.tensor import apply

__all__ = ["apply", "custom_attributes"]


def custom_attributes(name: str, attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Return all attributes of a registered custom op. Raises GraphError for one that is not there."""
    if name in ops.OPS:
        raise InputError(f"'{name}' is no custom op: call the Tensor's own method")
    # A configuration has arrays where Python has tuples.
    return ops.get(name).bind({key: tuple(value) if isinstance(value, list) else value for key, value in attrs.items()})
