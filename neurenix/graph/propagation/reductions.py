"""Lengths of what goes along an axis or adds up: reductions, scans, sorting, products; the padding is made neutral."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from neurenix.dims import product
from neurenix.dtypes import DType
from neurenix.graph.bounded import Axes, Call, Rule, last_sorted, lowest
from neurenix.graph.propagation.broadcasting import unite
from neurenix.ops import shapes

if TYPE_CHECKING:
    from neurenix.graph.graph import Value


def _reduced(call: Call, axes: Sequence[int]) -> tuple[dict[int, Value], dict[int, Value]]:
    """Return the lengths along the axes that a reduction removes, and those of its result."""
    inside = {a: x for a, x in call.lengths(0).items() if a in axes}
    kept = {a: x for a, x in call.lengths(0).items() if a not in axes}
    if not call.attrs["keepdims"]:
        kept = {a - sum(other < a for other in axes): x for a, x in kept.items()}
    return inside, kept


def _axes(call: Call) -> list[int]:
    rank = len(call.inputs[0].shape)
    given = call.attrs["axes"]
    return sorted(range(rank) if given is None else {shapes.axis_of(a, rank) for a in given})


def reduction(fill: Callable[[DType], Any]) -> Rule:
    """A reduction to whose result `fill` adds nothing."""

    def rule(call: Call) -> Value:
        (x,) = call.inputs
        inside, kept = _reduced(call, [call.axis()] if "axis" in call.attrs else _axes(call))
        return call.result(kept, call.masked(x, inside, fill(x.dtype)))

    return rule


def mean(call: Call) -> Value:
    """Divide the sum by as many as there are, less the correction."""
    (x,) = call.inputs
    axes = _axes(call)
    inside, kept = _reduced(call, axes)
    if not inside:
        return call.result(kept)
    rest = product(tuple(s for a, s in enumerate(x.shape) if a in axes and a not in inside))
    count = call.number(rest)
    for length in inside.values():
        count = call.record("mul", count, length)
    if call.attrs["correction"]:
        count = call.record("maximum", call.record("sub", count, call.number(call.attrs["correction"])), call.number(0))
    total = call.record("sum", call.masked(x, inside, 0), axes=tuple(axes), keepdims=call.attrs["keepdims"])
    return call.bound(call.record("div", total, call.as_dtype(count, x.dtype)), kept)


def along(fill: Callable[[DType], Any]) -> Rule:
    """An op that works along one axis and keeps its size."""

    def rule(call: Call) -> Value:
        (x,) = call.inputs
        inside: Axes = {a: n for a, n in call.lengths(0).items() if a == call.axis()}
        return call.result(call.lengths(0), call.masked(x, inside, fill(x.dtype)))

    return rule


def scan(call: Call) -> Value:
    """From the front on, what comes later makes no difference."""
    neutral = 0 if call.op == "cumsum" else 1
    return along(lambda of: neutral)(call) if call.attrs["reverse"] else call.result(call.lengths(0))


def argsort(call: Call) -> Value:
    """Let the padding come last: it already does among equals."""
    return along(lowest if call.attrs["descending"] else last_sorted)(call)


def argsort_rows(call: Call) -> Value:
    (x,) = call.inputs
    lengths = call.lengths(0)
    inner = call.masked(x, {a: n for a, n in lengths.items() if a}, 0)
    rows: Axes = {a: n for a, n in lengths.items() if a == 0}
    return call.result(rows, call.masked(inner, rows, last_sorted(x.dtype)))


def last_axis_whole(call: Call) -> Value:
    """Keep the lengths of all axes but the last, which must count as a whole."""
    if len(call.inputs[0].shape) - 1 in call.lengths(0):
        raise call.refuse("the padding would count in its averages")
    return call.result(call.lengths(0))


def matmul(call: Call) -> Value:
    """Rows, columns and batches may have lengths; what is summed over is 0 in the padding of both sides."""
    a, b = call.inputs
    of_a, of_b = dict(call.lengths(0)), dict(call.lengths(1))
    rank, last = len(b.shape), len(b.shape) - 1
    columns, summed = (last - 1, last) if call.attrs.get("transposed") else (last, last - 1)
    pair = [found.pop(at) for found, at in ((of_a, len(a.shape) - 1), (of_b, summed)) if at in found]
    if pair:
        (length,) = unite(call, *({0: x} for x in pair)).values()
        a, b = call.masked(a, {len(a.shape) - 1: length}, 0), call.masked(b, {summed: length}, 0)
    made = {len(call.shape) - 1: of_b.pop(columns)} if columns in of_b else {}
    for axis in range(rank - 2):
        if (axis in of_a) != (axis in of_b):
            raise call.refuse("the whole of one side meets a part of the other")
    return call.result(unite(call, of_a, of_b, made), a, b)


def images(call: Call) -> Value:
    """Images are computed one by one: how many there are makes no difference."""
    if any(axis != 0 for axis in call.lengths(0)) or any(call.lengths(i) for i in range(1, len(call.inputs))):
        raise call.refuse("its windows would reach into the padding")
    return call.result(call.lengths(0))
