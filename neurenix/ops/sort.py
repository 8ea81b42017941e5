"""The sorting rows: where elements, or whole rows, would go. Sorted values and the largest few are gathered by them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurenix.dims import Shape, Size, product
from neurenix.errors import GraphError
from neurenix.ops import shapes, types
from neurenix.ops.op import Array, Attrs, Family, Kernel, Op
from neurenix.ops.reduce import around, sample_axis


def _shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    shapes.axis_of(attrs["axis"], len(ins[0]))
    if type(attrs["descending"]) is not bool:
        raise GraphError(f"descending is {attrs['descending']!r}; it is true or false")
    return ins[0]


def _sizes(ins: Sequence[Shape], out: Shape, attrs: Attrs) -> dict[str, Size]:
    axis = shapes.axis_of(attrs["axis"], len(ins[0]))
    return around(ins[0], axis, axis)


def _argsort(x: Array, axis: int, descending: bool) -> Array:
    if x.ndim == 0:
        return np.asarray(0)
    if not descending:
        return np.argsort(x, axis=axis, kind="stable")
    # Sorted backwards from the end, equal elements come out in their own order again.
    order = np.argsort(np.flip(x, axis), axis=axis, kind="stable")
    return np.asarray(x.shape[axis] - 1 - np.flip(order, axis))


def _defines(attrs: Attrs) -> dict[str, str]:
    descending = bool(attrs["descending"])
    return {"NX_BEFORE(a, b)": "((a) > (b))" if descending else "((a) < (b))", "NX_NAN_FIRST": str(int(descending)),
            "NX_ROWS": "0"}  # fmt: skip


def _rows_shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    if not ins[0]:
        raise GraphError("a scalar has no rows to sort")
    return ins[0][:1]


def _argsort_rows(x: Array) -> Array:
    if x.shape[0] == 0 or x.size == 0:
        return np.arange(x.shape[0])
    return np.lexsort(x.reshape(len(x), -1).T[::-1])


def _sample_rows(rng: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
    (x,), _ = _sample(rng)
    shape = x if isinstance(x, tuple) else x.shape
    few = np.asarray(rng.integers(0, 3, shape or (1,)))  # many equal ones
    if rng.random() < 0.4:
        return [few.astype(str(rng.choice(["int64", "int32", "int8", "uint8", "bool"])))], {}
    return [np.where(few == 2, np.nan, few - 0.5)], {}


def _sample(rng: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
    shape = tuple(int(s) for s in rng.integers(1, 7, int(rng.integers(0, 4))))
    if rng.random() < 0.5:
        shape = (int(rng.integers(20, 200)), 3) if rng.random() < 0.5 else (3, int(rng.integers(20, 200)))
    attrs = {"axis": sample_axis(rng, len(shape)), "descending": bool(rng.integers(2))}
    if rng.random() < 0.4:
        return [shape], attrs
    few = np.asarray(rng.integers(0, 9, shape))  # many equal ones
    if rng.random() < 0.4:
        return [few.astype(str(rng.choice(["int64", "int32", "int8", "uint8", "bool"])))], attrs
    return [np.where(few == 8, np.nan, np.where(few == 7, -np.inf, few - 4.0))], attrs


ROWS = (
    Op("argsort", Family.REDUCE, "The positions of the elements in sorted order along `axis`: equal ones keep their "
       "order, and NaN counts as the largest.", 1, _shape, _argsort, dtype=types.int64,
       attrs={"axis": -1, "descending": False}, samples=_sample,
       kernel=Kernel("argsort.c", _sizes, (None,), typed=True, defines=_defines,
                     scratch=lambda sizes: sizes["outer"] * sizes["n"] * sizes["inner"])),
    Op("argsort_rows", Family.REDUCE, "The positions of the first axis's slices in lexicographic order: equal ones "
       "keep their order, and NaN counts as the largest.", 1, _rows_shape, _argsort_rows, dtype=types.int64,
       samples=_sample_rows,
       kernel=Kernel("argsort.c", lambda ins, out, attrs: {"outer": 1, "n": ins[0][0], "inner": product(ins[0][1:])},
                     (None,), typed=True, scratch=lambda sizes: sizes["n"],
                     defines=lambda attrs: {**_defines({"descending": False}), "NX_ROWS": "1"})),
)  # fmt: skip
