"""Computes expressions with NumPy: each becomes, once, the list of its steps in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Union

import numpy as np

from neurenix.expr.node import PRIMITIVES, Expr, Number

Array = np.ndarray[Any, Any]


class _Value(NamedTuple):
    """An argument that is an operand (`of` counts down from -1) or the result of an earlier step (up from 0)."""

    of: int


class _Constant(NamedTuple):
    """An argument that is a number, in the precision of the values that stand `beside` it."""

    value: Number
    beside: tuple[_Value, ...]


# What compiled code computes each dtype in, where that is not the dtype itself.
_WIDER: dict[np.dtype[Any], Any] = {
    **{np.dtype(name): np.int64 for name in ("int32", "int16", "int8", "uint32", "uint16", "uint8")},
    np.dtype("float16"): np.float32,
}

_Argument = Union[_Value, _Constant]
_Step = tuple[Callable[..., Any], tuple[_Argument, ...]]


def evaluate(expr: Expr, operands: Sequence[Any], into: Array | None = None) -> Any:
    """Compute an expression on NumPy arrays (or scalars), in their own precision, float16 in float32; whole numbers in
    64 bits. The result is `into` where that is given, is of its shape, and the last step can be computed there.

    >>> from neurenix.expr.node import operand
    >>> float(evaluate(operand(0) * operand(0) + 1, [np.float64(3.0)]))
    10.0
    """
    operands = [_array(o) for o in operands]
    results: list[Any] = []

    # Two functions and not one that calls itself: it would hold itself, and every array here until the next collection.
    def found(value: _Value) -> Any:
        return results[value.of] if value.of >= 0 else operands[-1 - value.of]

    def value(argument: _Argument) -> Any:
        if isinstance(argument, _Value):
            return found(argument)
        return _constant(argument.value, [found(b) for b in argument.beside] or operands)

    steps, last = _steps(expr)
    for function, arguments in steps:
        values = [value(a) for a in arguments]
        if into is None or len(results) < len(steps) - 1 or not isinstance(function, np.ufunc):
            results.append(function(*values))
        else:
            fits = all(v.dtype == into.dtype for v in values)
            results.append(function(*values, out=into) if fits else function(*values))
    return value(last)


@lru_cache(maxsize=4096)
def _steps(expr: Expr) -> tuple[tuple[_Step, ...], _Argument]:
    """Return what to compute in which order, each part once, and what the result is."""
    steps: list[_Step] = []
    done: dict[Expr, _Value] = {}

    def visit(e: Expr) -> _Argument:
        if e.op == "const":
            return _Constant(e.value, ())
        if e.op == "x":
            return _Value(-1 - int(e.value))
        if e not in done:
            arguments = [visit(a) for a in e.args]
            beside = tuple(a for a in arguments[e.op == "select" :] if isinstance(a, _Value))
            ready = (a if isinstance(a, _Value) else a._replace(beside=beside) for a in arguments)
            steps.append((PRIMITIVES[e.op].numpy, tuple(ready)))
            done[e] = _Value(len(steps) - 1)
        return done[e]

    last = visit(expr)
    return tuple(steps), last


def _array(operand: Any) -> Any:
    array = operand if isinstance(operand, (np.ndarray, np.generic)) else np.asarray(operand)
    wider = _WIDER.get(array.dtype)
    return array if wider is None else array.astype(wider)


def _constant(value: Number, beside: Sequence[Any]) -> Any:
    """A constant takes the precision of what stands beside it: np.where would turn a bare float into float64."""
    for b in beside:
        if b.dtype.kind == "f":
            return b.dtype.type(value)
    if not float(value).is_integer() or abs(value) >= 2**63:
        return np.float64(value)
    # NumPy would make float64 of uint64 beside a number with a sign.
    return np.uint64(int(value) % 2**64) if any(b.dtype == np.uint64 for b in beside) else np.int64(value)
