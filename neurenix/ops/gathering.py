"""The rows that read by indices: gather, gather_elements, gather_nd. Compiled, an index outside is clamped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from neurenix import expr as ex
from neurenix.dims import Shape, Size, product
from neurenix.errors import GraphError, InputError, UnsupportedError
from neurenix.ops import shapes, types
from neurenix.ops.movement import maybe_typed, some_shape
from neurenix.ops.op import Array, Attrs, Family, Kernel, Op

MOST_DEPTH = 6


def clamped(indices: Array, n: int) -> Array:
    """Return places in 0..n - 1: negative indices count from the end, what lies outside moves to the nearest one."""
    found = np.clip(np.where(indices < 0, indices.astype(np.int64) + n, indices), 0, n - 1)
    return found.astype(np.intp, copy=False)  # numpy.take casts no int64 to the 32 bits of a browser


def require_inside(name: str, indices: Array, n: int) -> None:
    """Raise InputError when an index is none of n elements, as eager ops do."""
    if indices.size and (int(indices.min()) < -n or int(indices.max()) >= n):
        worst = int(indices.max()) if int(indices.max()) >= n else int(indices.min())
        raise InputError(f"op '{name}': the index {worst} is out of range for {n} elements")


def split(shape: Shape, axis: int) -> tuple[Size, Size, Size]:
    """Return the number of elements before an axis, along it and behind it."""
    at = shapes.axis_of(axis, len(shape))
    return product(shape[:at]), shape[at], product(shape[at + 1 :])


def zeros_of(t: Any) -> Any:
    return t.map(ex.const(0))


# ── gather ──────────────────────────────────────────────────────────────────────────────────────────


def _gather_shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    x, indices = ins
    if not x:
        raise GraphError("a scalar has no axis to gather along")
    axis = shapes.axis_of(attrs["axis"], len(x))
    if product(indices) != 0:
        shapes.need_elements(x, axis)
    return (*x[:axis], *indices, *x[axis + 1 :])


def _gather(x: Array, indices: Array, axis: int) -> Array:
    return np.take(x, clamped(indices, x.shape[axis]), axis)


def _gather_eager(x: Array, indices: Array, axis: int) -> Array:
    require_inside("gather", indices, x.shape[axis])
    return np.take(x, indices.astype(np.intp, copy=False), axis)


def axis_sizes(x: Shape, axis: int, count: Size) -> dict[str, Size]:
    """Return the arguments of the kernels that index along one axis."""
    outer, n, inner = split(x, axis)
    return {"outer": outer, "n": n, "inner": inner, "count": count}


# ── gather_elements ─────────────────────────────────────────────────────────────────────────────────


def elements_shape(x: Shape, indices: Shape, axis: int) -> int:
    """Return the axis, positive, once the indices have x's size along all others."""
    if len(x) != len(indices) or not x:
        raise GraphError(f"indices {shapes.show(indices)} have another rank than {shapes.show(x)}")
    at = shapes.axis_of(axis, len(x))
    if any(a != b for i, (a, b) in enumerate(zip(x, indices)) if i != at):
        raise GraphError(f"indices {shapes.show(indices)} and {shapes.show(x)} differ in another axis than {at}")
    if product(indices) != 0:
        shapes.need_elements(x, at)
    return at


def _elements_shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    x, indices = ins
    elements_shape(x, indices, attrs["axis"])
    return indices


def _elements(x: Array, indices: Array, axis: int) -> Array:
    return np.take_along_axis(x, clamped(indices, x.shape[axis]), axis)


def _elements_eager(x: Array, indices: Array, axis: int) -> Array:
    require_inside("gather_elements", indices, x.shape[axis])
    return np.take_along_axis(x, indices, axis)


# ── gather_nd ───────────────────────────────────────────────────────────────────────────────────────


def nd_parts(x: Shape, indices: Shape, batch_dims: int) -> tuple[int, Shape]:
    """Return how many axes the last axis of the indices names, and the shape of what one of them names."""
    if not 0 <= batch_dims < len(indices) or x[:batch_dims] != indices[:batch_dims]:
        raise GraphError(f"{shapes.show(x)} and indices {shapes.show(indices)} do not share {batch_dims} batch axes")
    depth = indices[-1]
    if not isinstance(depth, int) or not 1 <= depth <= len(x) - batch_dims:
        raise GraphError(f"indices {shapes.show(indices)} name {depth} axes of {shapes.show(x)} behind the batch")
    return depth, x[batch_dims + depth :]


def nd_sizes(x: Shape, indices: Shape, batch_dims: int) -> dict[str, Size]:
    """Return the arguments of the kernels that index several axes at once."""
    depth, inner = nd_parts(x, indices, batch_dims)
    if depth > MOST_DEPTH:
        raise UnsupportedError(f"indices of {depth} axes at once; their kernels take {MOST_DEPTH}")
    named = (*x[batch_dims : batch_dims + depth], *(1,) * (MOST_DEPTH - depth))
    return {
        "batches": product(x[:batch_dims]), "count": product(indices[batch_dims:-1]), "depth": depth,
        "inner": product(inner), **{f"n{i}": n for i, n in enumerate(named)},
    }  # fmt: skip


def nd_places(x: Array, indices: Array, batch_dims: int) -> tuple[Array, ...]:
    """Return arrays that index x in NumPy's way: the batch's counters, then the indices themselves."""
    lead = indices.shape[:-1]
    counters = [
        np.arange(n).reshape([-1 if i == axis else 1 for i in range(len(lead))])
        for axis, n in enumerate(lead[:batch_dims])
    ]
    return (*counters, *np.moveaxis(indices, -1, 0))


