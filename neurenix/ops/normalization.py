"""The normalising rows: an element's value depends on all elements along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurenix.dims import Shape, Size, product
from neurenix.ops import shapes
from neurenix.ops.op import Array, Attrs, Family, Kernel, Op


def _log_softmax(x: Array, axis: int) -> Array:
    shifted = x - x.max(axis=axis, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True)))


def _softmax(x: Array, axis: int) -> Array:
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return np.asarray(e / e.sum(axis=axis, keepdims=True))


def _softmax_gradient(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any]:
    return (y * (g - (g * y).sum(attrs["axis"], keepdim=True)),)


def _log_softmax_gradient(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any]:
    return (g - y.exp() * g.sum(attrs["axis"], keepdim=True),)


def _sizes(ins: Sequence[Shape], out: Shape, attrs: Attrs) -> dict[str, Size]:
    return {"rows": product(out[:-1]), "N": out[-1]}


def _sample(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    rows, n = (int(v) for v in rng.integers(1, 30, 2))
    return [(rows, n)], {}


ROWS = (
    Op("softmax", Family.NORMALIZATION, "exp(x) divided by its sum along `axis`.", 1, shapes.same, _softmax,
       attrs={"axis": -1}, gradient=_softmax_gradient, samples=_sample,
       kernel=Kernel("softmax.c", _sizes, (None,))),
    Op("log_softmax", Family.NORMALIZATION, "The logarithm of softmax along `axis`, without its rounding.", 1,
       shapes.same, _log_softmax, attrs={"axis": -1}, gradient=_log_softmax_gradient, samples=_sample),
)  # fmt: skip
