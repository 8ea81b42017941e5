"""relu and its gradient on large arrays.

NumPy's maximum of an array and a number is several times as slow as that of two arrays, and where is as slow as its
condition is hard to foresee: so one works with zeros, the other multiplies the gradient's bits by 0 or 1.
"""

from __future__ import annotations

import numpy as np

from neurenix.ops.op import Array
from neurenix.ops.pieces import shared
from neurenix.threads import each, empty

# Elements from which that matters; and the zeros, few enough for the processor's second-level cache.
_LARGE = 1 << 12
_ZEROS = {np.dtype(of): np.zeros(1 << 16, of) for of in (np.float32, np.float64)}
_BITS = {np.dtype(np.float32): np.int32, np.dtype(np.float64): np.int64}


def relu(x: Array) -> Array:
    """Return max(x, 0)."""
    zeros = _ZEROS.get(x.dtype)
    if zeros is None or x.size < _LARGE or not x.flags.c_contiguous:
        return np.asarray(np.maximum(x, 0))
    y = empty(x.shape, x.dtype)
    given, made = x.reshape(-1), y.reshape(-1)

    def compute(part: slice) -> None:
        for start in range(part.start, part.stop, zeros.size):
            piece = given[start : min(start + zeros.size, part.stop)]
            np.maximum(piece, zeros[: piece.size], out=made[start : start + piece.size])

    each(compute, shared(given.shape))
    return y


def relu_gradient(g: Array, y: Array) -> Array:
    """Return g where y is not 0, and 0 elsewhere, whatever g is there."""
    bits = _BITS.get(g.dtype)
    if bits is None or g.shape != y.shape or g.dtype != y.dtype or not (g.flags.c_contiguous and y.flags.c_contiguous):
        return np.where(y == 0, g.dtype.type(0), g)
    result = empty(g.shape, g.dtype)
    given, slopes, made = y.reshape(-1), g.reshape(-1).view(bits), result.reshape(-1).view(bits)

    def compute(part: slice) -> None:
        np.multiply(slopes[part], np.not_equal(given[part], 0), out=made[part])

    each(compute, shared(given.shape))
    return result
