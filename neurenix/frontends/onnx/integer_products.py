"""Products of small integers, computed in float32: exact as long as no sum reaches 2 ** 24.

The float kernels are the fast ones, and their constants are packed. A depth at which a sum could grow too large is cut
into parts, each of them exact, which are added up as int32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from neurenix.dims import Dim
from neurenix.errors import UnsupportedError
from neurenix.tensor import Tensor

# Every integer of a smaller size is a float32.
_EXACT = 1 << 24

# An element less its zero point, both of 8 bits.
_LARGEST = 255


def less(x: Tensor, zero_point: Tensor | None) -> Tensor:
    """Return integers less their zero point, as float32."""
    wide = x.cast("float32")
    return wide if zero_point is None else wide - zero_point.cast("float32")


def product(a: Tensor, b: Tensor) -> Tensor:
    """Return the matrix product of whole float32 numbers of up to 255 as int32."""
    depth = a.shape[-1]
    if isinstance(depth, Dim):
        return a.cast("int32") @ b.cast("int32")
    parts = _parts(_sizes(b, -2, depth))
    if len(parts) == 1:
        return _added([a @ b])
    matrix = b if b.ndim > 1 else b.unsqueeze(-1)
    y = _added([a[..., start:stop] @ matrix[..., start:stop, :] for start, stop in parts])
    return y if b.ndim > 1 else y.squeeze(-1)


def convolution(convolve: Callable[[Tensor, Tensor], Tensor], x: Tensor, w: Tensor, group: int) -> Tensor:
    """Return a convolution of whole float32 numbers of up to 255 as int32."""
    inner = w.shape[1]
    if isinstance(inner, Dim):
        raise UnsupportedError(f"its weight {list(w.shape)} has a symbolic number of channels: fix it with dims")
    parts = _parts(_sizes(w, 1, inner))
    if len(parts) == 1:
        return _added([convolve(x, w)])
    grouped = x.reshape((x.shape[0], group, inner, *x.shape[2:]))

    def part(start: int, stop: int) -> Tensor:
        channels = grouped[:, :, start:stop].reshape((x.shape[0], group * (stop - start), *x.shape[2:]))
        return convolve(channels, w[:, start:stop])

    return _added([part(start, stop) for start, stop in parts])


def _sizes(weight: Tensor, axis: int, depth: int) -> list[int]:
    """Return for each place along the depth the largest sum that it can add to an output."""
    if weight.traced is not None:
        each = int(np.prod([s for s in weight.shape[2:] if isinstance(s, int)])) if axis == 1 else 1
        return [_LARGEST * _LARGEST * each] * depth
    array = np.abs(weight.numpy().astype(np.int64))
    if axis == 1:  # a weight (O, C, kernel): an output adds up its kernel
        array = array.reshape(*array.shape[:2], -1).sum(2)
    else:
        axis = max(axis + array.ndim, 0)
    others = tuple(a for a in range(array.ndim) if a != axis)
    return [int(v) * _LARGEST for v in array.max(axis=others, initial=0)]


def _parts(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Cut the depth into parts whose sums stay exact."""
    parts: list[tuple[int, int]] = []
    start = total = 0
    for at, size in enumerate(sizes):
        if size >= _EXACT:
            raise UnsupportedError("its kernel is too large for exact sums of integers")
        if total + size >= _EXACT:
            parts.append((start, at))
            start, total = at, 0
        total += size
    return [*parts, (start, len(sizes))]


def _added(parts: Sequence[Tensor]) -> Tensor:
    total = parts[0].cast("int32")
    for part in parts[1:]:
        total = total + part.cast("int32")
    return total
