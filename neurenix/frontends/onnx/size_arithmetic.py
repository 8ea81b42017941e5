"""What NumPy cannot do to arrays of sizes: divide as ONNX, compare, choose the larger one, round and cast.

These are twins of operators (`operator(sizes=…)`). Each raises NotExact where its result is no exact size or depends
on dims that are known at run time only; the operator is then computed at run time.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Union

import numpy as np

from neurenix import dims
from neurenix.dims import Size, bounds
from neurenix.dtypes import dtype
from neurenix.frontends.onnx.ratio import NotExact, Ratio
from neurenix.frontends.onnx.symbolic import Array, Value, decided, ranges, symbolic

Number = Union[Size, Ratio]


def integers(array: Array) -> tuple[int, ...]:
    """Return numbers that must be known: places, axes, counts. Raises NotExact when one is symbolic."""
    if not all(isinstance(s, int) for s in array.flat):
        raise NotExact
    return tuple(array.flat)


def elementwise(function: Callable[..., Number | bool]) -> Callable[..., Array]:
    """Return a function of one or two numbers as one of arrays, which broadcast."""
    arity = function.__code__.co_argcount
    lifted = np.frompyfunc(function, arity, 1)
    return lambda *arrays: np.asarray(lifted(*arrays), dtype=object)


def folded(function: Callable[[Number, Number], Number]) -> Callable[..., Array]:
    """Return a function of two numbers as one of any number of arrays."""
    pair = elementwise(function)
    return lambda *arrays: functools.reduce(pair, arrays)


def compared(relation: str, swapped: bool = False) -> Callable[[Array, Array], Value]:
    """Return the comparison of arrays of sizes by a relation of `decided`."""

    def holds(left: Number, right: Number) -> bool:
        answer = _decided(relation, right, left) if swapped else _decided(relation, left, right)
        if answer is None:
            raise NotExact
        return answer

    compare = elementwise(holds)
    return lambda left, right: symbolic(compare(left, right), "bool")


def divide(a: Number, b: Number) -> Number:
    """The quotient; of integers the whole one, rounded towards zero: nothing negative is divided here."""
    if isinstance(a, Ratio) and isinstance(b, Ratio):
        return a / b
    assert not isinstance(a, Ratio) and not isinstance(b, Ratio)
    if isinstance(a, int) and isinstance(b, int) and b:
        return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    if _low(a) < 0 or _low(b) < 1:
        raise NotExact
    return a // b


def remainder(a: Number, b: Number) -> Number:
    """What a division leaves, of nothing negative: then it is the same with either sign."""
    if isinstance(a, Ratio) or isinstance(b, Ratio) or _low(a) < 0 or _low(b) < 1:
        raise NotExact
    return a % b if isinstance(a, int) and isinstance(b, int) else a - a // b * b


def larger(a: Number, b: Number) -> Number:
    if _decided("less_equal", b, a):
        return a
    return b if _decided("less_equal", a, b) else _extreme(dims.larger, a, b)


def smaller(a: Number, b: Number) -> Number:
    if _decided("less_equal", a, b):
        return a
    return b if _decided("less_equal", b, a) else _extreme(dims.smaller, a, b)


def magnitude(a: Number) -> Number:
    low, high = bounds(a.top if isinstance(a, Ratio) else a, ranges())
    if low < 0 < high:
        raise NotExact
    return a if low >= 0 else -a


def floor(a: Number) -> Number:
    return a.floor() if isinstance(a, Ratio) else a


def ceil(a: Number) -> Number:
    return a.ceil() if isinstance(a, Ratio) else a


def whole(a: Number) -> Number:
    """Return a number that is whole already, which every rounding keeps."""
    if isinstance(a, Ratio) and a.bottom != 1:
        raise NotExact
    return a


def cast(array: Array, to: str) -> Value:
    """Return sizes in another dtype."""
    kind = dtype(to).numpy
    if kind.kind == "b":
        return symbolic(elementwise(_is_not_0)(array), to)
    if kind.kind == "f":
        # float16 would round sizes beyond 2048.
        if kind.itemsize < 4:
            raise NotExact
        return symbolic(elementwise(_as_ratio)(array), to)
    return symbolic(elementwise(lambda a: _as_integer(a, np.iinfo(kind)))(array), to)


def _as_integer(a: Number, limits: np.iinfo[Any]) -> Number:
    whole = a.floor().top if isinstance(a, Ratio) and _low(a.top) >= 0 else a
    if isinstance(whole, Ratio):  # a negative one is cut off towards zero, and not rounded down
        if whole.bottom != 1:
            raise NotExact
        whole = whole.top
    low, high = bounds(whole, ranges())
    if low < limits.min or high > limits.max:
        raise NotExact
    return whole


def _as_ratio(a: Number) -> Number:
    return a if isinstance(a, Ratio) else Ratio(a) + Ratio(0)  # the sum checks that a float holds it


def _is_not_0(a: Number) -> bool:
    answer = _decided("equal", a, Ratio(0) if isinstance(a, Ratio) else 0)
    if answer is None:
        raise NotExact
    return not answer


def _decided(relation: str, left: Number, right: Number) -> bool | None:
    if isinstance(left, Ratio) and isinstance(right, Ratio):
        left.require_exact()
        right.require_exact()
        return decided(relation, left.top * right.bottom, right.top * left.bottom, ranges())
    assert not isinstance(left, Ratio) and not isinstance(right, Ratio)
    return decided(relation, left, right, ranges())


def _extreme(choose: Callable[[Size, Size], Size], a: Number, b: Number) -> Number:
    if isinstance(a, Ratio) and isinstance(b, Ratio):
        if a.bottom != 1 or b.bottom != 1:
            raise NotExact
        return Ratio(choose(a.top, b.top))
    assert not isinstance(a, Ratio) and not isinstance(b, Ratio)
    return choose(a, b)


def _low(a: Size) -> int:
    return bounds(a, ranges())[0]
