"""The rows of batch normalisation in training: few passes over memory, since training spends its time there.

`batch_norm` normalises by moments that it is given; those of its own input are the usual case, in which the row takes
the moments' share of the gradient upon itself. x has the shape (N, C, d1, …), the moments are (2, 1, C, 1, …): the mean
and the variance of each channel. A model that is exported uses running statistics, so nothing here has a kernel.
"""

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

# Elements of the input's gradient, which takes several steps, that are worth a thread's while.
_WORTH = 1 << 17


def _need(found: Shape, wanted: Shape, what: str) -> None:
    if tuple(found) != tuple(wanted):
        raise GraphError(f"{what} must be {shapes.show(tuple(wanted))}, got {shapes.show(tuple(found))}")


def _need_moments(x: Shape, moments: Shape) -> None:
    if len(x) < 2:
        raise GraphError(f"batch_norm takes (N, C, …), got {shapes.show(x)}")
    _need(moments, (2, 1, x[1], *(1,) * (len(x) - 2)), "the moments")


def _shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    x, moments, weight, bias = ins
    _need_moments(x, moments)
    _need(weight, x[1:2], "the weight")
    _need(bias, x[1:2], "the bias")
    return x


def _sums_shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    g, x, moments = ins
    _need(g, x, "the gradient")
    _need_moments(x, moments)
    return (2, x[1])


def _input_shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    g, x, moments, weight, sums = ins
    _need(sums, _sums_shape([g, x, moments], attrs), "the sums")
    _need(weight, x[1:2], "the weight")
    return x


# ── computing ───────────────────────────────────────────────────────────────────────────────────────────


def _channels(x: Array) -> Array:
    """Return x as (N, C, pixels)."""
    return x.reshape(*x.shape[:2], math.prod(x.shape[2:]))


def _columns(moments: Array, eps: float) -> tuple[Array, Array]:
    """Return the mean and 1 / sqrt(variance + eps), a vector over the channels each."""
    mean, variance = moments.reshape(2, -1)
    return mean, 1 / np.sqrt(variance + moments.dtype.type(eps))


def _batch_norm(x: Array, moments: Array, weight: Array, bias: Array, eps: float) -> Array:
    mean, inverse = _columns(moments, eps)
    scale = weight * inverse
    shift = (bias - mean * scale)[:, None]
    scale = scale[:, None]
    y = empty(x.shape, x.dtype)
    given, made = _channels(x), _channels(y)

    def compute(part: slice) -> None:
        piece = np.multiply(given[part], scale, out=made[part])
        np.add(piece, shift, out=piece)

    each(compute, pieces.shared(x.shape))
    return y


def channel_sums(x: Array) -> Array:
    """Return the sum of each channel of (N, C, pixels)."""
    return np.asarray(np.einsum("ncp->nc", x).sum(axis=0))


def _sums(g: Array, x: Array, moments: Array, eps: float) -> Array:
    mean, inverse = _columns(moments, eps)
    slopes, given, parts = _channels(g), _channels(x), pieces.summed(x.shape)
    found = np.zeros((len(parts), 2, x.shape[1]), x.dtype)

    def compute(index: int) -> None:
        part = parts[index]
        centred = np.subtract(given[part], mean[:, None], out=empty(given[part].shape, x.dtype))
        found[index, 0] = channel_sums(slopes[part])
        np.einsum("ncp,ncp->c", slopes[part], centred, out=found[index, 1])

    each(compute, range(len(parts)))
    total = found.sum(axis=0)
    total[1] *= inverse
    return np.asarray(total)


