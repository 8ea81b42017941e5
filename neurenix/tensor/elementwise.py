"""Functions of Tensor that compute each element from the elements at the same place: one line for each row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurenix.expr import Expr
from neurenix.tensor.arithmetic import ArithmeticMethods
from neurenix.tensor.casting import CastingMethods
from neurenix.tensor.comparison import ComparisonMethods
from neurenix.tensor.in_place import InPlaceMethods
from neurenix.tensor.methods import Operand

if TYPE_CHECKING:
    from neurenix.tensor.tensor import Tensor


class ElementwiseMethods(ArithmeticMethods, ComparisonMethods, CastingMethods, InPlaceMethods):
    """Functions of floats; whole numbers become float32 first. The names are PyTorch's."""

    def map(self, expr: Expr, *others: Operand, dtype: str | None = None) -> Tensor:
        """Apply a scalar expression; this tensor is operand 0, `others` follow. The dtype stays unless given."""
        return self.apply("map", *others, expr=expr, dtype=dtype)

    def exp(self) -> Tensor:
        return self.as_float().apply("exp")

    def exp2(self) -> Tensor:
        return self.as_float().apply("exp2")

    def expm1(self) -> Tensor:
        return self.as_float().apply("expm1")

    def log(self) -> Tensor:
        return self.as_float().apply("log")

    def log2(self) -> Tensor:
        return self.as_float().apply("log2")

    def log10(self) -> Tensor:
        return self.as_float().apply("log10")

    def log1p(self) -> Tensor:
        return self.as_float().apply("log1p")

    def sin(self) -> Tensor:
        return self.as_float().apply("sin")

    def cos(self) -> Tensor:
        return self.as_float().apply("cos")

    def tan(self) -> Tensor:
        return self.as_float().apply("tan")

    def asin(self) -> Tensor:
        return self.as_float().apply("asin")

    def acos(self) -> Tensor:
        return self.as_float().apply("acos")

    def atan(self) -> Tensor:
        return self.as_float().apply("atan")

    def sinh(self) -> Tensor:
        return self.as_float().apply("sinh")

    def cosh(self) -> Tensor:
        return self.as_float().apply("cosh")

    def tanh(self) -> Tensor:
        return self.as_float().apply("tanh")

    def asinh(self) -> Tensor:
        return self.as_float().apply("asinh")

    def acosh(self) -> Tensor:
        return self.as_float().apply("acosh")

    def atanh(self) -> Tensor:
        return self.as_float().apply("atanh")

    def erf(self) -> Tensor:
        return self.as_float().apply("erf")

    def sigmoid(self) -> Tensor:
        return self.as_float().apply("sigmoid")

    def atan2(self, other: Operand) -> Tensor:
        """The angle of the point (other, self)."""
        return self.as_float().apply("atan2", other)

    def logit(self, eps: float | None = None) -> Tensor:
        """log(x / (1 - x)), of x cut to [eps, 1 - eps]."""
        x = self.as_float() if eps is None else self.as_float().clamp(eps, 1 - eps)
        return (x / (1 - x)).log()

    def relu(self) -> Tensor:
        return self.apply("relu")

    def relu6(self) -> Tensor:
        return self.apply("relu6")

    def leaky_relu(self, negative_slope: float = 0.01) -> Tensor:
        return self.as_float().apply("leaky_relu", negative_slope=negative_slope)

    def prelu(self, weight: Tensor) -> Tensor:
        """x where it is positive, else weight * x; a weight for each channel goes along axis 1."""
        channels = weight.ndim == 1 and weight.size != 1 and self.ndim > 1
        return self.apply("prelu", weight.reshape((-1, *(1,) * (self.ndim - 2))) if channels else weight)

    def elu(self, alpha: float = 1.0) -> Tensor:
        return self.as_float().apply("elu", alpha=alpha)

    def selu(self) -> Tensor:
        return self.as_float().apply("selu")

    def celu(self, alpha: float = 1.0) -> Tensor:
        return self.as_float().apply("celu", alpha=alpha)

    def gelu(self, approximate: str = "none") -> Tensor:
        return self.as_float().apply("gelu", approximate=approximate)

    def silu(self) -> Tensor:
        return self.as_float().apply("silu")

    def mish(self) -> Tensor:
        return self.as_float().apply("mish")

    def softsign(self) -> Tensor:
        return self.as_float().apply("softsign")

    def softplus(self, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
        return self.as_float().apply("softplus", beta=beta, threshold=threshold)

    def logsigmoid(self) -> Tensor:
        return self.as_float().apply("log_sigmoid")

    def hardsigmoid(self) -> Tensor:
        return self.as_float().apply("hard_sigmoid")

    def hardswish(self) -> Tensor:
        return self.as_float().apply("hard_swish")

    def hardtanh(self, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
        return self.as_float().apply("hard_tanh", min_val=min_val, max_val=max_val)

    def threshold(self, threshold: float, value: float) -> Tensor:
        return self.as_float().apply("threshold", threshold=threshold, value=value)

    def nan_to_num(self, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
        """Numbers instead of NaN and infinities; by default the largest ones that float32 has."""
        high, low = (3.4028234663852886e38 if v is None else s * v for v, s in ((posinf, 1), (neginf, -1)))
        x = self.as_float().clamp(-low, high)
        return x.where(x == x, nan)
