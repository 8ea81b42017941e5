"""The activations as modules, with PyTorch's names and arguments.

`inplace` is accepted for the sake of code written for PyTorch and changes nothing: an activation that follows
another layer costs no memory of its own in the compiled model.
"""

from __future__ import annotations

import numpy as np

from neurenix.nn import activation_functions
from neurenix.nn.module import Module, Parameter
from neurenix.tensor import Tensor


class _Activation(Module):
    """An activation that has no option but `inplace`."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()


class ReLU(_Activation):
    """max(x, 0)."""

    def forward(self, input: Tensor) -> Tensor:
        return input.relu()


class Hardtanh(Module):
    """x cut to [min_val, max_val]."""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.min_val, self.max_val = min_val, max_val

    def forward(self, input: Tensor) -> Tensor:
        return input.hardtanh(self.min_val, self.max_val)


class ReLU6(Hardtanh):
    """x cut to [0, 6]."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0)


class LeakyReLU(Module):
    """x where it is positive, else negative_slope * x."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, input: Tensor) -> Tensor:
        return input.leaky_relu(self.negative_slope)


class PReLU(Module):
    """x where it is positive, else weight * x; one weight, or one for each channel (axis 1)."""

    weight: Parameter

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        super().__init__()
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(np.full(num_parameters, init, dtype=np.float32))

    def forward(self, input: Tensor) -> Tensor:
        return input.prelu(self.weight)


class ELU(Module):
    """x where it is positive, else alpha (exp(x) - 1)."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, input: Tensor) -> Tensor:
        return input.elu(self.alpha)


class CELU(Module):
    """max(x, 0) + min(0, alpha (exp(x / alpha) - 1))."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, input: Tensor) -> Tensor:
        return input.celu(self.alpha)


class SELU(_Activation):
    """An ELU whose two constants keep mean 0 and variance 1."""

    def forward(self, input: Tensor) -> Tensor:
        return input.selu()


class GELU(Module):
    """x Φ(x), with Φ by erf or, with approximate="tanh", by tanh."""

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        return input.gelu(self.approximate)


class SiLU(_Activation):
    """x * sigmoid(x)."""

    def forward(self, input: Tensor) -> Tensor:
        return input.silu()


class Mish(_Activation):
    """x tanh(softplus(x))."""

    def forward(self, input: Tensor) -> Tensor:
        return input.mish()


class Softplus(Module):
    """log(1 + exp(beta x)) / beta; x itself where beta x is above `threshold`."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta, self.threshold = beta, threshold

    def forward(self, input: Tensor) -> Tensor:
        return input.softplus(self.beta, self.threshold)


class Softsign(Module):
    """x / (1 + |x|)."""

    def forward(self, input: Tensor) -> Tensor:
        return input.softsign()


class Sigmoid(Module):
    """1 / (1 + exp(-x))."""

    def forward(self, input: Tensor) -> Tensor:
        return input.sigmoid()


class LogSigmoid(Module):
    """log(sigmoid(x)), exact for large negative x."""

    def forward(self, input: Tensor) -> Tensor:
        return input.logsigmoid()


class Hardsigmoid(_Activation):
    """x / 6 + 1 / 2, cut to [0, 1]."""

    def forward(self, input: Tensor) -> Tensor:
        return input.hardsigmoid()


class Hardswish(_Activation):
    """x hardsigmoid(x)."""

    def forward(self, input: Tensor) -> Tensor:
        return input.hardswish()


class Hardshrink(Module):
    """x, but 0 where |x| is at most `lambd`."""

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        return activation_functions.hardshrink(input, self.lambd)


class Softshrink(Module):
    """x moved towards 0 by `lambd`, and 0 where |x| is at most that."""

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        return activation_functions.softshrink(input, self.lambd)


class Tanh(Module):
    """The hyperbolic tangent."""

    def forward(self, input: Tensor) -> Tensor:
        return input.tanh()


class Tanhshrink(Module):
    """x - tanh(x)."""

    def forward(self, input: Tensor) -> Tensor:
        return activation_functions.tanhshrink(input)


class Threshold(Module):
    """x where it is above `threshold`, else `value`."""

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold, self.value = threshold, value

    def forward(self, input: Tensor) -> Tensor:
        return input.threshold(self.threshold, self.value)


class GLU(Module):
    """a * sigmoid(b), where a and b are the halves of the input along `dim`."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return activation_functions.glu(input, self.dim)


class _AlongAxis(Module):
    """An activation that looks at all elements along `dim`."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim


class Softmax(_AlongAxis):
    """exp(x) divided by its sum along `dim`."""

    def forward(self, input: Tensor) -> Tensor:
        return input.softmax(self.dim)


class LogSoftmax(_AlongAxis):
    """The logarithm of Softmax, exact for small probabilities."""

    def forward(self, input: Tensor) -> Tensor:
        return input.log_softmax(self.dim)


class Softmin(_AlongAxis):
    """Softmax of -x."""

    def forward(self, input: Tensor) -> Tensor:
        return input.softmin(self.dim)
