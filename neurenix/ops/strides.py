"""How the kernels that move elements walk a tensor: by strides, neighbouring axes joined, six axes at most."""

from __future__ import annotations

from collections.abc import Sequence

from neurenix.dims import Shape, Size, larger, least, lowest, smaller
from neurenix.errors import UnsupportedError

MOST_AXES = 6


def at_least_0(size: Size) -> Size:
    """Return `max(size, 0)`, without the max where it shows that there is no need."""
    return size if least(size) >= 0 else larger(size, 0)


def shorter(a: Size, b: Size) -> Size:
    """Return `min(a, b)`, without the min where their ranges show which one that is."""
    if lowest(b - a) >= 0:
        return a
    return b if lowest(a - b) >= 0 else smaller(a, b)


def row_major(shape: Shape) -> list[Size]:
    """Return how many elements lie between neighbours along each axis of a contiguous tensor."""
    strides: list[Size] = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    return strides


def walk(extents: Shape, strides: Sequence[Size], what: str) -> dict[str, Size]:
    """Return d0 to d5, the extents, and s0 to s5, the strides, of axes that cannot be joined any further.

    One side is contiguous over `extents`, the other has `strides`. Raises UnsupportedError, naming `what`, when
    more than six axes are left.
    """
    axes: list[tuple[Size, Size]] = []
    for extent, stride in zip(extents, strides):
        if extent == 1:
            continue
        if axes and axes[-1][1] == stride * extent:
            axes[-1] = (axes[-1][0] * extent, stride)
        else:
            axes.append((extent, stride))
    if len(axes) > MOST_AXES:
        raise UnsupportedError(f"{what} walks {len(axes)} axes that cannot be joined; its kernel takes {MOST_AXES}")
    axes = [(1, 0)] * (MOST_AXES - len(axes)) + axes
    return {f"d{i}": d for i, (d, _) in enumerate(axes)} | {f"s{i}": s for i, (_, s) in enumerate(axes)}
