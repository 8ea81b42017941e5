"""Reading an image between its pixels: at places that other tensors name, each a mean of its neighbours."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from neurenix.dims import Shape, Size, product
from neurenix.frontends.onnx.symbolic import materialized, symbolic
from neurenix.tensor import Tensor

# A neighbour along one axis: its place, as a whole float number inside the image, and its weight.
Neighbour = tuple[Tensor, Tensor]

_CUBIC = -0.75


def number(size: Size) -> Tensor:
    """Return a size, symbolic or not, as a float32 tensor."""
    return materialized(symbolic(np.array(size, dtype=object))).cast("float32")


def rows_of(x: Tensor) -> Tensor:
    """Return images (N, C, sizes) as one row of channels for each pixel of each of them."""
    pixels = product(x.shape[2:])
    return x.reshape((*x.shape[:2], pixels)).transpose(1, 2).reshape((x.shape[0] * pixels, x.shape[1]))


def read(rows: Tensor, sizes: Shape, first: Tensor, places: Sequence[Tensor]) -> Tensor:
    """Return the rows (R, P, C) at `places` (R, P), one for each axis; `first` (R, 1) is where an image begins."""
    at: Tensor | None = None
    for place, size in zip(places, sizes):
        whole = place.cast("int64")
        at = whole if at is None else at * materialized(symbolic(np.array(size, dtype=object))) + whole
    assert at is not None
    return rows.index_select(0, at + first)


def weighted(rows: Tensor, sizes: Shape, first: Tensor, neighbours: Sequence[Sequence[Neighbour]]) -> list[Tensor]:
    """Return what each combination of the axes' neighbours adds to a place, (R, P, C)."""
    parts = []
    for corner in itertools.product(*neighbours):
        share = corner[0][1]
        for _, weight in corner[1:]:
            share = share * weight
        parts.append(read(rows, sizes, first, [place for place, _ in corner]) * share.unsqueeze(-1))
    return parts


def total(parts: Sequence[Tensor]) -> Tensor:
    """Return the sum of tensors."""
    result = parts[0]
    for part in parts[1:]:
        result = result + part
    return result


def neighbours(at: Tensor, size: Size, mode: str, padding: str, low: float, high: Tensor) -> list[Neighbour]:
    """Return the neighbours of places along an axis of `size` elements.

    `mode` is "nearest", "linear" or "cubic"; `padding` says what lies outside: "zeros", "border", or "reflection" at
    `low` and `high`.
    """
    if mode == "nearest":
        at = at.round()
    if padding == "border" and mode != "cubic":  # whose neighbours alone stop there
        at = at.maximum(0.0).minimum(number(size) - 1)
    elif padding == "reflection":
        at = reflected(at, low, high)
    # What is far outside is no different from what is just outside, and fits an integer.
    at = at.maximum(-4.0).minimum(number(size) + 4)
    left = at if mode == "nearest" else at.floor()
    share = at - left
    found: list[tuple[Tensor, Tensor | None]]
    if mode == "nearest":
        found = [(left, None)]
    elif mode == "linear":
        found = [(left, 1 - share), (left + 1, share)]
    else:
        found = [(left + k - 1, weight) for k, weight in enumerate(_cubic(share))]
    made: list[Neighbour] = []
    last = number(size) - 1
    for place, weight in found:
        if padding == "reflection":
            place = reflected(place, low, high).floor() if low else reflected(place, low, high)
        inside = place.maximum(0.0).minimum(last)
        given = left * 0 + 1 if weight is None else weight
        made.append((inside, given * (inside == place).cast("float32") if padding == "zeros" else given))
    return made


def reflected(at: Tensor, low: float, high: Tensor) -> Tensor:
    """Return places mirrored at `low` and `high` until they lie between them."""
    span = (high - low).maximum(1e-6)
    away = (at - low) % (span * 2)
    return span - (away - span).abs() + low


def _cubic(share: Tensor) -> list[Tensor]:
    """Return the weights of four neighbours, Keys' convolution."""

    def near(x: Tensor) -> Tensor:
        return ((_CUBIC + 2) * x - (_CUBIC + 3)) * x * x + 1

    def far(x: Tensor) -> Tensor:
        return ((_CUBIC * x - 5 * _CUBIC) * x + 8 * _CUBIC) * x - 4 * _CUBIC

    return [far(share + 1), near(share), near(1 - share), far(2 - share)]
