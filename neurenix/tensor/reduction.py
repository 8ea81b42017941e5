"""Methods of Tensor that make many elements one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurenix.dims import Shape, product
from neurenix.errors import GraphError
from neurenix.tensor.methods import Dims, Methods, axes_of

if TYPE_CHECKING:
    from neurenix.tensor.tensor import Tensor


class ReductionMethods(Methods):
    """`dim` is an axis, several, or None for all; `keepdim` keeps them as 1."""

    def sum(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        return self.apply("sum", axes=axes_of(dim), keepdims=keepdim)

    def amax(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """The largest element; equal ones share the gradient."""
        return self.apply("max", axes=axes_of(dim), keepdims=keepdim)

    def mean(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        total = self.sum(dim, keepdim)
        count = product(self.shape) // product(total.shape)
        if not isinstance(count, int):
            raise GraphError("the mean over a symbolic dimension is not supported yet")
        return total * (1.0 / count)

    def sum_to(self, shape: Shape) -> Tensor:
        """Sum over the axes along which `shape` was broadcast to this one: the transpose of `expand`."""
        extra = self.ndim - len(shape)
        axes = [a for a in range(self.ndim) if a < extra or (shape[a - extra] == 1 and self.shape[a] != 1)]
        return (self.sum(axes) if axes else self.lift(self)).reshape(shape)  # type: ignore[arg-type]
