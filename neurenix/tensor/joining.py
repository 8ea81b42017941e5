"""Joining tensors, and taking them apart again: cat, stack, split, chunk, unbind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from neurenix.dims import Size, least
from neurenix.errors import GraphError, InputError
from neurenix.ops.shapes import axis_of
from neurenix.tensor.indexing import IndexingMethods

if TYPE_CHECKING:
    from neurenix.tensor.tensor import Tensor


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Join tensors along an axis; they have one shape but for that axis, and take the widest of their dtypes."""
    if not tensors:
        raise GraphError("cat needs at least one tensor")
    first, *others = tensors
    return first.apply("concat", *others, axis=dim)


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Join tensors of one shape along a new axis."""
    if not tensors:
        raise GraphError("stack needs at least one tensor")
    at = axis_of(dim, tensors[0].ndim + 1)
    return cat([t.unsqueeze(at) for t in tensors], at)


def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """Join side by side: along axis 1, or 0 for vectors."""
    return cat(tensors, 0 if tensors and tensors[0].ndim < 2 else 1)


def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """Join one below the other; vectors become rows."""
    return cat([t.unsqueeze(0) if t.ndim < 2 else t for t in tensors], 0)


class SplittingMethods(IndexingMethods):
    """The way back: parts of a tensor along an axis."""

    def __iter__(self) -> Iterator[Tensor]:
        if not self.shape:
            raise InputError("a tensor without axes cannot be iterated")
        return iter(self.unbind(0))

    def select(self, dim: int, index: int) -> Tensor:
        """One place of an axis, without that axis."""
        at = axis_of(dim, self.ndim)
        return self[tuple([slice(None)] * at) + (index,)]

    def split(self, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
        """Parts of `split_size` each, the last one maybe smaller, or of the sizes given."""
        n = self._counted(dim, "split")
        if isinstance(split_size, int):
            if split_size < 1:
                raise GraphError(f"split takes parts of 1 or more, got {split_size}")
            lengths = [min(split_size, n - start) for start in range(0, n, split_size)] or [0]
        else:
            lengths = list(split_size)
            if sum(lengths) != n or min(lengths, default=0) < 0:
                raise GraphError(f"split: the sizes {tuple(split_size)} do not add up to {n}")
        starts = [sum(lengths[:i]) for i in range(len(lengths))]
        return tuple(self.narrow(dim, start, length) for start, length in zip(starts, lengths))

    def chunk(self, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
        """At most `chunks` parts of one size, the last one maybe smaller."""
        if chunks < 1:
            raise GraphError(f"chunk makes 1 part or more, got {chunks}")
        return self.split(max(1, -(-self._counted(dim, "chunk") // chunks)), dim)

    def unbind(self, dim: int = 0) -> tuple[Tensor, ...]:
        """One tensor for each place along an axis, without that axis."""
        return tuple(self.select(dim, i) for i in range(self._counted(dim, "unbind")))

    def narrow(self, dim: int, start: Size, length: Size) -> Tensor:
        """`length` places of an axis from `start` on."""
        at = axis_of(dim, self.ndim)
        n = self.shape[at]
        if isinstance(start, int) and start < 0:
            start = n + start
        if least(start) < 0 or least(length) < 0 or least(n - start - length) < 0:
            raise GraphError(f"narrow: {length} from {start} on leaves an axis of {n}")
        return self.narrow_to(at, start, start + length)

    def narrow_to(self, dim: int, start: Size | None, stop: Size | None, step: int = 1) -> Tensor:
        """Slice one axis: `x[start:stop:step]` there, everything elsewhere."""
        at = axis_of(dim, self.ndim)
        return self[tuple([slice(None)] * at) + (slice(start, stop, step),)]

    def _counted(self, dim: int, what: str) -> int:
        n = self.shape[axis_of(dim, self.ndim)]
        if not isinstance(n, int):
            raise GraphError(f"{what} along an axis of '{n}' would make a number of tensors that is not known yet")
        return n
