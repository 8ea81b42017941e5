"""The moving rows: elements change place, none changes value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurenix.dims import Shape, Size
from neurenix.errors import UnsupportedError
from neurenix.ops import shapes
from neurenix.ops.op import REQUIRED, Attrs, Family, Kernel, Op


def _permute_sizes(ins: Sequence[Shape], out: Shape, attrs: Attrs) -> dict[str, Size]:
    """Up to four axes, outermost first: the output's extents, and the input's stride along each."""
    (x,), rank = ins, len(out)
    if rank > 4:
        raise UnsupportedError(f"op 'permute' of shape {shapes.show(x)} has {rank} axes; its kernel takes 4")
    strides: list[Size] = [1] * rank
    for axis in range(rank - 2, -1, -1):
        strides[axis] = strides[axis + 1] * x[axis + 1]
    extents = [1] * (4 - rank) + list(out)
    steps = [0] * (4 - rank) + [strides[a] for a in attrs["axes"]]
    return {f"d{i}": e for i, e in enumerate(extents)} | {f"s{i}": s for i, s in enumerate(steps)}


def _shape(rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(int(s) for s in rng.integers(1, 7, int(rng.integers(1, 5))))


def _sample_reshape(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    shape = _shape(rng)
    cut = int(rng.integers(0, len(shape)))
    return [shape], {"shape": (*shape[:cut], 1, -1)}


def _sample_permute(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    shape = _shape(rng)
    return [shape], {"axes": tuple(int(a) for a in rng.permutation(len(shape)))}


def _sample_expand(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    shape = _shape(rng)
    return [tuple(1 if rng.random() < 0.5 else s for s in shape)], {"shape": (int(rng.integers(1, 4)), *shape)}


ROWS = (
    Op("reshape", Family.MOVEMENT, "The same elements in the same order under another `shape`; one -1 is inferred.",
       1, shapes.reshape, lambda x, shape: x.reshape(shape), attrs={"shape": REQUIRED},
       samples=_sample_reshape, gradient=lambda g, y, inputs, attrs: (g.reshape(inputs[0].shape),)),
    Op("permute", Family.MOVEMENT, "The axes in another order: axis i of the result is axis `axes[i]` of x.",
       1, shapes.permute, lambda x, axes: x.transpose(axes), attrs={"axes": REQUIRED}, samples=_sample_permute,
       gradient=lambda g, y, inputs, attrs: (g.permute(tuple(int(a) for a in np.argsort(attrs["axes"]))),),
       kernel=Kernel("permute.c", _permute_sizes, (None,))),
    Op("expand", Family.MOVEMENT, "Broadcast to `shape`.",
       1, shapes.expand, lambda x, shape: np.broadcast_to(x, shape), attrs={"shape": REQUIRED},
       samples=_sample_expand, gradient=lambda g, y, inputs, attrs: (g.sum_to(inputs[0].shape),)),
)  # fmt: skip
