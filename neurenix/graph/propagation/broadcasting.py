"""Lengths of what broadcasts: inputs must have the same, or be the same all along the axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from neurenix.graph.bounded import Axes, Call
from neurenix.ops import shapes

if TYPE_CHECKING:
    from neurenix.graph.graph import Value


def unite(call: Call, *found: Axes) -> dict[int, Value]:
    """Return the lengths of axes that several inputs share; they must be the same."""
    united: dict[int, Value] = {}
    for axis, length in (pair for lengths in found for pair in lengths.items()):
        if united.setdefault(axis, length).name != length.name:
            raise call.refuse(f"axis {axis} has two lengths, which need not be equal")
    return united


def broadcast(call: Call) -> Value:
    """Give the result the lengths of its inputs; none of them may be longer than these."""
    starts = [len(call.shape) - len(v.shape) for v in call.inputs]
    moved = [{a + start: x for a, x in call.lengths(i).items()} for i, start in enumerate(starts)]
    united = unite(call, *moved)
    for axis in united:
        for value, start, own in zip(call.inputs, starts, moved):
            if axis < start or axis in own:
                continue
            size = value.shape[axis - start]
            if size != 1 and not _is_uniform(call, value, axis - start):
                raise call.refuse(f"the whole of {shapes.show(value.shape)} meets a part along axis {axis}")
        longest = call.shape[axis]
        if any(axis in own and v.shape[axis - s] != longest for v, s, own in zip(call.inputs, starts, moved)):
            raise call.refuse(f"one element, or none, would be repeated along axis {axis}")
    return call.result(united)


def _is_uniform(call: Call, value: Value, axis: int) -> bool:
    """Say whether a tensor is the same all along an axis, so that it may as well be shorter."""
    array = call.builder.constants.get(value.name)
    if array is not None:
        return bool(array.size) and np.array_equal(
            array, np.broadcast_to(array.take([0], axis), array.shape), equal_nan=array.dtype.kind == "f"
        )
    node = next((n for n in reversed(call.builder.nodes) if n.output == value.name), None)
    if node is None or node.op != "expand":
        return False
    before = call.builder.values[node.inputs[0]].shape
    return axis < len(value.shape) - len(before) or before[axis - len(value.shape) + len(before)] == 1
