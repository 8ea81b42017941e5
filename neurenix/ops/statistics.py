"""The rows that batch statistics are made of: few passes over memory, since training spends its time there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from neurenix import expr as ex
from neurenix.dims import Shape
from neurenix.errors import GraphError
from neurenix.ops import shapes, types
from neurenix.ops.elementwise import choosing
from neurenix.ops.op import REQUIRED, Array, Attrs, Family, Op

# Elements up to which adding them up one after another is as exact as statistics need.
_EXACT = 1 << 12


def _kept(shape: Shape, attrs: Attrs) -> Shape:
    return shapes.reduced([shape], {"axes": attrs["axes"], "keepdims": True})


# ── moments ─────────────────────────────────────────────────────────────────────────────────────────────


def _moments_shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    (shape,) = ins
    kept = _kept(shape, attrs)
    if any(was == 0 and now == 1 for was, now in zip(shape, kept)):
        raise GraphError(f"nothing has no mean: {shapes.show(shape)} is empty along axes {tuple(attrs['axes'])}")
    return (2, *kept)


def _moments(x: Array, axes: Sequence[int]) -> Array:
    mean = _mean(x, tuple(axes))
    centred = x - mean
    total = _product_sum(centred, centred, axes)
    return np.stack([mean, total / x.dtype.type(x.size // max(total.size, 1))])


def _mean(x: Array, axes: tuple[int, ...]) -> Array:
    """As x.mean; where an image's pixels are among the axes einsum adds those up, several times as fast."""
    pixels = math.prod(x.shape[2:])
    if x.ndim < 3 or {a % x.ndim for a in axes} != {0, *range(2, x.ndim)} or not 0 < pixels <= _EXACT:
        return np.asarray(x.mean(axis=axes, keepdims=True))
    total = np.einsum("ncp->nc", x.reshape(*x.shape[:2], pixels)).sum(axis=0)
    return np.asarray(total / x.dtype.type(x.shape[0] * pixels)).reshape(1, -1, *(1,) * (x.ndim - 2))


def _moments_oracle(x: Array, axes: Sequence[int]) -> Array:
    return np.stack([x.mean(axis=tuple(axes), keepdims=True), x.var(axis=tuple(axes), keepdims=True)])


