"""Ranges of scalar expressions: what every part of one can be, and whether 32-bit integers compute it.

Ranges leave NaN out: what a NaN becomes as a whole number is the lowest one, here as elsewhere. Floats are widened by
their rounding. Additions, subtractions and products of 32-bit integers are right modulo 2^32 whatever comes between,
so only what asks for a number itself (a comparison, a quotient, a float) needs its operands to fit.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from neurenix.compiler.wgsl.expressions import computed_in
from neurenix.compiler.wgsl.types import LEAST, MOST
from neurenix.expr import Expr
from neurenix.expr.printing import kinds_of

Range = tuple[float, float]
ANY: Range = (-math.inf, math.inf)
WORD: Range = (LEAST, MOST)

_INTEGERS = ("integer", "unsigned")
# What is right modulo 2^32 when its operands are.
_MODULAR = {"add", "sub", "mul", "neg", "select", "bitand", "bitor", "bitxor", "bitnot", "to_integer", "to_unsigned"}
# Conditions nested deeper than this tell nothing more: each doubles the work.
_DEEPEST = 4


class LeavesError(Exception):
    """Some part of an expression needs more than 32 bits: `found` is its range as far as can be shown."""

    def __init__(self, found: Range) -> None:
        super().__init__(found)
        self.found = found


def expression_range(expr: Expr, operands: Sequence[Range], kinds: Sequence[str]) -> Range:
    """Return a range that an expression's values are in, given those of its operands and their kinds.

    Whole numbers may leave 32 bits at the root, which is for the caller to judge. Raises LeavesError where they may on
    the way, and it matters.
    """
    return _Ranges(kinds_of(expr, kinds), operands).of(expr)


def fits(found: Range, within: Range) -> bool:
    return within[0] <= found[0] and found[1] <= within[1]


def raised(base: float, power: float) -> float:
    """Return a power of a number above 1, infinite where it is beyond any integer here."""
    return base**power if power * math.log2(base) < 64 else math.inf


class _Ranges:
    """The ranges of an expression's parts, under what conditions around them say."""

    def __init__(self, kinds: Mapping[Expr, str], operands: Sequence[Range], facts: Mapping[Expr, Range] = {}) -> None:
        self._kinds, self._operands = kinds, operands
        self._facts = facts
        self._depth = 0
        self._done: dict[Expr, Range] = {}

    def of(self, e: Expr) -> Range:
        if e not in self._done:
            found = self._found(e)
            low, high = self._facts.get(e, found)
            narrow = max(low, found[0]), min(high, found[1])
            self._done[e] = narrow if narrow[0] <= narrow[1] else found  # a branch that nothing takes
        return self._done[e]

    def _found(self, e: Expr) -> Range:
        if e.op == "x":
            return self._operands[int(e.value)]
        if e.op == "const":
            return ANY if math.isnan(e.value) else (float(e.value), float(e.value))
        kind = computed_in(e, ["const" if a.op == "const" else self._kinds[a] for a in e.args])
        if e.op == "select":
            condition, a, b = e.args
            self.of(condition)
            args = [self._under(condition, True).of(a), self._under(condition, False).of(b)]
        else:
            args = [self.of(a) for a in e.args]
        self._check(e, kind, args)
        whole = kind in _INTEGERS
        if whole and e.op == "sub" and e.args[0] is e.args[1]:
            return 0, 0
        rule = (_OF_INTEGERS if whole else _OF_FLOATS).get(e.op) or _PRIMITIVES.get(e.op, _unknown)
        with np.errstate(all="ignore"):
            low, high = rule(*args)
        if self._kinds[e] == "float" and e.op in _ROUNDED:
            low, high = low - abs(low) * _ROUNDING, high + abs(high) * _ROUNDING
        return ANY if math.isnan(low) or math.isnan(high) else (low, high)

    def _check(self, e: Expr, kind: str, args: Sequence[Range]) -> None:
        """Raise unless what an operation reads as a number fits 32 bits; a constant of them has to be written down."""
        if e.op in ("and", "or", "xor", "not"):
            return
        for a, found in zip(e.args[1:] if e.op == "select" else e.args, args):
            integer = kind in _INTEGERS if a.op == "const" else self._kinds[a] in _INTEGERS
            loose = e.op in _MODULAR and kind in _INTEGERS and a.op != "const"
            if integer and not loose and not fits(found, WORD):
                raise LeavesError(found)

    def _under(self, condition: Expr, holds: bool) -> _Ranges:
        """Return the ranges where a condition holds, or does not."""
        facts = dict(self._facts)
        for e, found in self._told(condition, holds):
            low, high = facts.get(e, ANY)
            facts[e] = max(low, found[0]), min(high, found[1])
        if facts == self._facts or self._depth >= _DEEPEST:
            return self
        under = _Ranges(self._kinds, self._operands, facts)
        under._depth = self._depth + 1
        return under

    def _told(self, condition: Expr, holds: bool) -> Iterator[tuple[Expr, Range]]:
        """Yield what a condition says of the parts that it compares."""
        op, args = condition.op, condition.args
        if op == "not":
            yield from self._told(args[0], not holds)
        elif (op == "and" and holds) or (op == "or" and not holds):
            for a in args:
                yield from self._told(a, holds)
        elif op == "eq" and holds:
            yield args[0], self.of(args[1])
            yield args[1], self.of(args[0])
        elif op in ("lt", "le"):
            small, large = args if holds else args[::-1]
            strict = (op == "lt") == holds
            whole = all(a.op == "const" or self._kinds[a] in _INTEGERS for a in args)
            gap = 1 if strict and whole else 0
            yield small, (-math.inf, self.of(large)[1] - gap)
            yield large, (self.of(small)[0] + gap, math.inf)


