"""Initial weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from neurenix.tensor import generator


def uniform(shape: tuple[int, ...], fan_in: int) -> np.ndarray[Any, Any]:
    """Draw from U(-b, b) with b = 1 / sqrt(fan_in), PyTorch's default for linear and convolution layers."""
    bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
    return generator().uniform(-bound, bound, shape).astype(np.float32)