def _moments_gradient(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any]:
    """(g_mean + 2 (x - mean) g_variance) / n, as one product and one sum for each element."""
    (x,) = inputs
    n = max(math.prod(shapes.known(x.shape)) // max(math.prod(shapes.known(y.shape[1:])), 1), 1)
    by_mean, by_variance, mean = g[0], g[1], y[0]
    shift = by_mean.map((ex.operand(0) - 2 * ex.operand(1) * ex.operand(2)) * (1 / n), by_variance, mean)
    return (x.apply("scale_shift", by_variance * (2 / n), shift),)


# ── scale_shift ─────────────────────────────────────────────────────────────────────────────────────────


def _scale_shift(x: Array, scale: Array, shift: Array) -> Array:
    y = np.multiply(x, scale)
    if np.broadcast_shapes(y.shape, shift.shape) != y.shape:
        return np.asarray(y + shift)
    return np.asarray(np.add(y, shift, out=y) if y.ndim else y + shift)


def _scale_shift_gradient(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any, Any, Any]:
    x, scale, shift = inputs
    axes = tuple(a for a, (s, full) in enumerate(zip(scale.shape, g.shape)) if s == 1 != full)
    if len(scale.shape) == len(g.shape) and x.shape == g.shape and axes:
        slope = g.apply("product_sum", x, axes=axes)
    else:
        slope = (g * x).sum_to(scale.shape)
    return (g * scale).sum_to(x.shape), slope, g.sum_to(shift.shape)


# ── batch_norm ──────────────────────────────────────────────────────────────────────────────────────────


def _batch_norm(x: Array, mean: Array, variance: Array, weight: Array, bias: Array, eps: float) -> Array:
    scale = weight / np.sqrt(variance + x.dtype.type(eps))
    return _scale_shift(x, scale, bias - mean * scale)


def _batch_norm_gradient(g: Any, y: Any, inputs: Any, attrs: Attrs) -> Any:
    """The whole gradient by x where the moments are its own, and so none by them; else the expression's derivative.

    It is s (g - mean(g) - z mean(g z)) with z = (x - mean) r, r = 1 / sqrt(variance + eps) and s = weight r, as two
    products and two sums for each element.
    """
    x, mean, variance, weight, _ = inputs
    if not (_is_moment(mean, x, 0) and _is_moment(variance, x, 1)) or g.shape != x.shape:
        return None
    axes = tuple(a for a, (kept, full) in enumerate(zip(mean.shape, x.shape)) if kept == 1 != full)
    share = 1 / max(math.prod(x.shape[a] for a in axes), 1)
    total, slope = g.sum(axes, keepdim=True), g.apply("product_sum", x, axes=axes)
    a, b, c, d = map(ex.operand, range(4))
    inverse = variance.map(1 / ex.sqrt(a + attrs["eps"]))
    by_weight = slope.map((a - b * c) * d, mean, total, inverse)  # the sum of g z
    scale = weight.map(a * b, inverse)
    along_x = scale.map(a * b * c * -share, inverse, by_weight)
    shift = scale.map(a * b * -share - c * d, total, along_x, mean)
    by_x = g.apply("scale_shift", scale, x.apply("scale_shift", along_x, shift))
    return by_x, None, None, by_weight.sum_to(weight.shape), total.sum_to(inputs[4].shape)


def _is_moment(tensor: Any, x: Any, index: int) -> bool:
    """Say whether a tensor is the mean (0) or the variance (1) of x, as its history tells."""
    while tensor.entry is not None and tensor.entry.op.name == "reshape":
        (tensor,) = tensor.entry.inputs
    if tensor.entry is None or tensor.entry.op.name != "slice" or tensor.entry.attrs["starts"][0] != index:
        return False
    moments = tensor.entry.inputs[0].entry
    return moments is not None and moments.op.name == "moments" and moments.inputs[0] is x


# ── product_sum ─────────────────────────────────────────────────────────────────────────────────────────


def _product_sum(a: Array, b: Array, axes: Sequence[int]) -> Array:
    """Without the products in memory: einsum adds them up as it goes."""
    letters = list(range(a.ndim))
    reduced = {axis % a.ndim for axis in axes}
    total = np.einsum(a, letters, b, letters, [i for i in letters if i not in reduced])
    return np.asarray(total).reshape([1 if i in reduced else s for i, s in enumerate(a.shape)])


def _product_sum_shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    if ins[0] != ins[1]:
        raise GraphError(f"{shapes.show(ins[0])} and {shapes.show(ins[1])} are different shapes")
    return _kept(ins[0], attrs)


def _product_sum_gradient(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any, Any]:
    a, b = inputs
    return b * g, a * g


def _sample(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    rank = int(rng.integers(1, 5))
    axes = tuple(int(a) - rank * int(rng.integers(2)) for a in rng.permutation(rank)[: rng.integers(1, rank + 1)])
    return [tuple(int(s) for s in rng.integers(1, 8, rank))], {"axes": axes}


def _sample_pair(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    (shape,), attrs = _sample(rng)
    return [shape, shape], attrs


ROWS = (
    Op("moments", Family.NORMALIZATION, "The mean and the variance over `axes`, kept as 1, as one tensor (2, …).", 1,
       _moments_shape, _moments_oracle, dtype=types.floating, compute=_moments, attrs={"axes": REQUIRED},
       gradient=_moments_gradient, samples=_sample),
    Op("scale_shift", Family.ELEMENTWISE, "x * scale + shift.", 3, shapes.broadcast, lambda x, a, b: x * a + b,
       dtype=types.floating, expr=lambda x, scale, shift: x * scale + shift, compute=_scale_shift,
       gradient=_scale_shift_gradient),
    Op("batch_norm", Family.ELEMENTWISE, "(x - mean) / sqrt(variance + eps) * weight + bias.", 5, shapes.broadcast,
       lambda x, m, v, w, b, eps: (x - m) / np.sqrt(v + eps) * w + b, dtype=types.floating, attrs={"eps": REQUIRED},
       expr=lambda x, m, v, w, b, eps: (x - m) / ex.sqrt(v + eps) * w + b, compute=_batch_norm,
       gradient=_batch_norm_gradient, domain=(0.1, 4), samples=choosing(5, eps=(1e-5, 1e-3, 0.5))),
    Op("product_sum", Family.NORMALIZATION, "The sum of a * b over `axes`, kept as 1.", 2, _product_sum_shape,
       lambda a, b, axes: (a * b).sum(axis=tuple(axes), keepdims=True), dtype=types.floating, compute=_product_sum,
       attrs={"axes": REQUIRED}, gradient=_product_sum_gradient, domain=(-1, 1), samples=_sample_pair),
)  # fmt: skip
