"""Lengths of what is moved: reshaped, permuted, sliced, padded and joined."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurenix.dims import Size, product
from neurenix.graph.bounded import Call
from neurenix.graph.propagation.broadcasting import unite
from neurenix.ops import shapes

if TYPE_CHECKING:
    from neurenix.graph.graph import Value


def reshape(call: Call) -> Value:
    """Axes may come and go around those that have lengths; the first of all may take in those behind it."""
    (x,) = call.inputs
    out = call.shape
    moved: dict[int, Value] = {}
    for axis, length in call.lengths(0).items():
        before = product(x.shape[:axis])
        places = [i for i, s in enumerate(out) if s == x.shape[axis] and product(out[:i]) == before]
        if len(places) == 1:
            moved[places[0]] = length
            continue
        joined = [i for i in range(len(out)) if product(out[:i]) == 1 == before and out[i] != 1]
        behind = product(out[joined[0] + 1 :]) if joined else 0
        inner = product(x.shape[axis + 1 :])
        if places or behind == 0 or len(call.lengths(0)) > 1 or inner // behind * behind != inner:
            raise call.refuse(f"the shape {shapes.show(out)} does not say where axis {axis} goes")
        moved[joined[0]] = call.combined("mul", length, inner // behind)
    return call.result(moved)


def permute(call: Call) -> Value:
    """Carry the lengths to where their axes go."""
    return call.result({call.attrs["axes"].index(a): x for a, x in call.lengths(0).items()})


def slices(call: Call) -> Value:
    """Cut the lengths as their axes are cut, from the front."""
    (x,) = call.inputs
    lengths: dict[int, Value] = {}
    for axis, length in call.lengths(0).items():
        start, stop, step = (call.attrs[name][axis] for name in ("starts", "stops", "steps"))
        if step != 1 or not all(v is None or (isinstance(v, int) and v >= 0) for v in (start, stop)):
            raise call.refuse(f"axis {axis} would be counted from an end that is not known")
        if start:
            length = call.combined("maximum", call.combined("sub", length, start), 0)
        if call.shape[axis] != x.shape[axis]:
            length = call.combined("minimum", length, call.shape[axis])
        lengths[axis] = length
    return call.result(lengths)


def pad(call: Call) -> Value:
    """Keep the lengths of axes that nothing is put around."""
    steps = call.attrs["steps"] or (1,) * len(call.shape)
    for axis in call.lengths(0):
        if call.attrs["before"][axis] != 0 or call.attrs["after"][axis] != 0 or steps[axis] != 1:
            raise call.refuse(f"what is put behind axis {axis} would not follow what counts")
    return call.result(call.lengths(0))


def concat(call: Call) -> Value:
    """Along the axis only the last input may have a length; along the others all must have the same."""
    axis = call.axis()
    others = [{a: x for a, x in call.lengths(i).items() if a != axis} for i in range(len(call.inputs))]
    lengths = unite(call, *others)
    if any(found.keys() != lengths.keys() for found in others):
        raise call.refuse("the whole of one input would stand beside a part of another")
    ends = [call.lengths(i).get(axis) for i in range(len(call.inputs))]
    if any(ends[:-1]):
        raise call.refuse(f"something would follow behind the padding of axis {axis}")
    last = ends[-1]
    if last is not None:
        first: Size = sum((v.shape[axis] for v in call.inputs[:-1]), 0)
        lengths[axis] = call.combined("add", last, first)
    return call.result(lengths)
