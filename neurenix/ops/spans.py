"""Python's slices of sizes that may be symbolic: where they start, and how many elements they take."""

from __future__ import annotations

from neurenix.dims import Dim, Size, larger, least
from neurenix.errors import GraphError
from neurenix.ops.strides import at_least_0, shorter


def _from_start(size: Size) -> bool:
    """Say whether a position counts from the start; a symbolic one must."""
    if isinstance(size, Dim) and least(size) < 0:
        raise GraphError(f"the position '{size}' could be negative, and would then count from the end")
    return isinstance(size, Dim) or size >= 0


def span(n: Size, start: Size | None, stop: Size | None, step: int) -> tuple[Size, Size]:
    """Return the first position and the number of positions of a slice of n elements, by Python's rules.

    Whatever the values, `first + i * step` lies in 0..n - 1 for each of them: slices need no other check.
    """
    if step == 0:
        raise GraphError("the step of a slice is not 0")
    if step < 0:
        first = n - 1 if start is None else shorter(start, n - 1) if _from_start(start) else n + start
        last = -1 if stop is None else stop if _from_start(stop) else larger(n + stop, -1)
        return first, (at_least_0(first - last) - step - 1) // -step
    last = n if stop is None else shorter(stop, n) if _from_start(stop) else at_least_0(n + stop)
    if start is None or _from_start(start):
        first = 0 if start is None else start
        count = at_least_0(last - first)
    else:
        first = at_least_0(n + start)
        ends = stop is None or not _from_start(stop)  # both ends count from the end: so many, or what there is
        count = shorter(last, at_least_0((stop or 0) - start)) if ends else at_least_0(last - first)
    return first, (count + (step - 1)) // step if step > 1 else count


def spread(count: Size, step: int) -> Size:
    """Return how many places `count` elements take when their neighbours are `step` apart."""
    return count if step == 1 else at_least_0((count - 1) * step + 1)
