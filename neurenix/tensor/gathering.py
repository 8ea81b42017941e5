"""Methods of Tensor that read and write at places which other tensors name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from neurenix import expr as ex
from neurenix.errors import GraphError
from neurenix.ops.shapes import axis_of, broadcast
from neurenix.tensor.indexing import as_indices
from neurenix.tensor.joining import SplittingMethods
from neurenix.tensor.methods import Operand

if TYPE_CHECKING:
    from neurenix.tensor.tensor import Tensor

_REDUCTIONS = {"sum": "add", "add": "add", "prod": "mul", "multiply": "mul", "amax": "max", "amin": "min"}


class GatheringMethods(SplittingMethods):
    """`index` may be a tensor, an array or a list of integers; negative ones count from the end."""

    def index_select(self, dim: int, index: Any) -> Tensor:
        """The places of an axis that a vector names."""
        return self.apply("gather", as_indices(index), axis=dim)

    def gather(self, dim: int, index: Any) -> Tensor:
        """One element for each index, as `torch.gather`; along other axes `index` may be shorter."""
        places = as_indices(index)
        return self._cut(dim, places).apply("gather_elements", places, axis=dim)

    def take_along_dim(self, indices: Any, dim: int | None = None) -> Tensor:
        """As `gather`, with the other axes broadcast."""
        if dim is None:
            return self.flatten().take_along_dim(as_indices(indices).flatten(), 0)
        places, at = as_indices(indices), axis_of(dim, self.ndim)
        theirs = tuple(a if i == at else b if a == 1 else a for i, (a, b) in enumerate(zip(places.shape, self.shape)))
        mine = tuple(a if i == at or a != 1 else b for i, (a, b) in enumerate(zip(self.shape, theirs)))
        return self.expand(mine).apply("gather_elements", places.expand(theirs), axis=at)

    def scatter(self, dim: int, index: Any, src: Operand, reduce: str | None = None) -> Tensor:
        """A copy with `src`, a tensor or a number, written where `index` says; "add" and "multiply" combine."""
        return self._scattered(dim, index, src, "none" if reduce is None else _reduction(reduce))

    def scatter_add(self, dim: int, index: Any, src: Operand) -> Tensor:
        return self._scattered(dim, index, src, "add")

    def scatter_reduce(self, dim: int, index: Any, src: Operand, reduce: str) -> Tensor:
        """A copy with `src` combined into it: "sum", "prod", "amax" or "amin"."""
        return self._scattered(dim, index, src, _reduction(reduce))

    def index_add(self, dim: int, index: Any, source: Operand, alpha: float = 1) -> Tensor:
        """A copy with the slices of `source` added to the places that a vector names."""
        given = self.lift(source)
        given = given if alpha == 1 else given * alpha
        return self.apply("scatter", as_indices(index), given, axis=dim, reduction="add")

    def index_copy(self, dim: int, index: Any, source: Operand) -> Tensor:
        """A copy with the slices of `source` in the places that a vector names."""
        return self.apply("scatter", as_indices(index), source, axis=dim)

    def index_fill(self, dim: int, index: Any, value: float) -> Tensor:
        """A copy with one number in the places that a vector names."""
        places, at = as_indices(index), axis_of(dim, self.ndim)
        shape = (*self.shape[:at], *places.shape, *self.shape[at + 1 :])
        return self.apply("scatter", places, self._number(value).expand(shape), axis=dim)

    def masked_fill(self, mask: Operand, value: Operand) -> Tensor:
        """A copy with `value` where the mask is true."""
        return self.lift_mask(mask).apply("where", value, self)  # type: ignore[arg-type]

    def masked_select(self, mask: Any) -> Tensor:
        """A vector of the elements where the mask is true; not while tracing."""
        condition = self.lift_mask(mask)
        shape = broadcast([condition.shape, self.shape], {})
        return self.expand(shape)[condition.expand(shape)]

    def tril(self, diagonal: int = 0) -> Tensor:
        """The last two axes with zeros above a diagonal."""
        return self._band(diagonal, lower=True)

    def triu(self, diagonal: int = 0) -> Tensor:
        """The last two axes with zeros below a diagonal."""
        return self._band(diagonal, lower=False)

    def diagonal(self, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
        """The elements (i, i + offset) of two axes, which become one at the end."""
        t = self.movedim((dim1, dim2), (-2, -1))
        rows, columns = t.shape[-2:]
        if not (isinstance(rows, int) and isinstance(columns, int)):
            raise GraphError(f"diagonal of axes {rows} and {columns}: their sizes must be known")
        count = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
        places = np.arange(count)
        return t[..., places + max(-offset, 0), places + max(offset, 0)]

    def one_hot(self, num_classes: int) -> Tensor:
        """A new last axis that is 1 at the place that each element names, 0 elsewhere."""
        expr = ex.where(ex.call("eq", ex.operand(0), ex.operand(1)), 1, 0)
        return self.unsqueeze(-1).map(expr, as_indices(np.arange(num_classes)).cast(self.dtype.name))

    def lift_mask(self, mask: Operand) -> Tensor:
        """Return a condition as a bool tensor."""
        from neurenix.tensor.tensor import Tensor  # it inherits from the methods above

        t = mask if isinstance(mask, Tensor) else Tensor(np.asarray(mask))
        return t if t.dtype.name == "bool" else t.cast("bool")

    def _number(self, value: float) -> Tensor:
        from neurenix.tensor.tensor import Tensor  # it inherits from the methods above

        return Tensor(np.asarray(value, dtype=self.dtype.numpy))

    def _cut(self, dim: int, places: Tensor) -> Tensor:
        """Shorten the other axes to those of the indices."""
        at, t = axis_of(dim, self.ndim), self.lift(self)  # type: ignore[arg-type]
        if places.ndim != self.ndim:
            raise GraphError(f"indices of shape {list(places.shape)} have another rank than {list(self.shape)}")
        for axis, (mine, theirs) in enumerate(zip(self.shape, places.shape)):
            if axis != at and mine != theirs:
                t = t.narrow(axis, 0, theirs)
        return t

    def _scattered(self, dim: int, index: Any, src: Operand, reduction: str) -> Tensor:
        places, at = as_indices(index), axis_of(dim, self.ndim)
        given = self._number(src).expand(places.shape) if isinstance(src, (int, float)) else self.lift(src)
        for axis, (mine, theirs) in enumerate(zip(given.shape, places.shape)):
            if mine != theirs:
                given = given.narrow(axis, 0, theirs)
        shorter = [a for a in range(self.ndim) if a != at and self.shape[a] != places.shape[a]]
        if not shorter:
            return self.apply("scatter_elements", places, given, axis=at, reduction=reduction)
        part = self._cut(at, places).apply("scatter_elements", places, given, axis=at, reduction=reduction)
        return self.apply("place", part, starts=(0,) * self.ndim)

    def _band(self, diagonal: int, lower: bool) -> Tensor:
        from neurenix.tensor.creation import arange

        rows, columns = arange(self.shape[-2]).unsqueeze(1), arange(self.shape[-1])
        past = ex.call("le", ex.operand(1) - ex.operand(0), diagonal) if lower else (
            ex.call("le", diagonal, ex.operand(1) - ex.operand(0))
        )  # fmt: skip
        return rows.map(past, columns, dtype="bool").apply("where", self, self._number(0))  # type: ignore[arg-type]


def _reduction(name: str) -> str:
    if name not in _REDUCTIONS:
        raise GraphError(f"reduction '{name}' is none of {', '.join(_REDUCTIONS)}")
    return _REDUCTIONS[name]
