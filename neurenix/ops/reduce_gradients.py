"""The gradients of the reductions, written with the tensors' own operators."""

from __future__ import annotations

from typing import Any

from neurenix import expr as ex
from neurenix.dims import product
from neurenix.ops import shapes
from neurenix.ops.op import Attrs

_X, _Y, _G = (ex.operand(i) for i in range(3))
_EQUAL = ex.where(ex.call("eq", _X, _Y), 1, 0)
_ZERO = ex.call("eq", _Y, 0)


def _kept(t: Any, x: Any, attrs: Attrs) -> Any:
    """Give a reduced tensor back its reduced axes, as 1, so that it broadcasts against the input."""
    shape = shapes.reduced([x.shape], {**attrs, "keepdims": True})
    return t if t.shape == shape else t.reshape(shape)


def of_sum(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any]:
    (x,) = inputs
    return ((_kept(g, x, attrs) if g.shape else g).expand(x.shape),)


def of_mean(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any]:
    (x,) = inputs
    g = _kept(g, x, attrs)
    total, left = product(x.shape), product(g.shape)
    if not isinstance(total, int) or not isinstance(left, int):  # the sizes are known at run time: count them there
        count = x.map(ex.const(1)).sum(attrs["axes"], keepdim=True)
        return ((g / (count - attrs["correction"])).expand(x.shape),)
    count = total // left - attrs["correction"] if left else 0
    return ((g * (1.0 / count if count > 0 else float("inf"))).expand(x.shape),)


def of_max(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any]:
    (x,) = inputs
    hit = x.map(_EQUAL, _kept(y, x, attrs))
    share = hit.sum(attrs["axes"], keepdim=True)
    return (_kept(g, x, attrs) * hit / share,)


def of_prod(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any]:
    """Each element's gradient is the product of all others: of those before it and those behind it, zero or not."""
    (x,) = inputs
    rank = x.ndim
    axes = range(rank) if attrs["axes"] is None else sorted(shapes.axis_of(a, rank) for a in attrs["axes"])
    kept = [a for a in range(rank) if a not in axes]
    order = [*kept, *axes] if rank else []
    turned = x.permute(order) if order != sorted(order) else x
    flat = turned.reshape((*(x.shape[a] for a in kept), product(tuple(x.shape[a] for a in axes) if rank else ())))
    others = flat.apply("cumprod", axis=-1, exclusive=True) * flat.apply("cumprod", axis=-1, exclusive=True,
                                                                        reverse=True)  # fmt: skip
    back = others.reshape(turned.shape)
    back = back.permute([order.index(a) for a in range(rank)]) if order != sorted(order) else back
    return (_kept(g, x, attrs) * back,)


def of_l1_norm(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any]:
    (x,) = inputs
    return (x.map(ex.where(_X < 0, -_Y, ex.where(_X > 0, _Y, 0)), _kept(g, x, attrs)),)


def of_l2_norm(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any]:
    (x,) = inputs
    return (x.map(ex.where(_ZERO, 0, _X / _Y * _G), _kept(y, x, attrs), _kept(g, x, attrs)),)


def of_sum_square(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any]:
    (x,) = inputs
    return (x.map(2 * _X * _Y, _kept(g, x, attrs)),)
