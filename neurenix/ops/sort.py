"""The sorting row: where the elements would go. Sorted values and the largest few are gathered by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurenix.dims import Shape, Size
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
    return {"NX_BEFORE(a, b)": "((a) > (b))" if descending else "((a) < (b))", "NX_NAN_FIRST": str(int(descending))}


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
)  # fmt: skip
