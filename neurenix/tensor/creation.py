"""Tensors from nothing: filled, counted, copied in shape."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neurenix.tensor.tensor import Tensor


def zeros(shape: Sequence[int], requires_grad: bool = False) -> Tensor:
    return Tensor(np.zeros(shape, dtype=np.float32), requires_grad=requires_grad)


def ones(shape: Sequence[int], requires_grad: bool = False) -> Tensor:
    return Tensor(np.ones(shape, dtype=np.float32), requires_grad=requires_grad)
