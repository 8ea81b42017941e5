"""Tensor and the functions that make one."""

from neurenix.autograd import grad, no_grad
from neurenix.tensor.creation import ones, zeros
from neurenix.tensor.methods import Operand
from neurenix.tensor.random import generator, manual_seed, rand, randn
from neurenix.tensor.tensor import Tensor, apply, as_tensor

__all__ = [
    "Operand", "Tensor", "apply", "as_tensor", "generator", "grad", "manual_seed", "no_grad", "ones", "rand", "randn",
    "zeros",
]  # fmt: skip
