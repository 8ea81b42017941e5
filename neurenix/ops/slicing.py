"""The rows that take a window out of a tensor or put one into it: slice, place, pad, concat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurenix import expr as ex
from neurenix.dims import Shape, Size, least, product
from neurenix.errors import GraphError, UnsupportedError
from neurenix.ops import shapes, strides
from neurenix.ops.movement import maybe_typed, some_shape, view_sizes
from neurenix.ops.op import REQUIRED, Array, Attrs, Family, Kernel, Op
from neurenix.ops.spans import span, spread

_MOST_PAD_AXES = 4


def spans(shape: Shape, attrs: Attrs) -> list[tuple[Size, Size, int]]:
    """Return first position, count and step along each axis of a `slice`."""
    starts, stops, steps = attrs["starts"], attrs["stops"], attrs["steps"]
    if not len(starts) == len(stops) == len(steps) == len(shape):
        raise GraphError(f"a slice of {shapes.show(shape)} takes {len(shape)} starts, stops and steps")
    return [(*span(n, a, b, c), c) for n, a, b, c in zip(shape, starts, stops, steps)]


def _slice_shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    return tuple(count for _, count, _ in spans(ins[0], attrs))


def _slice_sizes(ins: Sequence[Shape], out: Shape, attrs: Attrs) -> dict[str, Size]:
    offset: Size = 0
    steps = []
    for stride, (first, _, step) in zip(strides.row_major(ins[0]), spans(ins[0], attrs)):
        offset = offset + first * stride
        steps.append(stride * step)
    return view_sizes(out, steps, offset, f"a slice of {shapes.show(ins[0])}")


def _slice_gradient(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any]:
    """Put g where the slice was, zeros elsewhere: after turning round the axes that it took backwards."""
    (x,) = inputs
    before: list[Size] = []
    after: list[Size] = []
    found = spans(x.shape, attrs)
    if any(step < 0 for *_, step in found):
        steps = tuple(-1 if step < 0 else 1 for *_, step in found)
        g = g.apply("slice", starts=(None,) * len(steps), stops=(None,) * len(steps), steps=steps)
    for n, (first, count, step) in zip(x.shape, found):
        low = (first if step > 0 else first + (count - 1) * step) if count != 0 else 0
        before.append(low)
        after.append(n - low - spread(count, abs(step)))
    steps = tuple(abs(step) for *_, step in found)
    return (g.apply("pad", g.lift(0), before=tuple(before), after=tuple(after), steps=steps),)


# ── pad ─────────────────────────────────────────────────────────────────────────────────────────────


def _pad_shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    x, value = ins
    before, after, steps = attrs["before"], attrs["after"], attrs["steps"] or (1,) * len(x)
    if product(value) != 1:
        raise GraphError(f"the value around a padded tensor is one number, not {shapes.show(value)}")
    if not len(before) == len(after) == len(steps) == len(x):
        raise GraphError(f"padding {shapes.show(x)} takes {len(x)} sizes before and after, and steps")
    if any(least(s) < 0 for s in (*before, *after)) or any(s < 1 for s in steps):
        raise GraphError(f"padding starts at 0 and steps at 1, got {before}, {after} and {steps}")
    return tuple(b + spread(n, s) + a for b, n, s, a in zip(before, x, steps, after))


def _pad(x: Array, value: Array, before: Any, after: Any, steps: Any, fill: bool) -> Array:
    shape = _pad_shape([x.shape, value.shape], {"before": before, "after": after, "steps": steps})
    y = np.full(shapes.known(shape), value.reshape(()), dtype=x.dtype)
    _at(y, x.shape, before, steps or (1,) * x.ndim)[...] = x
    return y


def _at(y: Array, shape: Sequence[int], starts: Any, steps: Any) -> Array:
    """Return the view of y that `shape` elements take from `starts` on."""
    view: Array = y[tuple(slice(b, b + n * s, s) if n else slice(0, 0) for b, n, s in zip(starts, shape, steps))]
    return view


def _pad_sizes(ins: Sequence[Shape], out: Shape, attrs: Attrs) -> dict[str, Size]:
    """Join each axis that is not padded to the one before it."""
    if any(s != 1 for s in attrs["steps"] or ()):
        raise UnsupportedError("the kernel of op 'pad' takes steps of 1; the compiler lowers others")
    axes: list[tuple[Size, Size, Size]] = []
    for d, n, b in zip(out, ins[0], attrs["before"]):
        if axes and d == n:
            axes[-1] = (axes[-1][0] * d, axes[-1][1] * n, axes[-1][2] * d)
        else:
            axes.append((d, n, b))
    axes = [(1, 1, 0)] * (_MOST_PAD_AXES - len(axes)) + axes
    if len(axes) > _MOST_PAD_AXES:
        raise UnsupportedError(f"op 'pad' of {shapes.show(ins[0])} pads {len(axes)} axes; its kernel takes 4")
    return {f"{name}{i}": axis[k] for k, name in enumerate("dnb") for i, axis in enumerate(axes)}


def _pad_gradient(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any, Any]:
    x, value = inputs
    inside = take(g, attrs["before"], x.shape, attrs["steps"] or (1,) * x.ndim)
    return inside, (g.sum() - inside.sum()).reshape(value.shape) if value.requires_grad else None


# ── place ───────────────────────────────────────────────────────────────────────────────────────────


def _place_shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    y, x = ins
    starts, steps = attrs["starts"], attrs["steps"] or (1,) * len(x)
    if not len(starts) == len(steps) == len(x) == len(y) or any(s < 1 for s in steps):
        raise GraphError(f"placing {shapes.show(x)} into {shapes.show(y)} takes a start and a step for each axis")
    for n, count, start, step in zip(y, x, starts, steps):
        if least(start) < 0 or least(n - start - spread(count, step)) < 0:
            raise GraphError(f"{shapes.show(x)} from {starts} on, by steps of {steps}, leaves {shapes.show(y)}")
    return y


def _place(y: Array, x: Array, starts: Any, steps: Any) -> Array:
    result: Array = y.copy()
    _at(result, x.shape, starts, steps or (1,) * x.ndim)[...] = x
    return result


def _place_sizes(ins: Sequence[Shape], out: Shape, attrs: Attrs) -> dict[str, Size]:
    _, x = ins
    of, steps = strides.row_major(out), attrs["steps"] or (1,) * len(x)
    offset: Size = 0
    for start, stride in zip(attrs["starts"], of):
        offset = offset + start * stride
    return view_sizes(x, [a * b for a, b in zip(of, steps)], offset, f"placing {shapes.show(x)}")


def _place_gradient(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any, Any]:
    _, x = inputs
    steps = attrs["steps"] or (1,) * x.ndim
    rest = g.apply("place", x.map(ex.const(0)), **attrs)
    return rest, take(g, attrs["starts"], x.shape, steps)


def take(t: Any, starts: Sequence[Size], shape: Shape, steps: Sequence[int]) -> Any:
    """Return the window of `shape` elements of a tensor that begins at `starts`."""
    stops = tuple(b + spread(n, s) for b, n, s in zip(starts, shape, steps))
    return t.apply("slice", starts=tuple(starts), stops=stops, steps=tuple(steps))


# ── concat ──────────────────────────────────────────────────────────────────────────────────────────


def _concat_shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    if not ins:
        raise GraphError("there is nothing to join")
    axis = shapes.axis_of(attrs["axis"], len(ins[0]))
    total: Size = 0
    for shape in ins:
        if len(shape) != len(ins[0]) or not shape or (*shape[:axis], *shape[axis + 1 :]) != (
            *ins[0][:axis], *ins[0][axis + 1 :],
        ):  # fmt: skip
            raise GraphError(f"{shapes.show(ins[0])} and {shapes.show(shape)} cannot be joined along axis {axis}")
        total = total + shape[axis]
    return (*ins[0][:axis], total, *ins[0][axis + 1 :])


def _concat_gradient(g: Any, y: Any, inputs: Any, attrs: Attrs) -> list[Any]:
    axis, start, parts = shapes.axis_of(attrs["axis"], y.ndim), 0, []
    for x in inputs:
        starts = [0] * y.ndim
        starts[axis] = start
        parts.append(take(g, starts, x.shape, (1,) * y.ndim))
        start = start + x.shape[axis]
    return parts


# ── samples ─────────────────────────────────────────────────────────────────────────────────────────


def _sample_slice(rng: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
    shape = some_shape(rng)

    def position(n: int) -> int | None:
        return None if rng.random() < 0.4 else int(rng.integers(-n - 2, n + 3))

    while True:
        steps = tuple(int(rng.choice([1, 1, 1, 2, 3, -1, -2])) for _ in shape)
        starts, stops = tuple(map(position, shape)), tuple(map(position, shape))
        attrs = {"starts": starts, "stops": stops, "steps": steps}
        if all(_slice_shape([shape], attrs)):
            return maybe_typed(rng, shape), attrs


def _sample_pad(rng: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
    shape = some_shape(rng)[:4]
    before, after = (tuple(int(p) for p in rng.integers(0, 3, len(shape))) for _ in range(2))
    steps = tuple(int(s) for s in rng.integers(1, 4, len(shape))) if rng.random() < 0.3 else None
    return maybe_typed(rng, shape, ()), {"before": before, "after": after, "steps": steps}


def _sample_place(rng: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
    shape = some_shape(rng)
    starts = tuple(int(p) for p in rng.integers(0, 3, len(shape)))
    steps = tuple(int(s) for s in rng.integers(1, 4, len(shape)))
    whole = tuple(a + (n - 1) * s + 1 + int(rng.integers(3)) for a, n, s in zip(starts, shape, steps))
    return maybe_typed(rng, whole, shape), {"starts": starts, "steps": steps}


def _sample_concat(rng: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
    shape = some_shape(rng)
    axis = int(rng.integers(len(shape)))
    parts = [(*shape[:axis], int(rng.integers(1, 5)), *shape[axis + 1 :]) for _ in range(int(rng.integers(1, 5)))]
    return maybe_typed(rng, *parts), {"axis": axis - len(shape) * int(rng.integers(2))}


ROWS = (
    Op("slice", Family.MOVEMENT, "From `starts` to `stops` by `steps` along each axis, as Python slices: x[a:b:c].",
       1, _slice_shape,
       lambda x, starts, stops, steps: x[tuple(slice(*each) for each in zip(starts, stops, steps))],
       attrs={"starts": REQUIRED, "stops": REQUIRED, "steps": REQUIRED}, samples=_sample_slice,
       gradient=_slice_gradient, kernel=Kernel("view.c", _slice_sizes, (None,), typed=True)),
    Op("pad", Family.MOVEMENT,
       "x with `before` and `after` elements of one value around it along each axis, and `steps` - 1 between.",
       2, _pad_shape, _pad, attrs={"before": REQUIRED, "after": REQUIRED, "steps": None, "fill": True},
       samples=_sample_pad, gradient=_pad_gradient,
       kernel=Kernel("pad.c", _pad_sizes, (None, None), typed=True,
                     defines=lambda attrs: {"NX_FILL": "1" if attrs["fill"] else "0"})),
    Op("place", Family.MOVEMENT, "y with x put in from `starts` on, its elements `steps` apart.", 2, _place_shape,
       _place, attrs={"starts": REQUIRED, "steps": None}, samples=_sample_place, gradient=_place_gradient,
       kernel=Kernel("place.c", _place_sizes, (None, None), typed=True, in_place=True)),
    Op("concat", Family.MOVEMENT, "The inputs one behind the other along `axis`.", -1, _concat_shape,
       lambda *xs, axis: np.concatenate(xs, axis), attrs={"axis": REQUIRED}, samples=_sample_concat,
       gradient=_concat_gradient),
)  # fmt: skip
