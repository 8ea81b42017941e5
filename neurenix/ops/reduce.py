"""The reducing rows: many elements become one along some axes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from neurenix.dims import Shape, Size, product
from neurenix.dtypes import DTYPES, DType
from neurenix.errors import GraphError, UnsupportedError
from neurenix.ops import reduce_gradients as gradients
from neurenix.ops import shapes, types
from neurenix.ops.op import REQUIRED, Array, Attrs, Family, Kernel, Op

# A sum over leading axes adds whole rows; NumPy is slow where these have far fewer elements than this.
_NARROW = 1024
_MANY = 1 << 15


def accumulated(dtypes: Sequence[DType], attrs: Mapping[str, Any]) -> DType:
    """Floats keep their dtype; everything else becomes int64, as in PyTorch, so that it does not overflow early."""
    found = types.same(dtypes, attrs)
    return found if types.kind(found) == "f" else DTYPES["int64"]


def reduced_axes(shape: Shape, attrs: Attrs) -> list[int]:
    """Return the axes that a reduction works on, in order; those of size 1 leave nothing to do and are left out."""
    rank = len(shape)
    axes = range(rank) if attrs["axes"] is None else sorted({shapes.axis_of(a, rank) for a in attrs["axes"]})
    return [a for a in axes if rank and shape[a] != 1]


def groups(shape: Shape, axes: Sequence[int]) -> list[list[int]]:
    """Split axes into runs with nothing but axes of size 1 in between: each run is one axis to a kernel."""
    runs: list[list[int]] = []
    for axis in axes:
        if runs and all(shape[a] == 1 for a in range(runs[-1][-1] + 1, axis)):
            runs[-1].append(axis)
        else:
            runs.append([axis])
    return runs


def around(shape: Shape, first: int, last: int) -> dict[str, Size]:
    """Return how a kernel walks the axes from `first` to `last`: what lies outside of them, they, what lies inside."""
    return {
        "outer": product(shape[:first]), "n": product(shape[first : last + 1]), "inner": product(shape[last + 1 :]),
    }  # fmt: skip


def _sizes(ins: Sequence[Shape], out: Shape, attrs: Attrs) -> dict[str, Size]:
    runs = groups(ins[0], reduced_axes(ins[0], attrs))
    if len(runs) > 1:
        raise UnsupportedError(f"axes {attrs['axes']} of {shapes.show(ins[0])} lie apart; a kernel takes one group")
    if not runs:
        return {"outer": product(ins[0]), "n": 1, "inner": 1}
    return around(ins[0], runs[0][0], runs[0][-1])


def _axis_sizes(ins: Sequence[Shape], out: Shape, attrs: Attrs) -> dict[str, Size]:
    axis = shapes.axis_of(attrs["axis"], len(ins[0]))
    return around(ins[0], axis, axis)


def _mean_shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    correction = attrs["correction"]
    if type(correction) is not int or correction < 0:
        raise GraphError(f"correction is {correction!r}; it is a number of elements, 0 or more")
    return shapes.reduced(ins, attrs)


def _position_shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    for axis in reduced_axes(ins[0], {"axes": (attrs["axis"],)}):
        shapes.need_elements(ins[0], axis)
    return shapes.reduced(ins, {"axes": (attrs["axis"],), "keepdims": attrs["keepdims"]})


def _over(x: Array, axes: Any) -> Any:
    """Return axes as NumPy takes them: a scalar has none, whatever is asked for."""
    return None if axes is None or x.ndim == 0 else tuple(axes)


def _wide(x: Array) -> Any:
    """Return the dtype to add up in: integers in 64 bits on every platform."""
    return x.dtype if x.dtype.kind == "f" else np.int64


def _sum(x: Array, axes: Any, keepdims: bool) -> Array:
    return np.asarray(x.sum(axis=_over(x, axes), keepdims=keepdims, dtype=_wide(x)))


def _sum_fast(x: Array, axes: Any, keepdims: bool) -> Array:
    """Sum; over the leading axes of many narrow rows, in two steps with wider ones."""
    if x.size < _MANY or x.dtype.kind != "f" or not x.flags.c_contiguous:
        return _sum(x, axes, keepdims)
    taken = reduced_axes(x.shape, {"axes": axes})
    inner = math.prod(x.shape[len(taken) :])
    together = _NARROW // inner
    if taken != list(range(len(taken))) or inner < 2 or together < 2 or x.size < 8 * together * inner:
        return _sum(x, axes, keepdims)
    rows = x.reshape(-1, inner)
    whole = len(rows) // together * together
    total = rows[:whole].reshape(-1, together * inner).sum(axis=0).reshape(together, inner).sum(axis=0)
    total = np.asarray(total + rows[whole:].sum(axis=0))
    return total.reshape(shapes.known(shapes.reduced([x.shape], {"axes": axes, "keepdims": keepdims})))


def _mean(x: Array, axes: Any, keepdims: bool, correction: int) -> Array:
    return _averaged(_sum(x, axes, keepdims), x, correction)


def _mean_fast(x: Array, axes: Any, keepdims: bool, correction: int) -> Array:
    return _averaged(_sum_fast(x, axes, keepdims), x, correction)


def _averaged(total: Array, x: Array, correction: int) -> Array:
    count = x.size // total.size if total.size else 0
    return np.asarray(total / total.dtype.type(max(count - correction, 0)))


def _prod(x: Array, axes: Any, keepdims: bool) -> Array:
    return np.asarray(x.prod(axis=_over(x, axes), keepdims=keepdims, dtype=_wide(x)))


def _position(x: Array, axis: int, keepdims: bool, largest: bool) -> Array:
    if x.ndim == 0:
        return np.asarray(0)
    return np.asarray((np.argmax if largest else np.argmin)(x, axis=axis, keepdims=keepdims))


def _kernel(each: str, combine: str, init: str, finish: str = "(a)", sizes: Any = _sizes) -> Kernel:
    words = {"NX_EACH(x)": each, "NX_COMBINE(a, b)": combine, "NX_INIT": init, "NX_FINISH(a, n)": finish}
    return Kernel("reduce.c", sizes, (None,), typed=True, defines=lambda attrs: words)


def _mean_defines(attrs: Attrs) -> dict[str, str]:
    count = f"(NX_REAL)nx_max_int((n) - {int(attrs['correction'])}, 0)" if attrs["correction"] else "(NX_REAL)(n)"
    return {"NX_EACH(x)": "(x)", "NX_COMBINE(a, b)": "nx_add(a, b)", "NX_INIT": "0",
            "NX_FINISH(a, n)": f"((a) / {count})"}  # fmt: skip


def _position_kernel(beats: str) -> Kernel:
    return Kernel("arg_reduce.c", _axis_sizes, (None,), typed=True, defines=lambda attrs: {"NX_BEATS(x, y)": beats})


def sample_axis(rng: np.random.Generator, rank: int) -> int:
    """Draw an axis, counted from either end; 0 for a scalar."""
    return int(rng.integers(-rank, rank)) if rank else 0


def _sample(rng: np.random.Generator, largest: int = 5) -> tuple[list[Any], dict[str, Any]]:
    """Small shapes of any rank and any axes; sometimes a long axis, which the kernels take in blocks."""
    rank = int(rng.integers(0, 5))
    axes = tuple(int(a) - rank * int(rng.integers(2)) for a in rng.permutation(rank)[: rng.integers(0, rank + 1) or 1])
    shape = tuple(int(s) for s in rng.integers(1, largest + 1, rank))
    if rank and rng.random() < 0.4:
        shape = (*shape[:-2], *((3, 2100) if rng.random() < 0.5 else (210, 39))[-rank:])
    return [shape], {"axes": None if rng.random() < 0.3 else axes, "keepdims": bool(rng.integers(2))}


def _sample_any_dtype(rng: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
    (shape,), attrs = _sample(rng)
    if rng.random() < 0.6:
        return [shape], attrs
    kind = str(rng.choice(["int64", "int32", "int8", "uint8"]))
    return [np.asarray(rng.integers(0 if kind[0] == "u" else -100, 100, shape), kind)], attrs


def _sample_factors(rng: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
    (shape,), attrs = _sample(rng, 3)
    shape = tuple(min(s, 6) for s in shape)
    if rng.random() < 0.3:
        return [np.asarray(rng.integers(-2, 3, shape), "int32")], attrs
    x = rng.uniform(0.5, 1.5, shape) * rng.choice([-1, 1], shape)
    return [np.where(rng.random(shape) < 0.1, 0, x)], attrs


def _sample_conditions(rng: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
    (shape,), attrs = _sample(rng)
    rare = rng.random(shape) < rng.choice([0.01, 0.5, 0.99])
    return [np.asarray(rare, str(rng.choice(["bool", "float32", "int32", "uint8"])))], attrs


def _sample_position(rng: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
    (x,), attrs = _sample_any_dtype(rng)
    shape = np.shape(x) if isinstance(x, np.ndarray) else x
    if not isinstance(x, np.ndarray) and rng.random() < 0.4:
        x = np.asarray(rng.integers(0, 3, shape), np.float64)  # ties: the first one counts
    return [x], {"axis": sample_axis(rng, len(shape)), "keepdims": attrs["keepdims"]}


def _row(name: str, doc: str, oracle: Any, kernel: Kernel, **more: Any) -> Op:
    more = {"shape": shapes.reduced, "attrs": {"axes": None, "keepdims": False}, "samples": _sample, **more}
    return Op(name, Family.REDUCE, doc, 1, oracle=oracle, kernel=kernel, **more)


def _numpy(function: Any) -> Any:
    return lambda x, axes, keepdims: np.asarray(function(x, axis=_over(x, axes), keepdims=keepdims))


def _most(function: Any, largest: bool) -> Any:
    """Of no elements the largest is the least that the dtype has, as in ONNX, and the other way round."""

    def oracle(x: Array, axes: Any, keepdims: bool) -> Array:
        limits = (-np.inf, np.inf) if x.dtype.kind == "f" else (np.iinfo(x.dtype).min, np.iinfo(x.dtype).max)
        first = {} if x.size else {"initial": x.dtype.type(limits[not largest])}
        return np.asarray(function(x, axis=_over(x, axes), keepdims=keepdims, **first))

    return oracle


def _of(inner: Any, outer: Any = lambda a: a) -> Any:
    return lambda x, axes, keepdims: outer(_sum(inner(x), axes, keepdims))


_POSITION = {"attrs": {"axis": REQUIRED, "keepdims": False}, "shape": _position_shape, "dtype": types.int64,
             "samples": _sample_position}  # fmt: skip
_MEAN = {"attrs": {"axes": None, "keepdims": False, "correction": 0}, "shape": _mean_shape, "dtype": types.floating,
         "domain": (-1.0, 1.0)}  # fmt: skip

ROWS = (
    _row("sum", "The sum over `axes` (all of them by default); integers and bool add up in int64.", _sum,
         _kernel("(x)", "nx_add(a, b)", "0"), compute=_sum_fast, gradient=gradients.of_sum, dtype=accumulated,
         domain=(-1.0, 1.0), samples=_sample_any_dtype),
    _row("mean", "The sum over `axes`, divided by the number of elements less `correction`.", _mean,
         Kernel("reduce.c", _sizes, (None,), typed=True, defines=_mean_defines),
         compute=_mean_fast, gradient=gradients.of_mean, **_MEAN),
    _row("prod", "The product over `axes`; integers and bool multiply in int64.", _prod,
         _kernel("(x)", "nx_mul(a, b)", "1"), gradient=gradients.of_prod, dtype=accumulated, samples=_sample_factors),
    _row("max", "The largest element over `axes`, NaN if there is one, the least number of the dtype if there is "
         "none; equal ones share the gradient.", _most(np.max, True),
         _kernel("(x)", "nx_larger(a, b)", "NX_LEAST(NX_TYPE)"), gradient=gradients.of_max,
         dtype=types.number, samples=_sample_any_dtype),
    _row("min", "The smallest element over `axes`, NaN if there is one, the largest number of the dtype if there "
         "is none; equal ones share the gradient.", _most(np.min, False),
         _kernel("(x)", "nx_smaller(a, b)", "NX_MOST(NX_TYPE)"), gradient=gradients.of_max,
         dtype=types.number, samples=_sample_any_dtype),
    _row("any", "Whether some element over `axes` is not 0.", _numpy(np.any), _kernel("((x) != 0)", "((a) | (b))", "0"),
         dtype=types.boolean, samples=_sample_conditions),
    _row("all", "Whether no element over `axes` is 0.", _numpy(np.all), _kernel("((x) != 0)", "((a) & (b))", "1"),
         dtype=types.boolean, samples=_sample_conditions),
    _row("l1_norm", "The sum of the absolute values over `axes`.", _of(np.abs),
         _kernel("nx_magnitude(x)", "nx_add(a, b)", "0"), gradient=gradients.of_l1_norm, dtype=types.floating),
    _row("l2_norm", "The square root of the sum of squares over `axes`; where it is 0 so is its gradient.",
         _of(np.square, np.sqrt), _kernel("((x) * (x))", "nx_add(a, b)", "0", "nx_root(a)"),
         gradient=gradients.of_l2_norm, dtype=types.floating),
    _row("sum_square", "The sum of squares over `axes`.", _of(np.square),
         _kernel("((x) * (x))", "nx_add(a, b)", "0"), gradient=gradients.of_sum_square, dtype=types.floating),
    _row("argmax", "The position of the largest element along `axis`, the first of equal ones; NaN is the largest.",
         lambda x, axis, keepdims: _position(x, axis, keepdims, True), _position_kernel("((x) > (y))"), **_POSITION),
    _row("argmin", "The position of the smallest element along `axis`, the first of equal ones, or of a NaN.",
         lambda x, axis, keepdims: _position(x, axis, keepdims, False), _position_kernel("((x) < (y))"), **_POSITION),
)  # fmt: skip
