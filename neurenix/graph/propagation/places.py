"""Lengths of what reads and writes at places, and of what finds the places: gathers, scatters, selections."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from neurenix.graph.bounded import Call, Rule, lowest, recipe
from neurenix.graph.propagation.broadcasting import unite

if TYPE_CHECKING:
    from neurenix.graph.graph import Value


def gather(call: Call) -> Value:
    """Put the lengths of the indices in the place of the axis; negative ones count from the true end."""
    x, indices = call.inputs
    axis, rank = call.axis(), len(indices.shape)
    own = call.lengths(0)
    if axis in own:
        indices = call.from_start(indices, own[axis])
    lengths = {a if a < axis else a + rank - 1: n for a, n in own.items() if a != axis}
    lengths |= {axis + a: n for a, n in call.lengths(1).items()}
    return call.result(lengths, x, indices)


def gather_elements(call: Call) -> Value:
    """Unite the lengths of both; negative indices count from the true end."""
    x, indices = call.inputs
    axis, own = call.axis(), call.lengths(0)
    if axis in own:
        indices = call.from_start(indices, own[axis])
    others = {a: n for a, n in own.items() if a != axis}
    return call.result(unite(call, others, call.lengths(1)), x, indices)


def gather_nd(call: Call) -> Value:
    """Carry the lengths of axes that no index names."""
    x, indices = call.inputs
    batch, lead = call.attrs["batch_dims"], len(indices.shape) - 1
    depth = indices.shape[-1]
    assert isinstance(depth, int)
    named = range(batch, batch + depth)
    if lead in call.lengths(1) or any(a in named for a in call.lengths(0)):
        raise call.refuse("its indices would count from an end that is not known")
    shared = {a: n for a, n in call.lengths(0).items() if a < batch}
    inner = {a - batch - depth + lead: n for a, n in call.lengths(0).items() if a >= batch + depth}
    return call.result(unite(call, shared, inner, call.lengths(1)), x, indices)


def scatter(lead: Callable[[Call], int | None]) -> Rule:
    """Let the padding of the indices name no place at all: what it would write is written nowhere."""

    def rule(call: Call) -> Value:
        y, indices, x = call.inputs
        first = lead(call)
        own, places, given = (call.lengths(i) for i in range(3))
        if own or (first is None and len(indices.shape) - 1 in places):
            raise call.refuse("it writes into a part, or by a part of an index")
        start = first or 0
        written = {a - start: n for a, n in given.items()}
        if any(a not in range(len(indices.shape) - (first is None)) for a in written):
            raise call.refuse("what is written is a part along an axis that the indices do not have")
        return call.result({}, y, call.masked(indices, unite(call, places, written), lowest(indices.dtype)), x)

    return rule


def nonzero(call: Call) -> Value:
    """Count what is not 0: that is the length of the places."""
    (x,) = call.inputs
    whole = call.masked(x, call.lengths(0), 0)
    holds = whole if x.dtype.name == "bool" else call.record("ne", whole, call.constant(0, x.dtype))
    # Models select by one condition several times, and compute it anew for each.
    count = call.once(("nonzero", recipe(call.builder, holds)), lambda: call.record("sum", holds))
    return call.result({1: count}, whole)


def non_max_suppression(call: Call) -> Value:
    """Count what was kept."""
    if any(call.lengths(i) for i in range(len(call.inputs))):
        raise call.refuse("what is not there would suppress what is")
    value = call.record(call.op, *call.inputs, **call.attrs)
    chosen = call.record("ge", value, call.number(0))
    one = call.record("slice", chosen, starts=(None, 0), stops=(None, 1), steps=(1, 1))
    return call.bound(value, {0: call.record("sum", one)})
