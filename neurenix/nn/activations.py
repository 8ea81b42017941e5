"""The activations as modules: each is one elementwise or normalising op."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neurenix.nn.module import Module
from neurenix.tensor import Tensor


class ReLU(Module):
    """max(x, 0)."""

    def forward(self, *inputs: Tensor) -> Tensor:
        return inputs[0].relu()


class LeakyReLU(Module):
    """x where it is positive, else negative_slope * x."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, *inputs: Tensor) -> Tensor:
        return inputs[0].leaky_relu(self.negative_slope)

    def config(self) -> Mapping[str, Any]:
        return {"negative_slope": self.negative_slope}


class Sigmoid(Module):
    """1 / (1 + exp(-x))."""

    def forward(self, *inputs: Tensor) -> Tensor:
        return inputs[0].sigmoid()


class Tanh(Module):
    """The hyperbolic tangent."""

    def forward(self, *inputs: Tensor) -> Tensor:
        return inputs[0].tanh()


class SiLU(Module):
    """x * sigmoid(x)."""

    def forward(self, *inputs: Tensor) -> Tensor:
        return inputs[0].silu()


class Softmax(Module):
    """exp(x) divided by its sum along `dim`."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, *inputs: Tensor) -> Tensor:
        return inputs[0].softmax(self.dim)

    def config(self) -> Mapping[str, Any]:
        return {"dim": self.dim}
