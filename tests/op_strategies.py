"""Strategies made from the op table: hypothesis draws what a row's `samples` ask for, so that failures shrink.

Sizes that a row lets vary, which its shape rule tells, become 0, 1 or odd; elementwise rows broadcast any shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hn
from op_cases import Array, Case, filled, sampled

from neurenix.errors import GraphError, InputError
from neurenix.ops import Family, Op

SIZES = (1, 0, 3, 2, 7, 9, 17)
Group = tuple[tuple[int, int], ...]  # axes, each as (input, axis), that have one size together

# More numbers than this come from a generator that hypothesis seeds: nobody reads them one by one.
_FEW = 12


class DrawnNumbers:
    """What NumPy's Generator is to a row's `samples`, but every decision is hypothesis's."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self._draw = draw
        self._many: np.random.Generator | None = None

    @property
    def many(self) -> np.random.Generator:
        """A generator for the values of arrays."""
        if self._many is None:
            self._many = np.random.default_rng(self._draw(st.integers(0, 2**32 - 1)))
        return self._many

    def integers(self, low: Any, high: Any = None, size: Any = None) -> Any:
        low, high = (0, low) if high is None else (low, high)
        if size is None and np.ndim(low) == np.ndim(high) == 0:
            return np.int64(self._draw(st.integers(int(low), int(high) - 1)))
        shape = np.broadcast_shapes(np.shape(low), np.shape(high)) if size is None else size
        lows, highs = (np.broadcast_to(v, shape) for v in (low, high))
        if lows.size > _FEW or lows.ndim > 1:
            return self.many.integers(low, high, size)
        drawn = [self._draw(st.integers(a, b - 1)) for a, b in zip(lows.ravel().tolist(), highs.ravel().tolist())]
        return np.array(drawn, np.int64).reshape(lows.shape)

    def random(self, size: Any = None) -> Any:
        return self._draw(st.integers(0, 99)) / 100 if size is None else self.many.random(size)

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        return self.many.uniform(low, high, size)

    def choice(self, options: Any, size: Any = None) -> Any:
        listed = np.asarray(options if np.ndim(options) else range(options))
        return listed[self.integers(0, len(listed), size)]

    def permutation(self, count: int) -> Any:
        if count > _FEW:
            return self.many.permutation(count)
        return np.array(self._draw(st.permutations(range(count))), np.int64)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.many, name)


@st.composite
def cases(draw: Any, row: Op, precision: str = "float32") -> Case:
    """A call of a row: its own samples, then sizes that it lets vary changed to any of SIZES."""
    numbers: Any = DrawnNumbers(draw)
    given, attrs = sampled(row, numbers, any_axis=draw(st.booleans()))
    if row.family is Family.ELEMENTWISE:
        shapes = draw(hn.mutually_broadcastable_shapes(num_shapes=len(given), max_dims=4, min_side=0, max_side=9))
        given = [fitted(g, new) if isinstance(g, np.ndarray) else new for g, new in zip(given, shapes.input_shapes)]
        return filled(row, numbers, given, attrs, precision)
    case = filled(row, numbers, given, attrs, precision)
    for _ in range(draw(st.sampled_from((1, 2, 0, 2)))):
        case = _varied(draw, case)
    # Repeated numbers have equal ones among them, where maxima bend: what came as a shape is filled anew.
    given = [array if isinstance(g, np.ndarray) else array.shape for g, array in zip(given, case.arrays)]
    return filled(row, numbers, given, attrs, precision)


def fitted(array: Array, shape: Sequence[int]) -> Array:
    """Return an array's numbers in another shape, again and again until it is full."""
    return np.resize(array, shape).astype(array.dtype)


def _varied(draw: Any, case: Case) -> Case:
    axes = [(i, a) for i, array in enumerate(case.arrays) for a in range(array.ndim)]
    if not axes:
        return case
    at, size = draw(st.sampled_from(axes)), draw(st.sampled_from(SIZES))
    return next((made for group in _groups(case, *at) if (made := resized(case, group, size)) is not None), case)


def _groups(case: Case, index: int, axis: int) -> Iterator[Group]:
    """Yield axes that may have to go with one axis: none, its namesakes from the front, those from the back."""
    yield ((index, axis),)
    size, back = case.arrays[index].shape[axis], axis - case.arrays[index].ndim
    front = tuple((i, axis) for i, a in enumerate(case.arrays) if a.ndim > axis and a.shape[axis] == size)
    behind = tuple((i, a.ndim + back) for i, a in enumerate(case.arrays) if a.ndim >= -back and a.shape[back] == size)
    yield front
    yield behind
    yield tuple((i, a) for i, array in enumerate(case.arrays) for a, s in enumerate(array.shape) if s == size)


def resized(case: Case, group: Group, size: int) -> Case | None:
    """Return a case with these axes of another size, or None where the row refuses that or an index is left outside."""
    shapes = [list(a.shape) for a in case.arrays]
    for i, axis in group:
        shapes[i][axis] = size
    try:
        case.row.infer([tuple(s) for s in shapes], case.attrs)
    except GraphError:
        return None
    made = replace(case, arrays=tuple(map(fitted, case.arrays, shapes)))
    return made if _within(made) else None


def _within(case: Case) -> bool:
    """Say whether every index is inside: what eager evaluation refuses as outside is no call of the row."""
    if not any(a.dtype.kind in "iu" for a in case.arrays):
        return True
    try:
        case.row.evaluate(case.arrays, case.attrs)
    except InputError:
        return False
    return True


def free_groups(case: Case) -> list[Group]:
    """Return axes of a case whose size its row lets vary, each group as one; every axis is in one of them at most."""
    taken: set[tuple[int, int]] = set()
    packed = (*(case.row.kernel.packing if case.row.kernel else ()), *[None] * len(case.arrays))
    found = []
    for i, array in enumerate(case.arrays):
        for axis, size in enumerate(array.shape):
            if (i, axis) in taken or size < 2:
                continue
            for group in _groups(case, i, axis):
                outside = any(packed[j] is not None or (j, a) in taken for j, a in group)
                if not outside and all(resized(case, group, size + more) is not None for more in (1, 2, 5)):
                    found.append(group)
                    taken.update(group)
                    break
    return found


def collected(row: Op, count: int) -> list[Case]:
    """Return many examples at once, for what is too slow to be done one by one: they are compiled together."""
    found: list[Case] = []

    @settings(max_examples=count, derandomize=True, database=None, phases=[Phase.generate])
    @given(cases(row))
    def collect(case: Case) -> None:
        found.append(case)

    collect()
    return found
