"""What each op makes of axes of which only a beginning counts (see `bounded`).

It carries their lengths along, or puts something harmless in the padding's place first, or is refused: no answer ever
depends on padding. A rule takes the call and returns the value that it adds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from neurenix import ops
from neurenix.dims import Size, product
from neurenix.dtypes import DType
from neurenix.graph.bounded import Axes, Call, highest, last_sorted, lowest, recipe
from neurenix.ops import Family, shapes

if TYPE_CHECKING:
    from neurenix.graph.builder import GraphBuilder
    from neurenix.graph.graph import Value

Rule = Callable[[Call], "Value"]

# Ops whose results have lengths of their own.
MAKERS = ("nonzero", "non_max_suppression")


def add(builder: GraphBuilder, op: str, inputs: Sequence[Value], attrs: Mapping[str, Any]) -> Value:
    """Add a node, with the lengths of its result. Raises UnsupportedError where padding would change the answer."""
    if op not in MAKERS and not any(v.name in builder.lengths for v in inputs):
        return builder.record(op, inputs, attrs)
    call = Call(builder, op, tuple(inputs), ops.get(op).bind(attrs))
    call.shape  # noqa: B018  (raises for inputs that do not fit: rules may count on it)
    return _rule(op)(call)


def _rule(op: str) -> Rule:
    if ops.get(op).family is Family.ELEMENTWISE:
        return _elementwise
    return _RULES.get(op, _refused)


def _refused(call: Call) -> Value:
    raise call.refuse("it would mix what counts with what does not")


def _united(call: Call, *found: Axes) -> dict[int, Value]:
    """Return the lengths of axes that several inputs share; they must be the same."""
    united: dict[int, Value] = {}
    for axis, length in (pair for lengths in found for pair in lengths.items()):
        if united.setdefault(axis, length).name != length.name:
            raise call.refuse(f"axis {axis} has two lengths, which need not be equal")
    return united


# ── elementwise ─────────────────────────────────────────────────────────────────────────────────────


def _elementwise(call: Call) -> Value:
    return call.result(_broadcast(call, len(call.shape)))


def _broadcast(call: Call, rank: int) -> dict[int, Value]:
    """Return the lengths of the result of broadcasting, whose other operands must not be longer than these."""
    starts = [rank - len(v.shape) for v in call.inputs]
    moved = [{a + start: x for a, x in call.lengths(i).items()} for i, start in enumerate(starts)]
    united = _united(call, *moved)
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
    return united


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


# ── reductions, scans, sorting ──────────────────────────────────────────────────────────────────────


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


def _reduce(fill: Callable[[DType], Any]) -> Rule:
    def rule(call: Call) -> Value:
        (x,) = call.inputs
        inside, kept = _reduced(call, [call.axis()] if "axis" in call.attrs else _axes(call))
        return call.result(kept, call.masked(x, inside, fill(x.dtype)))

    return rule


def _mean(call: Call) -> Value:
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


def _along(fill: Callable[[DType], Any]) -> Rule:
    """An op that works along one axis and keeps its size."""

    def rule(call: Call) -> Value:
        (x,) = call.inputs
        inside: Axes = {a: n for a, n in call.lengths(0).items() if a == call.axis()}
        return call.result(call.lengths(0), call.masked(x, inside, fill(x.dtype)))

    return rule


def _scan(call: Call) -> Value:
    """From the front on, what comes later makes no difference."""
    neutral = 0 if call.op == "cumsum" else 1
    return _along(lambda of: neutral)(call) if call.attrs["reverse"] else call.result(call.lengths(0))


def _argsort(call: Call) -> Value:
    """Let the padding come last: it already does among equals."""
    return _along(lowest if call.attrs["descending"] else last_sorted)(call)


def _argsort_rows(call: Call) -> Value:
    (x,) = call.inputs
    lengths = call.lengths(0)
    inner = call.masked(x, {a: n for a, n in lengths.items() if a}, 0)
    rows: Axes = {a: n for a, n in lengths.items() if a == 0}
    return call.result(rows, call.masked(inner, rows, last_sorted(x.dtype)))


def _last_axis_whole(call: Call) -> Value:
    if len(call.inputs[0].shape) - 1 in call.lengths(0):
        raise call.refuse("the padding would count in its averages")
    return call.result(call.lengths(0))


# ── movement ────────────────────────────────────────────────────────────────────────────────────────


def _reshape(call: Call) -> Value:
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


def _permute(call: Call) -> Value:
    return call.result({call.attrs["axes"].index(a): x for a, x in call.lengths(0).items()})


def _expand(call: Call) -> Value:
    return call.result(_broadcast(call, len(call.shape)))


def _slice(call: Call) -> Value:
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


def _pad(call: Call) -> Value:
    steps = call.attrs["steps"] or (1,) * len(call.shape)
    for axis in call.lengths(0):
        if call.attrs["before"][axis] != 0 or call.attrs["after"][axis] != 0 or steps[axis] != 1:
            raise call.refuse(f"what is put behind axis {axis} would not follow what counts")
    return call.result(call.lengths(0))


def _concat(call: Call) -> Value:
    """Along the axis only the last input may have a length; along the others all must have the same."""
    axis = call.axis()
    others = [{a: x for a, x in call.lengths(i).items() if a != axis} for i in range(len(call.inputs))]
    lengths = _united(call, *others)
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


# ── indices ─────────────────────────────────────────────────────────────────────────────────────────


def _gather(call: Call) -> Value:
    x, indices = call.inputs
    axis, rank = call.axis(), len(indices.shape)
    own = call.lengths(0)
    if axis in own:
        indices = call.from_start(indices, own[axis])
    lengths = {a if a < axis else a + rank - 1: n for a, n in own.items() if a != axis}
    lengths |= {axis + a: n for a, n in call.lengths(1).items()}
    return call.result(lengths, x, indices)


def _gather_elements(call: Call) -> Value:
    x, indices = call.inputs
    axis, own = call.axis(), call.lengths(0)
    if axis in own:
        indices = call.from_start(indices, own[axis])
    others = {a: n for a, n in own.items() if a != axis}
    return call.result(_united(call, others, call.lengths(1)), x, indices)


def _gather_nd(call: Call) -> Value:
    x, indices = call.inputs
    batch, lead = call.attrs["batch_dims"], len(indices.shape) - 1
    depth = indices.shape[-1]
    assert isinstance(depth, int)
    named = range(batch, batch + depth)
    if lead in call.lengths(1) or any(a in named for a in call.lengths(0)):
        raise call.refuse("its indices would count from an end that is not known")
    shared = {a: n for a, n in call.lengths(0).items() if a < batch}
    inner = {a - batch - depth + lead: n for a, n in call.lengths(0).items() if a >= batch + depth}
    return call.result(_united(call, shared, inner, call.lengths(1)), x, indices)


def _scatter(lead: Callable[[Call], int | None]) -> Rule:
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
        return call.result({}, y, call.masked(indices, _united(call, places, written), lowest(indices.dtype)), x)

    return rule


# ── selecting ───────────────────────────────────────────────────────────────────────────────────────


def _nonzero(call: Call) -> Value:
    (x,) = call.inputs
    whole = call.masked(x, call.lengths(0), 0)
    holds = whole if x.dtype.name == "bool" else call.record("ne", whole, call.constant(0, x.dtype))
    # Models select by one condition several times, and compute it anew for each.
    count = call.once(("nonzero", recipe(call.builder, holds)), lambda: call.record("sum", holds))
    return call.result({1: count}, whole)


def _non_max_suppression(call: Call) -> Value:
    if any(call.lengths(i) for i in range(len(call.inputs))):
        raise call.refuse("what is not there would suppress what is")
    value = call.record(call.op, *call.inputs, **call.attrs)
    chosen = call.record("ge", value, call.number(0))
    one = call.record("slice", chosen, starts=(None, 0), stops=(None, 1), steps=(1, 1))
    return call.bound(value, {0: call.record("sum", one)})


# ── products ────────────────────────────────────────────────────────────────────────────────────────


def _matmul(call: Call) -> Value:
    """Rows, columns and batches may have lengths; what is summed over is 0 in the padding of both sides."""
    a, b = call.inputs
    of_a, of_b = dict(call.lengths(0)), dict(call.lengths(1))
    rank, last = len(b.shape), len(b.shape) - 1
    columns, summed = (last - 1, last) if call.attrs.get("transposed") else (last, last - 1)
    pair = [found.pop(at) for found, at in ((of_a, len(a.shape) - 1), (of_b, summed)) if at in found]
    if pair:
        (length,) = _united(call, *({0: x} for x in pair)).values()
        a, b = call.masked(a, {len(a.shape) - 1: length}, 0), call.masked(b, {summed: length}, 0)
    made = {len(call.shape) - 1: of_b.pop(columns)} if columns in of_b else {}
    for axis in range(rank - 2):
        if (axis in of_a) != (axis in of_b):
            raise call.refuse("the whole of one side meets a part of the other")
    return call.result(_united(call, of_a, of_b, made), a, b)


def _images(call: Call) -> Value:
    """Images are computed one by one: how many there are makes no difference."""
    if any(axis != 0 for axis in call.lengths(0)) or any(call.lengths(i) for i in range(1, len(call.inputs))):
        raise call.refuse("its windows would reach into the padding")
    return call.result(call.lengths(0))


_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("sum", "l1_norm", "l2_norm", "sum_square", "any"), _reduce(lambda of: 0)),
    **dict.fromkeys(("prod", "all"), _reduce(lambda of: 1)),
    **dict.fromkeys(("max", "argmax"), _reduce(lowest)),
    **dict.fromkeys(("min", "argmin"), _reduce(highest)),
    "mean": _mean,
    "cumsum": _scan,
    "cumprod": _scan,
    "argsort": _argsort,
    "argsort_rows": _argsort_rows,
    "softmax": _along(lowest),
    "log_softmax": _along(lowest),
    "standardize": _last_axis_whole,
    "rms_norm": _last_axis_whole,
    "reshape": _reshape,
    "permute": _permute,
    "expand": _expand,
    "slice": _slice,
    "pad": _pad,
    "concat": _concat,
    "gather": _gather,
    "gather_elements": _gather_elements,
    "gather_nd": _gather_nd,
    "scatter": _scatter(lambda call: call.axis()),
    "scatter_elements": _scatter(lambda call: 0),
    "scatter_nd": _scatter(lambda call: None),
    "nonzero": _nonzero,
    "non_max_suppression": _non_max_suppression,
    "matmul": _matmul,
    "batch_matmul": _matmul,
    **dict.fromkeys(
        ("conv2d", "depthwise2d", "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d"), _images
    ),
}  # fmt: skip
