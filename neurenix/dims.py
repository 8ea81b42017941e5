"""Sizes that may be symbolic: exact integer expressions over named dimensions.

A size is an `int` or a `Dim`. A Dim is kept in one normal form, a sum of products, so that two sizes
that are always equal compare equal: `2 * n // 2 == n`, `(n + 1) * 3 == 3 * n + 3`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Union

from neurenix.errors import DimensionError, GraphError

Size = Union[int, "Dim"]
Shape = tuple[Size, ...]
Ranges = Mapping[str, tuple[int, int]]

# The ranges of the graph whose shapes are being worked out.
_declared: ContextVar[Ranges | None] = ContextVar("declared", default=None)
_LARGEST = 1 << 40


@dataclass(frozen=True)
class Call:
    """A function of two sizes that no sum of products can express: `//`, `max` or `min`."""

    function: str
    left: Size
    right: Size


Atom = Union[str, Call]
Monomial = tuple[Atom, ...]

_FUNCTIONS: dict[str, Callable[[int, int], int]] = {"//": lambda a, b: a // b, "max": max, "min": min}


@dataclass(frozen=True)
class Dim:
    """A sum of products of symbols. `terms` maps each product to its factor, in a fixed order."""

    terms: tuple[tuple[Monomial, int], ...]

    @staticmethod
    def symbol(name: str) -> Dim:
        return Dim((((name,), 1),))

    def __add__(self, other: Size) -> Size:
        return _sum(itertools.chain(_terms(self), _terms(other)))

    def __mul__(self, other: Size) -> Size:
        pairs = itertools.product(_terms(self), _terms(other))
        return _sum((_ordered(m + n), a * b) for (m, a), (n, b) in pairs)

    def __floordiv__(self, divisor: Size) -> Size:
        if divisor == 0:
            raise GraphError(f"the size '{self}' cannot be divided by 0")
        if self == divisor:
            return 1
        if not isinstance(divisor, int):
            return _divide_by_symbol(self, divisor)
        exact = _sum((m, k // divisor) for m, k in self.terms if k % divisor == 0)
        rest = _sum((m, k) for m, k in self.terms if k % divisor != 0)
        if isinstance(rest, int):
            return exact + rest // divisor
        return exact + Dim((((Call("//", rest, divisor),), 1),))

    def __rfloordiv__(self, other: int) -> Size:
        return Dim((((Call("//", other, self),), 1),))

    def __radd__(self, other: int) -> Size:
        return self + other

    def __rmul__(self, other: int) -> Size:
        return self * other

    def __neg__(self) -> Size:
        return self * -1

    def __sub__(self, other: Size) -> Size:
        return self + other * -1

    def __rsub__(self, other: int) -> Size:
        return self * -1 + other

    def __bool__(self) -> bool:
        raise GraphError(f"the size '{self}' is symbolic: whether it is zero is known at run time only")

    def __str__(self) -> str:
        return _text(to_json(self))

    __repr__ = __str__


def larger(a: Size, b: Size) -> Size:
    """Return the size that is the larger of two at run time."""
    return _call("max", a, b)


def smaller(a: Size, b: Size) -> Size:
    """Return the size that is the smaller of two at run time."""
    return _call("min", a, b)


def product(shape: Shape) -> Size:
    """Return the number of elements of a shape; 1 for a scalar."""
    total: Size = 1
    for size in shape:
        total = total * size
    return total


def symbols(size: Size) -> frozenset[str]:
    """Return the names of the symbols in a size."""
    if isinstance(size, int):
        return frozenset()
    names: set[str] = set()
    for atom in itertools.chain.from_iterable(m for m, _ in size.terms):
        names |= {atom} if isinstance(atom, str) else symbols(atom.left) | symbols(atom.right)
    return frozenset(names)


def evaluate(size: Size, values: Mapping[str, int]) -> int:
    """Return the integer that a size has for the given values of its symbols."""
    if isinstance(size, int):
        return size
    total = 0
    for monomial, factor in size.terms:
        for atom in monomial:
            if isinstance(atom, str):
                if atom not in values:
                    raise DimensionError(f"dimension '{atom}' has no value")
                factor *= values[atom]
            else:
                left, right = evaluate(atom.left, values), evaluate(atom.right, values)
                if atom.function == "//" and right == 0:
                    raise DimensionError(f"the size '{size}' divides by 0 for {dict(values)}")
                factor *= _FUNCTIONS[atom.function](left, right)
        total += factor
    return total


def bounds(size: Size, ranges: Ranges) -> tuple[int, int]:
    """Return the smallest and largest value that a size can have (never too narrow)."""
    if isinstance(size, int):
        return size, size
    low = high = 0
    for monomial, factor in size.terms:
        interval = (factor, factor)
        for atom in monomial:
            interval = _extremes(lambda a, b: a * b, interval, _atom_bounds(atom, ranges))
        low, high = low + interval[0], high + interval[1]
    return low, high


def loose(shapes: Iterable[Shape]) -> frozenset[str]:
    """Return the symbols of inputs' shapes that are no axis by themselves: no call would say what they are."""
    sizes = [size for shape in shapes for size in shape]
    bare = {name for size in sizes for name in symbols(size) if size == Dim.symbol(name)}
    return frozenset(name for size in sizes for name in symbols(size)) - bare


@contextmanager
def within(ranges: Ranges) -> Iterator[None]:
    """Work out shapes for dims of these ranges: only their `min` tells whether an axis may be empty."""
    token = _declared.set(ranges)
    try:
        yield
    finally:
        _declared.reset(token)


