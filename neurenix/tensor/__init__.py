"""Tensor and the functions that make one."""

from neurenix.autograd import grad, no_grad
from neurenix.tensor.creation import (
    arange,
    eye,
    from_numpy,
    full,
    full_like,
    linspace,
    meshgrid,
    ones,
    ones_like,
    zeros,
    zeros_like,
)
from neurenix.tensor.einsum import einsum
from neurenix.tensor.joining import cat, hstack, stack, vstack
from neurenix.tensor.methods import Operand
from neurenix.tensor.random import generator, manual_seed, rand, randn
from neurenix.tensor.tensor import Tensor, apply, as_tensor, where

__all__ = [
    "apply", "arange", "as_tensor", "cat", "einsum", "eye", "from_numpy", "full", "full_like", "generator", "grad",
    "hstack", "linspace", "manual_seed", "meshgrid", "no_grad", "ones", "ones_like", "Operand", "rand", "randn",
    "stack", "Tensor", "vstack", "where", "zeros", "zeros_like",
]  # fmt: skip
