"""The rows that batch statistics are made of: few passes over memory, since training spends its time there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from neurenix import expr as ex
from neurenix.dims import Shape
from neurenix.errors import GraphError
from neurenix.ops import pieces, shapes, types
from neurenix.ops.op import REQUIRED, Array, Attrs, Family, Op
from neurenix.threads import each, empty


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
    if x.ndim > 1 and x.size and {a % x.ndim for a in axes} == {0, *range(2, x.ndim)}:
        return _channel_moments(x)
    mean = x.mean(axis=tuple(axes), keepdims=True)
    centred = x - mean
    total = _product_sum(centred, centred, axes)
    return np.stack([mean, total / x.dtype.type(x.size // max(total.size, 1))])


def _channel_moments(x: Array) -> Array:
    """The moments of each channel: those of pieces, put together (Chan, Golub and LeVeque, 1983)."""
    given, parts = x.reshape(*x.shape[:2], math.prod(x.shape[2:])), pieces.summed(x.shape)
    means, squares = (np.empty((len(parts), x.shape[1]), x.dtype) for _ in range(2))
    counts = np.array([[(part.stop - part.start) * given.shape[2]] for part in parts], x.dtype)

    def compute(index: int) -> None:
        piece = given[parts[index]]
        means[index] = np.einsum("ncp->nc", piece).sum(axis=0) / counts[index]
        centred = np.subtract(piece, means[index][:, None], out=empty(piece.shape, x.dtype))
        np.einsum("ncp,ncp->c", centred, centred, out=squares[index])

    each(compute, range(len(parts)))
    count = x.dtype.type(x.size // x.shape[1])
    mean = (means * counts).sum(axis=0) / count
    away = means - mean
    variance = (squares.sum(axis=0) + (away * away * counts).sum(axis=0)) / count
    return np.stack([mean, variance]).reshape(2, 1, -1, *(1,) * (x.ndim - 2))


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
    Op("product_sum", Family.NORMALIZATION, "The sum of a * b over `axes`, kept as 1.", 2, _product_sum_shape,
       lambda a, b, axes: (a * b).sum(axis=tuple(axes), keepdims=True), dtype=types.floating, compute=_product_sum,
       attrs={"axes": REQUIRED}, gradient=_product_sum_gradient, domain=(-1, 1), samples=_sample_pair),
)  # fmt: skip