def _by_input(g: Array, x: Array, moments: Array, weight: Array, sums: Array, eps: float) -> Array:
    """weight r (g - mean(g) - z mean(g z)) with z = (x - mean) r, as two products and two sums for each element."""
    mean, inverse = _columns(moments, eps)
    count = x.dtype.type(max(x.size // max(x.shape[1], 1), 1))
    scale = weight * inverse
    along = -scale * inverse * sums[1] / count
    shift = (-scale * sums[0] / count - along * mean)[:, None]
    scale, along = scale[:, None], along[:, None]
    result = empty(x.shape, x.dtype)
    slopes, given, made = _channels(g), _channels(x), _channels(result)

    def compute(part: slice) -> None:
        piece = np.multiply(given[part], along, out=made[part])
        piece += shift
        piece += np.multiply(slopes[part], scale, out=empty(piece.shape, x.dtype))

    each(compute, pieces.shared(x.shape, _WORTH))
    return result


# ── oracles ─────────────────────────────────────────────────────────────────────────────────────────────


def _standard(x: Array, moments: Array, eps: float) -> Array:
    return np.asarray((x - moments[0]) / np.sqrt(moments[1] + eps))


def _along(v: Array, x: Array) -> Array:
    return v.reshape(1, -1, *(1,) * (x.ndim - 2))


def _others(x: Array) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


def _oracle(x: Array, moments: Array, weight: Array, bias: Array, eps: float) -> Array:
    return np.asarray(_standard(x, moments, eps) * _along(weight, x) + _along(bias, x))


def _sums_oracle(g: Array, x: Array, moments: Array, eps: float) -> Array:
    return np.stack([(g * v).sum(_others(x)) for v in (np.ones_like(x), _standard(x, moments, eps))])


def _input_oracle(g: Array, x: Array, moments: Array, weight: Array, sums: Array, eps: float) -> Array:
    count = max(x.size // max(x.shape[1], 1), 1)
    by_mean, by_variance = (_along(s, x) / count for s in sums)
    slope = g - by_mean - _standard(x, moments, eps) * by_variance
    return np.asarray(slope * _along(weight, x) / np.sqrt(moments[1] + eps))


# ── gradients ───────────────────────────────────────────────────────────────────────────────────────────

_A, _B, _C, _D, _E, _F = map(ex.operand, range(6))


def _gradient(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any, ...]:
    x, moments, weight, _ = inputs
    sums = g.apply("batch_norm_sums", x, moments, **attrs)
    if _is_own(moments, x):
        by_x = g.apply("batch_norm_input_gradient", x, moments, weight, sums, **attrs)
        return by_x, None, sums[1], sums[0]
    along = (1, -1, *(1,) * (x.ndim - 2))
    inverse = moments[1].map(1 / ex.sqrt(_A + attrs["eps"]))
    scale = weight.reshape(along) * inverse
    by_mean = scale * sums[0].reshape(along) * -1
    by_variance = scale * inverse * sums[1].reshape(along) * -0.5
    return g * scale, by_mean.apply("concat", by_variance, axis=0).reshape(moments.shape), sums[1], sums[0]


def _is_own(moments: Any, x: Any) -> bool:
    entry = moments.entry
    return entry is not None and entry.op.name == "moments" and entry.inputs[0] is x


def _of_sums(v: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any, Any, Any]:
    """The sums are those of g and of g z with z = (x - mean) r and r = 1 / sqrt(variance + eps)."""
    g, x, moments = inputs
    along, axes = (1, -1, *(1,) * (x.ndim - 2)), _others(x)
    mean = moments[0]
    inverse = moments[1].map(1 / ex.sqrt(_A + attrs["eps"]))
    by_sum, by_product = v[0].reshape(along), v[1].reshape(along) * inverse
    by_g = by_sum + by_product * (x - mean)
    by_mean = by_product * g.sum(axes, keepdim=True) * -1
    by_variance = by_product * inverse * inverse * (g * (x - mean)).sum(axes, keepdim=True) * -0.5
    return by_g, by_product * g, by_mean.apply("concat", by_variance, axis=0).reshape(moments.shape)


def _of_input(v: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any, ...]:
    """y = w r (g - s0 / n - z s1 / n), differentiated by each of them."""
    g, x, moments, weight, sums = inputs
    along, axes = (1, -1, *(1,) * (x.ndim - 2)), _others(x)
    share = 1 / max(math.prod(shapes.known(x.shape)) // max(x.shape[1], 1), 1)
    inverse = moments[1].map(1 / ex.sqrt(_A + attrs["eps"]))
    z = (x - moments[0]) * inverse
    first, second = (sums[i].reshape(along) * share for i in range(2))
    w = weight.reshape(along)
    scale = w * inverse
    total, product = v.sum(axes, keepdim=True), (v * z).sum(axes, keepdim=True)
    slope = (v * g).sum(axes, keepdim=True) - total * first - product * second  # the sum of v y / scale
    by_x = v * (scale * inverse * second) * -1
    by_mean = scale * inverse * second * total
    by_variance = scale * inverse * inverse * (second * product - slope) * 0.5
    by_sums = (scale * total).apply("concat", scale * product, axis=0).reshape(sums.shape) * -share
    return (
        v * scale, by_x, by_mean.apply("concat", by_variance, axis=0).reshape(moments.shape),
        (slope * inverse).reshape(weight.shape), by_sums,
    )  # fmt: skip


# ── samples ─────────────────────────────────────────────────────────────────────────────────────────────


def _drawn(rng: np.random.Generator) -> tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]:
    x = tuple(int(v) for v in rng.integers(1, 7, int(rng.integers(2, 5))))
    return x, (2, 1, x[1], *(1,) * (len(x) - 2)), {"eps": float(rng.choice([1e-3, 1e-5, 0.5]))}


def _sample(rng: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
    x, moments, attrs = _drawn(rng)
    return [x, moments, x[1:2], x[1:2]], attrs


def _sample_sums(rng: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
    x, moments, attrs = _drawn(rng)
    return [x, x, moments], attrs


def _sample_input(rng: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
    x, moments, attrs = _drawn(rng)
    return [x, x, moments, x[1:2], (2, x[1])], attrs


_COMMON: dict[str, Any] = {"dtype": types.floating, "attrs": {"eps": REQUIRED}, "domain": (0.1, 4)}
ROWS = (
    Op("batch_norm", Family.NORMALIZATION, "(x - mean) / sqrt(variance + eps) * weight + bias for each channel of x "
       "(N, C, …), with the moments (2, 1, C, 1, …).", 4, _shape, _oracle, compute=_batch_norm, gradient=_gradient,
       samples=_sample, **_COMMON),
    Op("batch_norm_sums", Family.NORMALIZATION, "batch_norm's gradient by its bias and its weight, as (2, C): the sums "
       "of g, and of g times what was normalised.", 3, _sums_shape, _sums_oracle, compute=_sums, gradient=_of_sums,
       samples=_sample_sums, **_COMMON),
    Op("batch_norm_input_gradient", Family.NORMALIZATION, "batch_norm's gradient by its input, whose own moments they "
       "are, from the sums of batch_norm_sums.", 5, _input_shape, _input_oracle, compute=_by_input, gradient=_of_input,
       samples=_sample_input, **_COMMON),
)  # fmt: skip
