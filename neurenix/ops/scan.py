"""The scanning rows: each element becomes what it and those before it along an axis make together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurenix.dims import Shape, Size
from neurenix.errors import GraphError
from neurenix.ops import shapes, types
from neurenix.ops.op import REQUIRED, Array, Attrs, Family, Kernel, Op
from neurenix.ops.reduce import accumulated, around, sample_axis

_ATTRS = {"axis": REQUIRED, "exclusive": False, "reverse": False}


def _shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    shapes.axis_of(attrs["axis"], len(ins[0]))
    for name in ("exclusive", "reverse", "late"):
        if type(attrs.get(name, False)) is not bool:
            raise GraphError(f"{name} is {attrs[name]!r}; it is true or false")
    return ins[0]


def _linear_shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    if ins[0] != ins[1]:
        raise GraphError(f"factors {shapes.show(ins[0])} and terms {shapes.show(ins[1])} differ in shape")
    if attrs["exclusive"] and attrs["late"]:
        raise GraphError("a scan cannot be both exclusive and late")
    return _shape(ins, attrs)


def _sizes(ins: Sequence[Shape], out: Shape, attrs: Attrs) -> dict[str, Size]:
    axis = shapes.axis_of(attrs["axis"], len(ins[0]))
    return around(ins[0], axis, axis)


def _scan(x: Array, function: Any, first: int, axis: int, exclusive: bool, reverse: bool) -> Array:
    if x.ndim == 0:
        return _scan(x.reshape(1), function, first, 0, exclusive, reverse).reshape(())
    x = x if x.dtype.kind == "f" else x.astype(np.int64)
    if reverse:
        return np.flip(_scan(np.flip(x, axis), function, first, axis, exclusive, False), axis)
    if not exclusive:
        return np.asarray(function(x, axis=axis))
    moved = np.moveaxis(x, axis, 0)
    before = np.concatenate([np.full_like(moved[:1], first), moved[:-1]])
    return np.moveaxis(function(before, axis=0), 0, axis)


def _cumsum(x: Array, axis: int, exclusive: bool, reverse: bool) -> Array:
    return _scan(x, np.cumsum, 0, axis, exclusive, reverse)


def _cumprod(x: Array, axis: int, exclusive: bool, reverse: bool) -> Array:
    return _scan(x, np.cumprod, 1, axis, exclusive, reverse)


def _linear_scan(a: Array, b: Array, axis: int, exclusive: bool, reverse: bool, late: bool) -> Array:
    if a.ndim == 0:
        return _linear_scan(a.reshape(1), b.reshape(1), 0, exclusive, reverse, late).reshape(())
    factors, terms = np.moveaxis(a, axis, 0), np.moveaxis(b, axis, 0)
    result, state = np.empty_like(terms), np.zeros_like(terms[:1].sum(axis=0))
    for i in reversed(range(len(terms))) if reverse else range(len(terms)):
        if late:
            result[i] = state + terms[i]
            state = factors[i] * result[i]
        else:
            before, state = state, factors[i] * state + terms[i]
            result[i] = before if exclusive else state
    return np.moveaxis(result, 0, axis)


def _backwards(attrs: Attrs) -> dict[str, Any]:
    return {"axis": attrs["axis"], "reverse": not attrs["reverse"]}


def _cumsum_gradient(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any]:
    return (g.apply("cumsum", exclusive=attrs["exclusive"], **_backwards(attrs)),)


def _cumprod_gradient(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any]:
    """x[i] is a factor of every later y[j]: g[j] times what lies between, times what came before x[i]. No division."""
    (x,) = inputs
    way = {"exclusive": attrs["exclusive"], "late": not attrs["exclusive"]}
    later = x.apply("linear_scan", g, **way, **_backwards(attrs))
    return (later * x.apply("cumprod", **{**attrs, "exclusive": True}),)


def _linear_scan_gradient(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any, Any]:
    """The adjoint of a linear scan is one the other way round."""
    a, b = inputs
    exclusive, late = attrs["exclusive"], attrs["late"]
    back = a.apply("linear_scan", g, exclusive=exclusive, late=not (exclusive or late), **_backwards(attrs))
    if exclusive:
        return back * y, back
    if late:
        return y * a.apply("linear_scan", g, exclusive=True, **_backwards(attrs)), back
    return back * a.apply("linear_scan", b, **{**attrs, "exclusive": True}), back


def _flags(attrs: Attrs) -> dict[str, str]:
    return {f"NX_{name.upper()}": str(int(attrs[name])) for name in ("exclusive", "reverse", "late") if name in attrs}


def _kernel(combine: str, init: str) -> Kernel:
    words = {"NX_COMBINE(a, b)": combine, "NX_INIT": init}
    return Kernel("scan.c", _sizes, (None,), typed=True, defines=lambda attrs: {**words, **_flags(attrs)})


def _sample(rng: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
    shape = tuple(int(s) for s in rng.integers(1, 7, int(rng.integers(0, 4))))
    if rng.random() < 0.3:
        shape = (300, 5) if rng.random() < 0.5 else (5, 300)
    x: Any = shape
    if rng.random() < 0.3:
        x = np.asarray(rng.integers(-3, 4, shape), str(rng.choice(["int64", "int32", "int8"])))
    flags = {name: bool(rng.integers(2)) for name in ("exclusive", "reverse")}
    return [x], {"axis": sample_axis(rng, len(shape)), **flags}


def _sample_factors(rng: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
    (x,), attrs = _sample(rng)
    if not isinstance(x, np.ndarray):
        signs = rng.choice([-1, 1], x)
        x = np.where(rng.random(x) < 0.05, 0, rng.uniform(0.7, 1.3, x) * signs)
    return [x], attrs


def _sample_linear(rng: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
    shape = tuple(int(s) for s in rng.integers(1, 7, int(rng.integers(0, 4))))
    exclusive, late = ((False, False), (True, False), (False, True))[int(rng.integers(3))]
    reverse = bool(rng.integers(2))
    return [shape, shape], {"axis": sample_axis(rng, len(shape)), "exclusive": exclusive, "late": late,
                            "reverse": reverse}  # fmt: skip


ROWS = (
    Op("cumsum", Family.REDUCE, "The sum of the elements up to each along `axis`: without itself where `exclusive`, "
       "from the end where `reverse`. Integers and bool add up in int64.", 1, _shape, _cumsum, attrs=_ATTRS,
       gradient=_cumsum_gradient, dtype=accumulated, samples=_sample, domain=(-1.0, 1.0),
       kernel=_kernel("nx_add(a, b)", "0")),
    Op("cumprod", Family.REDUCE, "The product of the elements up to each along `axis`, as cumsum adds them up.", 1,
       _shape, _cumprod, attrs=_ATTRS, gradient=_cumprod_gradient, dtype=accumulated, samples=_sample_factors,
       kernel=_kernel("nx_mul(a, b)", "1")),
    Op("linear_scan", Family.REDUCE, "y[i] = a[i] * y[i-1] + b[i] along `axis`, from 0: backwards where `reverse`; "
       "y[i-1] in y[i]'s place where `exclusive`; a[i-1] in a[i]'s place where `late`.", 2, _linear_shape,
       _linear_scan, attrs={**_ATTRS, "late": False}, gradient=_linear_scan_gradient, samples=_sample_linear,
       dtype=types.floating, domain=(-1.5, 1.5), kernel=Kernel("linear_scan.c", _sizes, (None, None), typed=True,
                                                 defines=_flags)),
)  # fmt: skip
