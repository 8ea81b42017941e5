"""Floats that a model computes from sizes, `height * 0.5` on the way to `floor`, as exact quotients."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurenix.dims import Dim, Size, bounds
from neurenix.graph.builder import active_builder

# Whole numbers below this are exact in float32, and so is the floor of the quotient of two of them.
_EXACT = 1 << 24
# Factors with this denominator and less are taken for what they say: 0.25, 1.5.
_MOST_BOTTOM = 1 << 12
# A factor such as 1 / 3 is rounded: what it does is tried for as many sizes at most.
_MOST_TRIED = 1 << 20


class NotExact(Exception):
    """Arithmetic on sizes has no exact result that is a size: it is left to the run."""


@dataclass(frozen=True)
class Ratio:
    """`top / bottom`, the second a positive integer.

    The float that the model has is this one exactly, or, where `bottom` is no power of two, this one rounded once: so
    much that its floor and its ceiling are those of the exact one.
    """

    top: Size
    bottom: int = 1

    @staticmethod
    def of(number: float, dtype: np.dtype[Any]) -> Ratio:
        """Return what a constant stands for. Raises NotExact for one that is no simple fraction."""
        if not math.isfinite(number):
            raise NotExact
        top, bottom = float(number).as_integer_ratio()
        if bottom <= _MOST_BOTTOM:
            return _checked(top, bottom)
        inverse = round(1 / number)
        if dtype.type(1 / inverse) != dtype.type(number) or inverse < 1:
            raise NotExact
        return Ratio(1, inverse)

    def __add__(self, other: Ratio) -> Ratio:
        self.require_exact()
        other.require_exact()
        return _checked(self.top * other.bottom + other.top * self.bottom, self.bottom * other.bottom)

    def __sub__(self, other: Ratio) -> Ratio:
        return self + -other

    def __neg__(self) -> Ratio:
        return Ratio(-self.top, self.bottom)

    def __mul__(self, other: Ratio) -> Ratio:
        if self._is_rounded() and not other._is_rounded():
            return other * self
        self.require_exact()
        if other._is_rounded():
            _try_product(self, other)
        return _checked(self.top * other.top, self.bottom * other.bottom)

    def __truediv__(self, other: Ratio) -> Ratio:
        self.require_exact()
        other.require_exact()
        if self == other:
            return Ratio(1)
        if isinstance(other.top, Dim) or other.top == 0:
            raise NotExact
        sign = 1 if other.top > 0 else -1
        return _checked(self.top * other.bottom * sign, self.bottom * other.top * sign)

    def __float__(self) -> float:
        assert isinstance(self.top, int), f"{self.top} has no value yet"
        return self.top / self.bottom

    def floor(self) -> Ratio:
        """The largest whole number that is not above; of nothing negative, as C's division rounds towards zero."""
        if self.bottom == 1:
            return self
        if _range(self.top)[0] < 0:
            raise NotExact
        return Ratio(self.top // self.bottom)

    def ceil(self) -> Ratio:
        """The smallest whole number that is not below."""
        if self.bottom == 1:
            return self
        return Ratio(self.top + (self.bottom - 1), self.bottom).floor()

    def require_exact(self) -> None:
        """Raise NotExact when the model's float is a rounded one."""
        if self._is_rounded():
            raise NotExact

    def _is_rounded(self) -> bool:
        return self.bottom & (self.bottom - 1) != 0


def _checked(top: Size, bottom: int) -> Ratio:
    """Return the quotient in lowest terms. Raises NotExact when a float may not hold it."""
    common = math.gcd(bottom, *(factor for _, factor in top.terms)) if isinstance(top, Dim) else math.gcd(top, bottom)
    top, bottom = top // common, bottom // common
    low, high = _range(top)
    if max(-low, high, bottom) >= _EXACT:
        raise NotExact
    return Ratio(top, bottom)


def _range(size: Size) -> tuple[int, int]:
    builder = active_builder()
    return bounds(size, builder.dims if builder is not None else {})


def _try_product(exact: Ratio, inverse: Ratio) -> None:
    """Raise NotExact unless all sizes times a rounded inverse have the floor and the ceiling of their quotient."""
    low, high = _range(exact.top)
    if inverse.top != 1 or exact.bottom != 1 or low < 0 or high - low >= _MOST_TRIED:
        raise NotExact
    tops = np.arange(low, high + 1)
    for kind in (np.float32, np.float64):
        product = tops.astype(kind) * kind(1 / inverse.bottom)
        floor, ceil = tops // inverse.bottom, -(-tops // inverse.bottom)
        if (np.floor(product) != floor).any() or (np.ceil(product) != ceil).any():
            raise NotExact
