"""numpy.where for floats, without its branches: several times as fast where the condition is hard to foresee."""

from __future__ import annotations

from typing import Any

import numpy as np

_BITS = {np.dtype(np.float32): np.int32, np.dtype(np.float64): np.int64}
_FEW = 1 << 10  # elements up to which numpy.where is as good


def choose(condition: Any, a: Any, b: Any) -> Any:
    """Return a where the condition holds and b elsewhere, bit by bit: nothing is computed with either."""
    bits = _BITS.get(np.result_type(a, b))
    if bits is None or np.size(condition) < _FEW or np.result_type(condition) != np.bool_:
        return np.where(condition, a, b)
    of = np.result_type(a, b)
    left, right = (np.asarray(v, dtype=of).view(bits) for v in (a, b))
    if left.ndim == 0 and not left:  # 0 or all the bits of b, NaN's too: a product of whole numbers
        return np.multiply(right.view(bits), ~condition).view(of)
    if right.ndim == 0 and not right:
        return np.multiply(left.view(bits), condition).view(of)
    mask = condition.astype(bits)
    np.negative(mask, out=mask)  # all ones where the condition holds
    return (right ^ ((left ^ right) & mask)).view(of)
