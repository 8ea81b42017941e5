"""Operators that ask for shapes. What they return stays symbolic where the shape is."""

from __future__ import annotations

import numpy as np

from neurenix.dims import product
from neurenix.frontends.onnx.operator import operator
from neurenix.frontends.onnx.symbolic import Value, symbolic
from neurenix.tensor import Tensor, selecting


@operator("Shape")
def shape(data: Value, *, start: int = 0, end: int | None = None) -> Value:
    if isinstance(data, Tensor) and selecting.lengths(data):
        return selecting.sizes(data)[slice(start, end)]
    return symbolic(data.shape[slice(start, end)])


@operator("Size")
def size(data: Value) -> Value:
    if isinstance(data, Tensor) and selecting.lengths(data):
        return selecting.sizes(data).prod()
    return symbolic(np.array(product(data.shape), dtype=object))
