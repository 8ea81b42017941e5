"""The rows that write by indices: scatter, scatter_elements, scatter_nd. Compiled, an index outside writes nothing.

Each takes y, indices and x, and returns y with the elements of x combined into it at the indices, in their order:
`reduction` is "none", which replaces, "add", "mul", "max" or "min".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from neurenix import expr as ex
from neurenix.dims import Shape, product
from neurenix.dtypes import DType
from neurenix.errors import GraphError
from neurenix.ops import gathering, shapes, types
from neurenix.ops.movement import maybe_typed, some_shape
from neurenix.ops.op import Array, Attrs, Family, Kernel, Op

_COMBINE = {
    "none": "(b)",
    **{
        name: f"nx_put(NX_TYPE)({function}(nx_get(NX_TYPE)(a), nx_get(NX_TYPE)(b)))"
        for name, function in (("add", "nx_add"), ("mul", "nx_mul"), ("max", "nx_larger"), ("min", "nx_smaller"))
    },
}
_UFUNCS = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}
_EQUAL = ex.where(ex.call("eq", ex.operand(0), ex.operand(1)), 1, 0)


def _dtype(dtypes: Sequence[DType], attrs: Mapping[str, Any]) -> DType:
    y, indices, x = dtypes
    types.first([y, indices], attrs)
    if attrs["reduction"] != "none" and y.name == "bool":
        raise GraphError(f"bool has no '{attrs['reduction']}'; cast it to a number")
    return types.same([y, x], attrs)


def _defines(attrs: Attrs) -> dict[str, str]:
    return {"NX_COMBINE(a, b)": _COMBINE[attrs["reduction"]]}


def _check(attrs: Attrs, expected: Shape, x: Shape) -> None:
    if attrs["reduction"] not in _COMBINE:
        raise GraphError(f"reduction '{attrs['reduction']}' is none of {', '.join(_COMBINE)}")
    if x != expected:
        raise GraphError(f"the indices take an x of {shapes.show(expected)}, got {shapes.show(x)}")


# ── shapes ──────────────────────────────────────────────────────────────────────────────────────────


def _scatter_shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    y, indices, x = ins
    axis = shapes.axis_of(attrs["axis"], len(y))
    _check(attrs, (*y[:axis], *indices, *y[axis + 1 :]), x)
    return y


def _elements_shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    y, indices, x = ins
    gathering.elements_shape(y, indices, attrs["axis"])
    _check(attrs, indices, x)
    return y


def _nd_shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    y, indices, x = ins
    _, inner = gathering.nd_parts(y, indices, attrs["batch_dims"])
    _check(attrs, (*indices[:-1], *inner), x)
    return y


# ── oracles ─────────────────────────────────────────────────────────────────────────────────────────


def _write(y: Array, places: tuple[Array, ...], x: Array, reduction: str) -> Array:
    """Combine x into a copy of y at places that NumPy can index with, one after the other."""
    result = np.array(y)
    if reduction == "none":
        result[places] = x
    else:
        _UFUNCS[reduction].at(result, places, x)
    return result


def _scatter(y: Array, indices: Array, x: Array, axis: int, reduction: str) -> Array:
    axis = axis % y.ndim
    lead = tuple(range(axis, axis + indices.ndim))
    rows = np.moveaxis(x, lead, tuple(range(indices.ndim))).reshape(indices.size, *y.shape[:axis], *y.shape[axis + 1 :])
    flat, n = indices.reshape(-1).astype(np.int64), y.shape[axis]
    inside = (flat >= -n) & (flat < n)
    result = _write(np.moveaxis(y, axis, 0), (flat[inside],), rows[inside], reduction)
    return np.asarray(np.moveaxis(result, 0, axis))


def _scatter_eager(y: Array, indices: Array, x: Array, axis: int, reduction: str) -> Array:
    gathering.require_inside("scatter", indices, y.shape[axis])
    if reduction != "add" or not indices.size or y.dtype.kind != "f":
        return _scatter(y, indices, x, axis, reduction)
    # Sums of rows with equal indices, once sorted: ufunc.at is far slower, and this is every embedding's gradient.
    axis = axis % y.ndim
    flat = np.where(indices < 0, indices + y.shape[axis], indices).reshape(-1)
    rows = x.reshape(*y.shape[:axis], flat.size, *y.shape[axis + 1 :])
    order = np.argsort(flat, kind="stable")
    places, starts = np.unique(flat[order], return_index=True)
    result = np.array(y)
    result[(slice(None),) * axis + (places,)] += np.add.reduceat(np.take(rows, order, axis), starts, axis)
    return result


def _elements(y: Array, indices: Array, x: Array, axis: int, reduction: str) -> Array:
    n = y.shape[axis]
    inside = (indices >= -n) & (indices < n)
    places: list[Array] = list(np.indices(indices.shape))
    places[axis] = indices.astype(np.int64)
    return _write(y, tuple(p[inside] for p in places), x[inside], reduction)


def _elements_eager(y: Array, indices: Array, x: Array, axis: int, reduction: str) -> Array:
    gathering.require_inside("scatter_elements", indices, y.shape[axis])
    return _elements(y, indices, x, axis, reduction)


def _nd(y: Array, indices: Array, x: Array, batch_dims: int, reduction: str) -> Array:
    limits = np.asarray(y.shape[batch_dims : batch_dims + indices.shape[-1]])
    inside = ((indices >= -limits) & (indices < limits)).all(-1)
    places = gathering.nd_places(y, indices.astype(np.int64), batch_dims)
    return _write(y, tuple(np.broadcast_to(p, inside.shape)[inside] for p in places), x[inside], reduction)


def _nd_eager(y: Array, indices: Array, x: Array, batch_dims: int, reduction: str) -> Array:
    for j, n in enumerate(y.shape[batch_dims : batch_dims + indices.shape[-1]]):
        gathering.require_inside("scatter_nd", indices[..., j], n)
    return _nd(y, indices, x, batch_dims, reduction)


# ── gradients ───────────────────────────────────────────────────────────────────────────────────────


def _gradient(put: str, pick: str) -> Callable[..., Any]:
    """Return the rule of a scatter, whose transpose is the gather `pick`.

    As in PyTorch, with "none" every x that shares an index gets the gradient, with "max" and "min" those that are
    equal share it, and with "mul" an x of 0 gets NaN.
    """

    def rule(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any, None, Any]:
        base, indices, x = inputs
        where = {k: v for k, v in attrs.items() if k != "reduction"}

        def picked(t: Any) -> Any:
            return t.apply(pick, indices, **where)

        def written(t: Any, values: Any, reduction: str) -> Any:
            return t.apply(put, indices, values, reduction=reduction, **where)

        if attrs["reduction"] == "none":
            return written(g, gathering.zeros_of(x), "none"), None, picked(g)
        if attrs["reduction"] == "add":
            return g, None, picked(g)
        if attrs["reduction"] == "mul":
            return g * written(base.map(ex.const(1)), x, "mul"), None, picked(g * y) / x
        kept, taken = base.map(_EQUAL, y), x.map(_EQUAL, picked(y))
        share = g / written(kept, taken, "add")
        return share * kept, None, picked(share) * taken

    return rule


# ── samples ─────────────────────────────────────────────────────────────────────────────────────────


def _sample_scatter(rng: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
    reduction = str(rng.choice(list(_COMBINE)))
    shape = some_shape(rng)
    axis = int(rng.integers(-len(shape), len(shape)))
    count = int(rng.integers(1, shape[axis] + 1))
    indices = gathering.some_indices(rng, shape[axis], [count], reduction == "none")
    at = axis % len(shape)
    y, x = _typed(rng, reduction, shape, (*shape[:at], count, *shape[at + 1 :]))
    return [y, indices, x], {"axis": axis, "reduction": reduction}


def _sample_elements(rng: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
    reduction = str(rng.choice(list(_COMBINE)))
    shape = some_shape(rng)
    axis = int(rng.integers(-len(shape), len(shape)))
    count = int(rng.integers(1, shape[axis] + 1))
    at = axis % len(shape)
    others = (*shape[:at], *shape[at + 1 :])
    indices = gathering.some_indices(rng, shape[axis], [count, *others], reduction == "none")
    y, x = _typed(rng, reduction, shape, (*shape[:at], count, *shape[at + 1 :]))
    return [y, np.ascontiguousarray(np.moveaxis(indices, 0, at)), x], {"axis": axis, "reduction": reduction}


def _sample_nd(rng: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
    reduction = str(rng.choice(list(_COMBINE)))
    shape, indices, part, batch = gathering.sample_nd(rng, reduction == "none")
    y, x = _typed(rng, reduction, shape, part)
    return [y, indices, x], {"batch_dims": batch, "reduction": reduction}


def _typed(rng: np.random.Generator, reduction: str, *of: tuple[int, ...]) -> list[Any]:
    """Return shapes, or arrays of a dtype that the reduction takes without leaving its range."""
    made = maybe_typed(rng, *of)
    other = isinstance(made[0], np.ndarray) and made[0].dtype.name in ("bool", "int8", "uint8")
    return list(of) if reduction != "none" and other else made


ROWS = (
    Op("scatter", Family.MOVEMENT, "y with x combined into it at `indices` along `axis`: the transpose of gather.",
       3, _scatter_shape, _scatter, dtype=_dtype, compute=_scatter_eager, attrs={"axis": 0, "reduction": "none"},
       domain=(0.5, 2), samples=_sample_scatter, gradient=_gradient("scatter", "gather"),
       kernel=Kernel("scatter.c",
                     lambda ins, out, attrs: gathering.axis_sizes(ins[0], attrs["axis"], product(ins[1])),
                     (None, None, None), typed=True, index=1, in_place=True, defines=_defines)),
    Op("scatter_elements", Family.MOVEMENT, "y with each x combined into it where its index says along `axis`.",
       3, _elements_shape, _elements, dtype=_dtype, compute=_elements_eager, attrs={"axis": 0, "reduction": "none"},
       domain=(0.5, 2), samples=_sample_elements, gradient=_gradient("scatter_elements", "gather_elements"),
       kernel=Kernel("scatter_elements.c",
                     lambda ins, out, attrs: gathering.axis_sizes(
                         ins[0], attrs["axis"], gathering.split(ins[1], attrs["axis"])[1]),
                     (None, None, None), typed=True, index=1, in_place=True, defines=_defines)),
    Op("scatter_nd", Family.MOVEMENT, "y with x combined into it at places that the last axis of the indices names.",
       3, _nd_shape, _nd, dtype=_dtype, compute=_nd_eager, attrs={"batch_dims": 0, "reduction": "none"},
       domain=(0.5, 2), samples=_sample_nd, gradient=_gradient("scatter_nd", "gather_nd"),
       kernel=Kernel("scatter_nd.c",
                     lambda ins, out, attrs: gathering.nd_sizes(ins[0], ins[1], attrs["batch_dims"]),
                     (None, None, None), typed=True, index=1, in_place=True, defines=_defines)),
)  # fmt: skip