def lowest(size: Size) -> int:
    """Return a number that a size never falls below. A symbol whose range is not known is at least 1."""
    declared = _declared.get() or {}
    return bounds(size, {name: declared.get(name, (1, _LARGEST)) for name in symbols(size)})[0]


def smallest(size: Size) -> int:
    """Return what a size is where its dims are smallest; a symbol whose range is not known is 1 there."""
    declared = _declared.get() or {}
    return evaluate(size, {name: declared.get(name, (1, 1))[0] for name in symbols(size)})


def least(size: Size) -> int:
    """As `lowest`, but taking each symbol for any of at least 1, or 0 if it begins there, whatever its range."""
    declared = _declared.get() or {}
    return bounds(size, {name: (min(1, declared.get(name, (1, 1))[0]), _LARGEST) for name in symbols(size)})[0]


def to_json(size: Size) -> Any:
    """Write a size as JSON: an integer, a symbol's name, or `[function, a, b]`."""
    if isinstance(size, int):
        return size
    total: Any = None
    for monomial, factor in size.terms:
        term: Any = factor if factor != 1 or not monomial else None
        for atom in monomial:
            if isinstance(atom, Call):
                text: Any = [atom.function, to_json(atom.left), to_json(atom.right)]
            else:
                text = atom
            term = text if term is None else ["*", term, text]
        total = term if total is None else ["+", total, term]
    return total


def from_json(data: Any, depth: int = 0) -> Size:
    """Read what `to_json` wrote. Raises GraphError when it is anything else or deeper than 200."""
    if isinstance(data, int) and not isinstance(data, bool):
        return data
    if isinstance(data, str):
        return Dim.symbol(data)
    if isinstance(data, list) and len(data) == 3 and data[0] in ("+", "*", *_FUNCTIONS) and depth < 200:
        left, right = from_json(data[1], depth + 1), from_json(data[2], depth + 1)
        if data[0] == "+":
            return left + right
        if data[0] == "*":
            return left * right
        if right == 0 and data[0] == "//":
            raise GraphError(f"{str(data)[:80]} divides by 0")
        return left // right if data[0] == "//" else _call(data[0], left, right)
    raise GraphError(f"{str(data)[:80]!r} is not a size: expected an integer, a name or [function, a, b]")


def to_c(size: Size) -> str:
    """Print a size as a C expression of `nx_int`. A symbol is a variable called `dim_` and its name."""
    return _text(to_json(size), nested=True, call=lambda f, a, b: f"nx_{f}_int({a}, {b})")


def _text(data: Any, nested: bool = False, call: Callable[[str, str, str], str] | None = None) -> str:
    if isinstance(data, str):
        return f"dim_{data}" if call else data  # a dim may be called what C calls its own: `int`, `for`
    if not isinstance(data, list):
        return str(data)
    function, left, right = data[0], _text(data[1], True, call), _text(data[2], True, call)
    if function in ("max", "min"):
        return call(function, left, right) if call else f"{function}({left}, {right})"
    if call and function == "//" and _subtracts(data[1]):
        return call("floordiv", left, right)  # C itself rounds towards zero, which for nothing negative is the same
    operator = "/" if call and function == "//" else function
    text = f"{left} {operator} {right}"
    return f"({text})" if nested else text


def _subtracts(data: Any) -> bool:
    """Say whether a size may be negative for some dims: it has a number below 0 in it."""
    return any(map(_subtracts, data[1:])) if isinstance(data, list) else isinstance(data, int) and data < 0


def _terms(size: Size) -> tuple[tuple[Monomial, int], ...]:
    return (((), size),) if isinstance(size, int) else size.terms


def _ordered(monomial: Monomial) -> Monomial:
    return tuple(sorted(monomial, key=str))


def _sum(terms: Iterator[tuple[Monomial, int]]) -> Size:
    factors: dict[Monomial, int] = {}
    for monomial, factor in terms:
        factors[monomial] = factors.get(monomial, 0) + factor
    kept = sorted(((m, k) for m, k in factors.items() if k), key=lambda t: (-len(t[0]), str(t[0])))
    if not kept:
        return 0
    if len(kept) == 1 and kept[0][0] == ():
        return kept[0][1]
    return Dim(tuple(kept))


def _divide_by_symbol(size: Dim, divisor: Dim) -> Size:
    if len(divisor.terms) == 1:
        (monomial, factor), quotient = divisor.terms[0], []
        for m, k in size.terms:
            rest = list(m)
            if k % factor or any(rest.count(a) < monomial.count(a) for a in monomial):
                break
            for atom in monomial:
                rest.remove(atom)
            quotient.append((tuple(rest), k // factor))
        else:
            return _sum(iter(quotient))
    return Dim((((Call("//", size, divisor),), 1),))


def _call(function: str, a: Size, b: Size) -> Size:
    if isinstance(a, int) and isinstance(b, int):
        return _FUNCTIONS[function](a, b)
    a, b = sorted((a, b), key=str)  # both functions are symmetric: one order for one size
    return a if a == b else Dim((((Call(function, a, b),), 1),))


def _extremes(f: Callable[[int, int], int], a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    corners = [f(x, y) for x in a for y in b]
    return min(corners), max(corners)


def _atom_bounds(atom: Atom, ranges: Ranges) -> tuple[int, int]:
    if isinstance(atom, str):
        if atom not in ranges:
            raise DimensionError(f"dimension '{atom}' has no declared range: add it to 'dims'")
        return ranges[atom]
    return _extremes(_FUNCTIONS[atom.function], bounds(atom.left, ranges), bounds(atom.right, ranges))
