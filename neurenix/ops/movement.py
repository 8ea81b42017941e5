"""The moving rows that keep a tensor whole, reshape, permute, expand; iota, which counts places; dimension."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurenix.dims import Shape, Size, least
from neurenix.errors import GraphError
from neurenix.ops import shapes, strides, types
from neurenix.ops.op import REQUIRED, Attrs, Family, Kernel, Op

KINDS = ("int64", "int32", "int8", "uint8", "bool")


def view_sizes(out: Shape, steps: Sequence[Size], offset: Size, what: str) -> dict[str, Size]:
    """Return the arguments of view.c: where it starts to read, and the walk."""
    return {"offset": offset, **strides.walk(out, steps, what)}


def _permute_sizes(ins: Sequence[Shape], out: Shape, attrs: Attrs) -> dict[str, Size]:
    (x,) = ins
    steps = strides.row_major(x)
    return view_sizes(out, [steps[a] for a in attrs["axes"]], 0, f"a permutation of {shapes.show(x)}")


def _expand_sizes(ins: Sequence[Shape], out: Shape, attrs: Attrs) -> dict[str, Size]:
    (x,) = ins
    steps = [0 if s == 1 else step for s, step in zip(x, strides.row_major(x))]
    return view_sizes(out, [0] * (len(out) - len(x)) + steps, 0, f"an expansion of {shapes.show(x)}")


def _iota_shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    if least(attrs["size"]) < 0:
        raise GraphError(f"there are no {attrs['size']} places to count")
    return (attrs["size"],)


def some_shape(rng: np.random.Generator, least: int = 1) -> tuple[int, ...]:
    """Draw a shape of up to five axes."""
    return tuple(int(s) for s in rng.integers(1, 7, int(rng.integers(least, 6))))


def maybe_typed(rng: np.random.Generator, *of: tuple[int, ...]) -> list[Any]:
    """Return the shapes as they are, for floats, or arrays of one dtype of other numbers."""
    if rng.random() < 0.6:
        return list(of)
    kind = str(rng.choice(KINDS))
    return [rng.integers(0, 2 if kind == "bool" else 100, shape).astype(kind) for shape in of]


def _sample_reshape(rng: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
    shape = some_shape(rng)
    cut = int(rng.integers(0, len(shape)))
    return maybe_typed(rng, shape), {"shape": (*shape[:cut], 1, -1)}


def _sample_permute(rng: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
    shape = some_shape(rng)
    return maybe_typed(rng, shape), {"axes": tuple(int(a) for a in rng.permutation(len(shape)))}


def _sample_expand(rng: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
    shape = some_shape(rng)
    few = tuple(1 if rng.random() < 0.5 else s for s in shape)
    return maybe_typed(rng, few), {"shape": (int(rng.integers(1, 4)), *shape)}


ROWS = (
    Op("reshape", Family.MOVEMENT, "The same elements in the same order under another `shape`; one -1 is inferred.",
       1, shapes.reshape, lambda x, shape: x.reshape(shape), attrs={"shape": REQUIRED},
       samples=_sample_reshape, gradient=lambda g, y, inputs, attrs: (g.reshape(inputs[0].shape),)),
    Op("permute", Family.MOVEMENT, "The axes in another order: axis i of the result is axis `axes[i]` of x.",
       1, shapes.permute, lambda x, axes: x.transpose(axes), attrs={"axes": REQUIRED}, samples=_sample_permute,
       gradient=lambda g, y, inputs, attrs: (g.permute(tuple(int(a) for a in np.argsort(attrs["axes"]))),),
       kernel=Kernel("view.c", _permute_sizes, (None,), typed=True)),
    Op("expand", Family.MOVEMENT, "Broadcast to `shape`.",
       1, shapes.expand, lambda x, shape: np.broadcast_to(x, shape), attrs={"shape": REQUIRED},
       samples=_sample_expand, gradient=lambda g, y, inputs, attrs: (g.sum_to(inputs[0].shape),),
       kernel=Kernel("view.c", _expand_sizes, (None,), typed=True)),
    Op("iota", Family.MOVEMENT, "0, 1, 2, … up to `size` - 1 in a `dtype`.", 0, _iota_shape,
       lambda size, dtype: np.arange(size).astype(dtype), dtype=types.attribute,
       attrs={"size": REQUIRED, "dtype": "int64"},
       samples=lambda rng: ([], {"size": int(rng.integers(0, 100)), "dtype": str(rng.choice(["float32", *KINDS]))}),
       gradient=lambda g, y, inputs, attrs: (),
       kernel=Kernel("iota.c", lambda ins, out, attrs: {"n": out[0]}, (), typed=True,
                     defines=lambda attrs: {"NX_PLACE(i)": "((i) != 0)" if attrs["dtype"] == "bool" else "(i)"})),
    Op("dimension", Family.MOVEMENT, "The number that a symbolic `size` is in this run, in a `dtype`.", 0,
       lambda ins, attrs: (), lambda size, dtype: np.asarray(size).astype(dtype), dtype=types.attribute,
       attrs={"size": REQUIRED, "dtype": "int64"},
       samples=lambda rng: ([], {"size": int(rng.integers(0, 100)), "dtype": str(rng.choice(["float32", *KINDS[:2]]))}),
       gradient=lambda g, y, inputs, attrs: (),
       kernel=Kernel("dimension.c", lambda ins, out, attrs: {"size": attrs["size"]}, (), typed=True)),
)  # fmt: skip
