"""The normalising rows: an element's value depends on all elements along an axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from neurenix.dims import Shape, Size, product
from neurenix.errors import GraphError
from neurenix.ops import flops, shapes, types
from neurenix.ops.op import Array, Attrs, Family, Kernel, Op


def _log_softmax(x: Array, axis: int) -> Array:
    if not x.size:  # the largest of none has no value
        return x
    shifted = x - x.max(axis=axis, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True)))


def _softmax(x: Array, axis: int) -> Array:
    if not x.size:
        return x
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return np.asarray(e / e.sum(axis=axis, keepdims=True))


def _softmax_gradient(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any]:
    return (y * (g - (g * y).sum(attrs["axis"], keepdim=True)),)


def _log_softmax_gradient(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any]:
    return (g - y.exp() * g.sum(attrs["axis"], keepdim=True),)


def _rows(ins: Sequence[Shape], out: Shape, attrs: Attrs) -> dict[str, Size]:
    return {"rows": product(out[:-1]), "N": out[-1]}


def _sample_softmax(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    rank = int(rng.integers(1, 6))
    return [tuple(int(v) for v in rng.integers(1, (40, 30, 9, 6, 4)[rank - 1], rank))], {}


# ── along the last axis: standardize and rms_norm ───────────────────────────────────────────────────────


def _rowwise(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    (shape,), eps = ins, attrs["eps"]
    if type(eps) is not float or not 0 <= eps < math.inf:
        raise GraphError(f"eps is a float of at least 0, got {eps!r}")
    if not shape:
        raise GraphError("a scalar has no last axis")
    shapes.need_elements(shape, len(shape) - 1)
    return shape


def _defines(centred: int) -> Any:
    return lambda attrs: {"NX_CENTRED": str(centred), "NX_EPS": repr(float(attrs["eps"]))}


def _standardize(x: Array, eps: float) -> Array:
    y = x - x.mean(axis=-1, keepdims=True)
    y *= 1 / np.sqrt(np.einsum("...i,...i->...", y, y)[..., None] / y.dtype.type(x.shape[-1]) + y.dtype.type(eps))
    return np.asarray(y)


def _standardize_oracle(x: Array, eps: float) -> Array:
    return np.asarray((x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + eps))


def _rms_norm_oracle(x: Array, eps: float) -> Array:
    return np.asarray(x / np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + eps))


def _standardize_gradient(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any]:
    """(g - mean(g) - y mean(g y)) r, where r is what the row was divided by."""
    n = y.shape[-1]
    inverse = 1 / (inputs[0].apply("moments", axes=(-1,))[1] + attrs["eps"]).sqrt()
    along_y = g.apply("product_sum", y, axes=(-1,)) * inverse * (-1 / n)
    along_1 = g.mean(-1, keepdim=True) * inverse
    return (g.apply("scale_shift", inverse, y.apply("scale_shift", along_y, -along_1)),)


def _rms_norm_gradient(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any]:
    """(g - y mean(g y)) r, where r is what the row was divided by."""
    (x,), n = inputs, y.shape[-1]
    inverse = 1 / (x.apply("product_sum", x, axes=(-1,)) * (1 / n) + attrs["eps"]).sqrt()
    along_y = g.apply("product_sum", y, axes=(-1,)) * inverse * (-1 / n)
    return (g.apply("scale_shift", inverse, y * along_y),)


def _sample_rows(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    lead = tuple(int(v) for v in rng.integers(1, 6, int(rng.integers(0, 3))))
    return [(*lead, int(rng.choice([1, 2, 7, 16, 33, 300, 2500])))], {"eps": float(rng.choice([1e-5, 1e-3, 0.5]))}


ROWS = (
    Op("softmax", Family.NORMALIZATION, "exp(x) divided by its sum along `axis`.", 1, shapes.same, _softmax,
       dtype=types.floating, attrs={"axis": -1}, gradient=_softmax_gradient, samples=_sample_softmax,
       kernel=Kernel("softmax.c", _rows, (None,), typed=True)),
    Op("log_softmax", Family.NORMALIZATION, "The logarithm of softmax along `axis`, without its rounding.", 1,
       shapes.same, _log_softmax, dtype=types.floating, attrs={"axis": -1}, gradient=_log_softmax_gradient,
       samples=_sample_softmax, kernel=Kernel("log_softmax.c", _rows, (None,), typed=True)),
    Op("standardize", Family.NORMALIZATION, "(x - mean) / sqrt(variance + eps), both along the last axis.", 1, _rowwise,
       _standardize_oracle, dtype=types.floating, compute=_standardize, attrs={"eps": 1e-5},
       gradient=_standardize_gradient, samples=_sample_rows,
       kernel=Kernel("standardize.c", _rows, (None,), epilogue=True, typed=True, defines=_defines(1))),
    Op("rms_norm", Family.NORMALIZATION, "x / sqrt(mean of x² + eps) along the last axis.", 1, _rowwise,
       _rms_norm_oracle, dtype=types.floating, attrs={"eps": 1e-5}, gradient=_rms_norm_gradient,
       samples=_sample_rows,
       kernel=Kernel("standardize.c", _rows, (None,), epilogue=True, typed=True, defines=_defines(0)),
       flops=flops.per_output(3)),
)  # fmt: skip
