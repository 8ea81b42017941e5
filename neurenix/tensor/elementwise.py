"""Operators and elementwise functions of Tensor: one line for each row of the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurenix.expr import Expr
from neurenix.tensor.methods import Methods, Operand

if TYPE_CHECKING:
    from neurenix.tensor.tensor import Tensor


class ElementwiseMethods(Methods):
    """Methods that compute each element from the elements at the same place."""

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
        return self.apply("div", other)

    def __rtruediv__(self, other: Operand) -> Tensor:
        return self.lift(other) / self

    def __neg__(self) -> Tensor:
        return self.apply("neg")

    def abs(self) -> Tensor:
        return self.apply("abs")

    def exp(self) -> Tensor:
        return self.apply("exp")

    def log(self) -> Tensor:
        return self.apply("log")

    def sqrt(self) -> Tensor:
        return self.apply("sqrt")

    def reciprocal(self) -> Tensor:
        return self.apply("reciprocal")

    def tanh(self) -> Tensor:
        return self.apply("tanh")

    def relu(self) -> Tensor:
        return self.apply("relu")

    def leaky_relu(self, negative_slope: float = 0.01) -> Tensor:
        return self.apply("leaky_relu", negative_slope=negative_slope)

    def sigmoid(self) -> Tensor:
        return self.apply("sigmoid")

    def silu(self) -> Tensor:
        return self.apply("silu")

    def maximum(self, other: Operand) -> Tensor:
        return self.apply("maximum", other)

    def minimum(self, other: Operand) -> Tensor:
        return self.apply("minimum", other)

    def cast(self, dtype: str) -> Tensor:
        """The same values in another dtype; floats are cut off towards zero."""
        return self.apply("cast", dtype=dtype)

    def map(self, expr: Expr, *others: Operand, dtype: str | None = None) -> Tensor:
        """Apply a scalar expression; this tensor is operand 0, `others` follow. The dtype stays unless given."""
        return self.apply("map", *others, expr=expr, dtype=dtype)
