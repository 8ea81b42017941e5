"""Methods of Tensor that put elements in order, or take one by its place in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, cast, overload

import numpy as np

from neurenix.dims import Size, least
from neurenix.errors import GraphError
from neurenix.ops.shapes import axis_of
from neurenix.tensor.methods import Methods

if TYPE_CHECKING:
    from neurenix.tensor.tensor import Tensor

# Between the elements before and behind a quantile: where from the one to the other it lies.
_INTERPOLATION: dict[str, Callable[[float], float]] = {
    "linear": lambda fraction: fraction,
    "lower": lambda fraction: 0.0,
    "higher": lambda fraction: float(fraction > 0),
    "midpoint": lambda fraction: 0.5 if fraction > 0 else 0.0,
}


class ValuesIndices(NamedTuple):
    """Elements, and where they were along the axis that was searched or sorted."""

    values: Tensor
    indices: Tensor


def _tensor(methods: Methods) -> Tensor:
    return cast("Tensor", methods)


class OrderingMethods(Methods):
    """NaN counts as the largest element; equal ones stay in their order."""

    def argsort(self, dim: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
        """The positions of the elements in sorted order. It is always stable; NaN counts as the largest."""
        return self.apply("argsort", axis=dim, descending=descending)

    def sort(self, dim: int = -1, descending: bool = False, stable: bool = True) -> ValuesIndices:
        """The elements in sorted order, and where they were. It is always stable; NaN counts as the largest."""
        return self.taken(dim, self.argsort(dim, descending))

    def topk(self, k: Size, dim: int = -1, largest: bool = True, sorted: bool = True) -> ValuesIndices:
        """The `k` largest or smallest elements along `dim`, and where they were; always the first one first."""
        if not self.ndim:
            one = _tensor(self).reshape(1).topk(k, 0, largest)
            return ValuesIndices(one.values.reshape(()), one.indices.reshape(()))
        size = self.shape[axis_of(dim, self.ndim)]
        if least(k) < 0 or (isinstance(k, int) and isinstance(size, int) and k > size):
            raise GraphError(f"topk cannot take {k} elements along axis {dim} of {size}")
        return self.taken(dim, self.argsort(dim, largest).narrow_to(dim, 0, k))

    def kthvalue(self, k: int, dim: int = -1, keepdim: bool = False) -> ValuesIndices:
        """The `k`-th smallest element along `dim`, from 1 on, and where it was."""
        n = self.shape[axis_of(dim, self.ndim)] if self.ndim else 1
        if k < 1 or (isinstance(n, int) and k > n):
            raise GraphError(f"kthvalue cannot take the element {k} of an axis of {n}: the first one is 1")
        order = self.argsort(dim)
        return self.taken(dim, order.narrow(dim, k - 1, 1) if self.ndim else order, keepdim)

    @overload
    def median(self, dim: None = None, keepdim: bool = False) -> Tensor: ...
    @overload
    def median(self, dim: int, keepdim: bool = False) -> ValuesIndices: ...

    def median(self, dim: int | None = None, keepdim: bool = False) -> Tensor | ValuesIndices:
        """The element in the middle of all, the lower of two; along `dim` with its index. NaN where one is NaN.

        Without `dim`, equal elements share the gradient.
        """
        x = _tensor(self)
        if dim is None:
            found = x.detach().reshape(-1).median(0).values
            whole = self.dtype.numpy.kind != "f"
            middle = found if whole else x.where((x > found).logical_not(), -math.inf).amax()
            return middle.reshape((1,) * self.ndim) if keepdim else middle
        order = self.argsort(dim)
        if not self.ndim:
            return self.taken(dim, order, keepdim)
        n = self.shape[axis_of(dim, self.ndim)]
        if n == 0:
            raise GraphError(f"nothing is in the middle of none: {list(self.shape)} is empty along axis {dim}")
        if isinstance(n, int):
            middle = order.narrow(dim, (n - 1) // 2, 1)
        else:  # counted where the size is known
            middle = order.gather(dim, ((order * 0 + 1).sum(dim, keepdim=True) - 1) // 2)
        if self.dtype.numpy.kind == "f":
            nan = x.isnan()
            middle = nan.cast("uint8").argmax(dim, keepdim=True).where(nan.any(dim, keepdim=True), middle)
        return self.taken(dim, middle, keepdim)

    def quantile(
        self,
        q: float | Sequence[float] | Tensor,
        dim: int | None = None,
        keepdim: bool = False,
        *,
        interpolation: str = "linear",
    ) -> Tensor:
        """The values below which a share `q` of the elements lies, of all or along `dim`. NaN where one is NaN.

        Several shares make a first axis of their own. Between two elements it is where `interpolation` says: "linear",
        "lower", "higher", "midpoint" or "nearest".
        """
        x, shares = _tensor(self), np.asarray(q.numpy() if isinstance(q, Methods) else q, np.float64)
        if dim is None:
            rows = x.reshape(-1).quantile(q, 0, interpolation=interpolation)
            return rows.reshape((*shares.shape, *(1,) * self.ndim)) if keepdim else rows
        if not self.ndim:
            return x.reshape(1).quantile(q, 0, interpolation=interpolation)
        if shares.ndim > 1 or not ((shares >= 0) & (shares <= 1)).all():
            raise GraphError(f"quantile takes a share from 0 to 1, or a list of them, not {shares.tolist()}")
        at = axis_of(dim, self.ndim)
        n = self.shape[at]
        if not isinstance(n, int) or n == 0:
            raise GraphError(f"quantile along an axis of '{n}': its size must be known, and not 0")
        values = x.sort(at).values
        last = values.narrow(at, n - 1, 1)
        results = []
        for share in shares.reshape(-1):
            before, part = _place(float(share) * (n - 1), interpolation)
            y = values.narrow(at, before, 1)
            y = y + (values.narrow(at, before + 1, 1) - y) * part if part else y
            y = last.where(last.isnan(), y)
            results.append(y if keepdim else y.squeeze(at))
        from neurenix.tensor.joining import stack  # it joins tensors, which inherit from the methods here

        return stack(results) if shares.ndim else results[0]

    def taken(self, dim: int, indices: Tensor, keepdim: bool = True) -> ValuesIndices:
        """Take the elements at some positions along an axis; a scalar's is itself."""
        x = _tensor(self)
        if not self.ndim:
            return ValuesIndices(x, indices)
        values = x.gather(dim, indices)
        if keepdim:
            return ValuesIndices(values, indices)
        at = axis_of(dim, self.ndim)
        shape: tuple[Size, ...] = tuple(s for a, s in enumerate(self.shape) if a != at)
        return ValuesIndices(values.reshape(shape), indices.reshape(shape))


def _place(rank: float, interpolation: str) -> tuple[int, float]:
    """Return the element that a rank among sorted ones follows, and how far it lies on the way to the next one."""
    if interpolation == "nearest":
        return round(rank), 0.0
    if interpolation not in _INTERPOLATION:
        known = ", ".join([*_INTERPOLATION, "nearest"])
        raise GraphError(f"there is no interpolation '{interpolation}'; there are {known}")
    before = math.floor(rank)
    return before, _INTERPOLATION[interpolation](rank - before)
