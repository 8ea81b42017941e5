"""Arithmetic of Tensor: operators, and PyTorch's names for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurenix.errors import InputError
from neurenix.tensor.methods import Methods, Operand

if TYPE_CHECKING:
    from neurenix.tensor.tensor import Tensor

# Powers that have an op of their own, faster and with a plainer gradient.
_POWERS = {2: "square", 0.5: "sqrt", -0.5: "rsqrt", -1: "reciprocal"}


class ArithmeticMethods(Methods):
    """Where whole numbers have no answer of their own, as in a quotient, they become float32 first."""

    def as_float(self) -> Tensor:
        """This tensor, or its values in float32 when it holds whole numbers."""
        floating = self.dtype.numpy.kind == "f"
        return self.lift(self) if floating else self.apply("cast", dtype="float32")  # type: ignore[arg-type]

    def __add__(self, other: Operand) -> Tensor:
        return self.apply("add", other)

    def __radd__(self, other: Operand) -> Tensor:
        return self.lift(other) + self

    def __sub__(self, other: Operand) -> Tensor:
        return self.apply("sub", other)

    def __rsub__(self, other: Operand) -> Tensor:
        return self.lift(other) - self

    def __mul__(self, other: Operand) -> Tensor:
        return self.apply("mul", other)

    def __rmul__(self, other: Operand) -> Tensor:
        return self.lift(other) * self

    def __truediv__(self, other: Operand) -> Tensor:
        return self.as_float().apply("div", other)

    def __rtruediv__(self, other: Operand) -> Tensor:
        return self.lift(other) / self

    def __floordiv__(self, other: Operand) -> Tensor:
        return self.apply("floor_divide", other)

    def __rfloordiv__(self, other: Operand) -> Tensor:
        return self.lift(other) // self

    def __mod__(self, other: Operand) -> Tensor:
        return self.apply("mod", other)

    def __rmod__(self, other: Operand) -> Tensor:
        return self.lift(other) % self

    def __pow__(self, exponent: Operand) -> Tensor:
        if isinstance(exponent, (int, float)) and exponent in _POWERS:
            base = self if exponent == 2 else self.as_float()
            return base.apply(_POWERS[exponent])
        return self.apply("pow", exponent)

    def __rpow__(self, base: Operand) -> Tensor:
        return self.lift(base) ** self

    def __neg__(self) -> Tensor:
        return self.apply("neg")

    def __pos__(self) -> Tensor:
        return self.lift(self)  # type: ignore[arg-type]

    def __abs__(self) -> Tensor:
        return self.apply("abs")

    def add(self, other: Operand, *, alpha: float = 1) -> Tensor:
        """self + alpha * other."""
        return self + (other if alpha == 1 else self.lift(other) * alpha)

    def sub(self, other: Operand, *, alpha: float = 1) -> Tensor:
        """self - alpha * other."""
        return self - (other if alpha == 1 else self.lift(other) * alpha)

    def mul(self, other: Operand) -> Tensor:
        return self * other

    def div(self, other: Operand, *, rounding_mode: str | None = None) -> Tensor:
        """self / other, and with `rounding_mode` "floor" or "trunc" a whole number in the inputs' dtype."""
        if rounding_mode is None:
            return self / other
        if rounding_mode == "floor":
            return self // other
        if rounding_mode != "trunc":
            raise InputError(f"div: rounding_mode is None, 'floor' or 'trunc', got {rounding_mode!r}")
        by = self.lift(other)
        if self.dtype.numpy.kind == "f" or by.dtype.numpy.kind == "f":
            return (self / by).trunc()
        if self.dtype.numpy.kind == by.dtype.numpy.kind == "u":
            return self // by
        return (self - self.apply("mod", by, fmod=True)) // by  # the remainder has the dividend's sign

    def floor_divide(self, other: Operand) -> Tensor:
        return self // other

    def remainder(self, other: Operand) -> Tensor:
        """What is left of a division, with the divisor's sign as in Python."""
        return self % other

    def fmod(self, other: Operand) -> Tensor:
        """What is left of a division, with the dividend's sign as in C."""
        return self.apply("mod", other, fmod=True)

    def pow(self, exponent: Operand) -> Tensor:
        return self**exponent

    def maximum(self, other: Operand) -> Tensor:
        return self.apply("maximum", other)

    def minimum(self, other: Operand) -> Tensor:
        return self.apply("minimum", other)

    def clamp(self, min: Operand | None = None, max: Operand | None = None) -> Tensor:
        """No less than `min` and no more than `max`, which are numbers, tensors or None."""
        if min is None and max is None:
            raise InputError("clamp needs min, max or both")
        if all(limit is None or isinstance(limit, (int, float)) for limit in (min, max)):
            fraction = any(isinstance(limit, float) for limit in (min, max))
            return (self.as_float() if fraction else self).apply("clip", min=min, max=max)
        raised = self if min is None else self.maximum(min)
        return raised.apply("minimum", max) if max is not None else self.maximum(min)  # type: ignore[arg-type]

    def clip(self, min: Operand | None = None, max: Operand | None = None) -> Tensor:
        """As `clamp`."""
        return self.clamp(min, max)

    def neg(self) -> Tensor:
        return -self

    def abs(self) -> Tensor:
        return self.apply("abs")

    def sign(self) -> Tensor:
        """1, 0 or -1."""
        return self.apply("sign")

    def floor(self) -> Tensor:
        return self.apply("floor")

    def ceil(self) -> Tensor:
        return self.apply("ceil")

    def round(self, decimals: int = 0) -> Tensor:
        """The nearest whole number, the even one of two; with `decimals`, that many places."""
        if decimals == 0:
            return self.apply("round")
        scale = 10.0 ** abs(decimals)
        return (self * scale).round() / scale if decimals > 0 else (self / scale).round() * scale

    def trunc(self) -> Tensor:
        return self.apply("trunc")

    def frac(self) -> Tensor:
        """What `trunc` cuts off."""
        return self - self.trunc()

    def square(self) -> Tensor:
        return self.apply("square")

    def sqrt(self) -> Tensor:
        return self.as_float().apply("sqrt")

    def rsqrt(self) -> Tensor:
        return self.as_float().apply("rsqrt")

    def reciprocal(self) -> Tensor:
        return self.as_float().apply("reciprocal")