def _corners(f: Callable[[float, float], float]) -> Callable[[Range, Range], Range]:
    """The range of a function that is monotonic in each of its arguments."""

    def of(a: Range, b: Range) -> Range:
        ends = [f(x, y) for x, y in itertools.product(a, b)]
        return (math.nan, math.nan) if any(map(math.isnan, ends)) else (min(ends), max(ends))

    return of


def _product(x: float, y: float) -> float:
    return 0.0 if x == 0 or y == 0 else x * y


def _quotient(a: Range, b: Range) -> Range:
    if b[0] <= 0 <= b[1]:
        return ANY
    return _corners(lambda x, y: 0.0 if math.isinf(y) else x / y)(a, b)


def _floordiv(a: Range, b: Range) -> Range:
    if b[0] <= 0:  # with 0 and maybe -1 among them: as far as a division by 1 or -1 goes
        far = max(map(abs, a))
        return 0 if a[0] >= 0 and b[0] == 0 else -far, far
    return _corners(lambda x, y: 0.0 if math.isinf(y) else x if math.isinf(x) else float(x // y))(a, b)


def _remainder(a: Range, b: Range) -> Range:
    far = max(map(abs, b))
    return -far if a[0] < 0 or b[0] < 0 else 0, far


def _whole_mod(a: Range, b: Range) -> Range:
    """With the sign of b, and nearer to 0 than it; 0 where b is."""
    high = max(b[1] - 1, 0)
    return min(b[0] + 1, 0), min(high, a[1]) if a[0] >= 0 and b[0] >= 0 else high


def _whole_fmod(a: Range, b: Range) -> Range:
    """With the sign of a, and nearer to 0 than b, and no further than a."""
    far = max(*map(abs, b), 1) - 1
    return -min(far, max(-a[0], 0)), min(far, max(a[1], 0))


def _bits(a: Range, b: Range) -> Range:
    """Of numbers that are not negative no bit is set above the highest; of others, 32 bits hold them all."""
    high = max(a[1], b[1])
    if a[0] >= 0 and b[0] >= 0 and high <= MOST:
        return 0, float((1 << int(high).bit_length()) - 1)
    return WORD if fits(a, WORD) and fits(b, WORD) else ANY


def _shifted(a: Range, b: Range) -> Range:
    if b[1] > 31:
        return ANY
    return _corners(lambda x, y: x * 2.0 ** max(y, 0))(a, b)


def _power(a: Range, b: Range) -> Range:
    far, n = max(map(abs, a)), b[1]
    if far <= 1:
        return -1, 1
    top = raised(far, max(n, 0))
    return (0.0 if a[0] >= 0 else -top), top


def _magnitude(a: Range) -> Range:
    return 0 if a[0] <= 0 <= a[1] else min(map(abs, a)), max(map(abs, a))


def _each(f: Callable[[Any], Any]) -> Callable[[Range], Range]:
    return lambda a: (a[0] if math.isinf(a[0]) else f(a[0]), a[1] if math.isinf(a[1]) else f(a[1]))


def _unknown(*_: Range) -> Range:
    return ANY


def _truth(*_: Range) -> Range:
    return 0, 1


_PRIMITIVES: dict[str, Callable[..., Range]] = {
    "add": lambda a, b: (a[0] + b[0], a[1] + b[1]),
    "sub": lambda a, b: (a[0] - b[1], a[1] - b[0]),
    "mul": _corners(_product),
    "div": _quotient,
    "neg": lambda a: (-a[1], -a[0]),
    "abs": _magnitude,
    "max": lambda a, b: (max(a[0], b[0]), max(a[1], b[1])),
    "min": lambda a, b: (min(a[0], b[0]), min(a[1], b[1])),
    "floordiv": _floordiv,
    "mod": _remainder,
    "fmod": _remainder,
    "bitand": _bits,
    "bitor": _bits,
    "bitxor": _bits,
    "bitnot": lambda a: (-a[1] - 1, -a[0] - 1),
    "shl": _shifted,
    "shr": lambda a, b: (min(a[0], 0), max(a[1], 0)),
    "select": lambda a, b: (min(a[0], b[0]), max(a[1], b[1])),
    "to_float": lambda a: a,
    "to_integer": _each(math.trunc),
    "to_unsigned": _each(math.trunc),
    "trunc": _each(math.trunc),
    "floor": _each(math.floor),
    "ceil": _each(math.ceil),
    "round": _each(round),
    "sigmoid": _truth,
    "tanh": lambda a: (-1, 1),
    **dict.fromkeys(("lt", "le", "eq", "and", "or", "xor", "not", "isnan", "isinf"), _truth),
}
_OF_INTEGERS: dict[str, Callable[..., Range]] = {"mod": _whole_mod, "fmod": _whole_fmod, "pow": _power}
_OF_FLOATS: dict[str, Callable[..., Range]] = {"floordiv": _unknown}
# What may round, be it a constant among the operands alone; rounding keeps the order, so the ends move by their own.
_ROUNDED = {"add", "sub", "mul", "div", "to_float", "select", "max", "min", "mod", "fmod"}
_ROUNDING = 2.0**-23
