"""The one generator of all random choices, and tensors drawn from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neurenix.tensor.tensor import Tensor

_generator = np.random.default_rng(0)


def manual_seed(seed: int) -> None:
    """Seed every random choice that Neurenix makes: initial weights, dropout, `randn`, `rand`."""
    global _generator
    _generator = np.random.default_rng(seed)


def generator() -> np.random.Generator:
    """Return the generator that `manual_seed` seeds."""
    return _generator


def randn(shape: Sequence[int], requires_grad: bool = False) -> Tensor:
    """Draw from the standard normal distribution."""
    return Tensor(_generator.standard_normal(shape, dtype=np.float32), requires_grad=requires_grad)


def rand(shape: Sequence[int], requires_grad: bool = False) -> Tensor:
    """Draw uniformly from [0, 1)."""
    return Tensor(_generator.random(shape, dtype=np.float32), requires_grad=requires_grad)