def _nd_shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    x, indices = ins
    batch = attrs["batch_dims"]
    depth, inner = nd_parts(x, indices, batch)
    if product(indices) != 0:
        for axis in range(batch, batch + depth):
            shapes.need_elements(x, axis)
    return (*indices[:-1], *inner)


def _nd(x: Array, indices: Array, batch_dims: int) -> Array:
    limits = x.shape[batch_dims : batch_dims + indices.shape[-1]]
    inside = [clamped(indices[..., j], n) for j, n in enumerate(limits)]
    return np.asarray(x[nd_places(x, np.stack(inside, -1), batch_dims)])


def _nd_eager(x: Array, indices: Array, batch_dims: int) -> Array:
    for j, n in enumerate(x.shape[batch_dims : batch_dims + indices.shape[-1]]):
        require_inside("gather_nd", indices[..., j], n)
    return _nd(x, indices, batch_dims)


def _transposed(op: str) -> Callable[..., Any]:
    """The gradient of a gather adds each piece of g back to where it came from."""

    def gradient(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any, None]:
        x, indices = inputs
        return zeros_of(x).apply(op, indices, g, reduction="add", **attrs), None

    return gradient


# ── samples ─────────────────────────────────────────────────────────────────────────────────────────


def some_indices(rng: np.random.Generator, n: int, shape: Sequence[int], unique: bool = False) -> Array:
    """Draw indices of n elements, some of them negative; along the first axis of `shape` all differ if `unique`."""
    if unique:
        drawn = np.argsort(rng.random((n, *shape[1:])), axis=0)[: shape[0]]
    else:
        drawn = rng.integers(0, n, tuple(shape))
    return np.asarray(np.where(rng.random(drawn.shape) < 0.3, drawn - n, drawn), dtype=rng.choice(["int64", "int32"]))


def _sample_gather(rng: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
    shape = some_shape(rng)
    axis = int(rng.integers(-len(shape), len(shape)))
    indices = some_indices(rng, shape[axis], [int(s) for s in rng.integers(1, 5, int(rng.integers(0, 3)))])
    return [*maybe_typed(rng, shape), indices], {"axis": axis}


def _sample_elements(rng: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
    shape = some_shape(rng)
    axis = int(rng.integers(-len(shape), len(shape)))
    wanted = list(shape)
    wanted[axis] = int(rng.integers(1, 8))
    return [*maybe_typed(rng, shape), some_indices(rng, shape[axis], wanted)], {"axis": axis}


def sample_nd(rng: np.random.Generator, unique: bool = False) -> tuple[tuple[int, ...], Array, tuple[int, ...], int]:
    """Draw x's shape, indices into it, the shape of what they name, and the number of batch axes."""
    shape = some_shape(rng, 2)
    batch = 0 if rng.random() < 0.5 else 1
    depth = int(rng.integers(1, len(shape) - batch + 1))
    named = shape[batch : batch + depth]
    total = int(np.prod(named))
    count = int(rng.integers(1, min(total, 6) + 1))
    flat = np.stack([
        rng.permutation(total)[:count] if unique else rng.integers(0, total, count)
        for _ in range(int(np.prod(shape[:batch])))
    ])  # fmt: skip
    places = np.stack(np.unravel_index(flat, named), -1)
    places = np.where(rng.random(places.shape) < 0.3, places - np.asarray(named), places)
    lead = (*shape[:batch], count)
    indices = places.reshape(*lead, depth).astype(str(rng.choice(["int64", "int32"])))
    return shape, indices, (*lead, *shape[batch + depth :]), batch


def _sample_nd(rng: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
    shape, indices, _, batch = sample_nd(rng)
    return [*maybe_typed(rng, shape), indices], {"batch_dims": batch}


ROWS = (
    Op("gather", Family.MOVEMENT, "The elements of x at `indices` along `axis`, which takes the indices' own shape.",
       2, _gather_shape, _gather, dtype=types.first, compute=_gather_eager, attrs={"axis": 0},
       samples=_sample_gather, gradient=_transposed("scatter"),
       kernel=Kernel("gather.c", lambda ins, out, attrs: axis_sizes(ins[0], attrs["axis"], product(ins[1])),
                     (None, None), typed=True, index=1)),
    Op("gather_elements", Family.MOVEMENT, "One element of x for each index: at the index's own place, but for `axis`.",
       2, _elements_shape, _elements, dtype=types.first, compute=_elements_eager, attrs={"axis": 0},
       samples=_sample_elements, gradient=_transposed("scatter_elements"),
       kernel=Kernel("gather_elements.c",
                     lambda ins, out, attrs: axis_sizes(ins[0], attrs["axis"], split(ins[1], attrs["axis"])[1]),
                     (None, None), typed=True, index=1)),
    Op("gather_nd", Family.MOVEMENT,
       "x at places that the last axis of the indices names, behind `batch_dims` axes that both share.",
       2, _nd_shape, _nd, dtype=types.first, compute=_nd_eager, attrs={"batch_dims": 0}, samples=_sample_nd,
       gradient=_transposed("scatter_nd"),
       kernel=Kernel("gather_nd.c", lambda ins, out, attrs: nd_sizes(ins[0], ins[1], attrs["batch_dims"]),
                     (None, None), typed=True, index=1)),
)  # fmt: skip
