"""Methods of Tensor that make many elements one, or scan them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast, overload

from neurenix import expr as ex
from neurenix.dims import Shape
from neurenix.errors import GraphError
from neurenix.tensor.methods import Dims, Methods, axes_of
from neurenix.tensor.ordering import OrderingMethods, ValuesIndices

if TYPE_CHECKING:
    from neurenix.tensor.tensor import Tensor

_X = ex.operand(0)
_FINITE_OR_0 = ex.where(ex.call("eq", _X - _X, 0), _X, 0)  # infinity - infinity is no number
_ROOT = ex.where(ex.call("eq", _X, 0), 0, ex.sqrt(_X))  # without the infinite slope at 0
_NOT_0 = ex.call("not", ex.call("eq", _X, 0))


def _tensor(methods: Methods) -> Tensor:
    return cast("Tensor", methods)


class ReductionMethods(OrderingMethods):
    """`dim` is an axis, several, or None for all; `keepdim` keeps them as 1."""

    def sum(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """The sum; integers and bool add up in int64."""
        return self.apply("sum", axes=axes_of(dim), keepdims=keepdim)

    def mean(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """The sum divided by the number of elements; integers and bool become float32."""
        x = self if self.dtype.numpy.kind == "f" else _tensor(self).cast("float32")
        return x.apply("mean", axes=axes_of(dim), keepdims=keepdim)

    def prod(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """The product; integers and bool multiply in int64."""
        return self.apply("prod", axes=axes_of(dim), keepdims=keepdim)

    def amax(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """The largest element; equal ones share the gradient."""
        return self.apply("max", axes=axes_of(dim), keepdims=keepdim)

    def amin(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """The smallest element; equal ones share the gradient."""
        return self.apply("min", axes=axes_of(dim), keepdims=keepdim)

    @overload
    def max(self, dim: None = None, keepdim: bool = False) -> Tensor: ...
    @overload
    def max(self, dim: int, keepdim: bool = False) -> ValuesIndices: ...
    @overload
    def max(self, dim: Tensor) -> Tensor: ...

    def max(self, dim: int | Tensor | None = None, keepdim: bool = False) -> Tensor | ValuesIndices:
        """The largest element of all; along `dim` with its index, the first of equal ones; or of two tensors."""
        return self._extreme("max", dim, keepdim)

    @overload
    def min(self, dim: None = None, keepdim: bool = False) -> Tensor: ...
    @overload
    def min(self, dim: int, keepdim: bool = False) -> ValuesIndices: ...
    @overload
    def min(self, dim: Tensor) -> Tensor: ...

    def min(self, dim: int | Tensor | None = None, keepdim: bool = False) -> Tensor | ValuesIndices:
        """The smallest element of all; along `dim` with its index, the first of equal ones; or of two tensors."""
        return self._extreme("min", dim, keepdim)

    def any(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """Whether some element is not 0."""
        return self.apply("any", axes=axes_of(dim), keepdims=keepdim)

    def all(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """Whether no element is 0."""
        return self.apply("all", axes=axes_of(dim), keepdims=keepdim)

    def argmax(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """The position of the largest element, the first of equal ones; without `dim`, in all of them in order."""
        return self._position("argmax", dim, keepdim)

    def argmin(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """The position of the smallest element, the first of equal ones; without `dim`, in all of them in order."""
        return self._position("argmin", dim, keepdim)

    def var(
        self, dim: Dims = None, unbiased: bool = True, keepdim: bool = False, *, correction: int | None = None
    ) -> Tensor:
        """The variance: squared distances from the mean, divided by their number less `correction`.

        `unbiased` is short for a correction of 1; without it there is none.
        """
        less = int(unbiased) if correction is None else correction
        centred = _tensor(self) - self.mean(dim, keepdim=True)
        return (centred * centred).apply("mean", axes=axes_of(dim), keepdims=keepdim, correction=less)

    def std(
        self, dim: Dims = None, unbiased: bool = True, keepdim: bool = False, *, correction: int | None = None
    ) -> Tensor:
        """The standard deviation, the root of `var`; where it is 0 so is its gradient."""
        return self.var(dim, unbiased, keepdim, correction=correction).map(_ROOT)

    def norm(self, p: float | str = "fro", dim: Dims = None, keepdim: bool = False) -> Tensor:
        """The p-norm of all elements along `dim` as one vector: "fro" is p = 2; infinities are largest and smallest."""
        if p in ("fro", 2):
            return self.apply("l2_norm", axes=axes_of(dim), keepdims=keepdim)
        if p == 1:
            return self.apply("l1_norm", axes=axes_of(dim), keepdims=keepdim)
        if isinstance(p, str):
            raise GraphError(f"there is no norm {p!r}: it is a number, or 'fro' for 2")
        order = float(p)
        if order in (float("inf"), float("-inf")):
            size = _tensor(self).abs()
            return size.amax(dim, keepdim) if order > 0 else size.amin(dim, keepdim)
        if order == 0:
            return self.count_nonzero(dim, keepdim).cast(self.dtype.name)
        return (_tensor(self).abs() ** order).sum(dim, keepdim) ** (1 / order)

    def logsumexp(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """log(sum(exp(x))), without overflow."""
        top = self.amax(dim, keepdim=True).detach().map(_FINITE_OR_0)
        result = (_tensor(self) - top).exp().sum(dim, keepdim=True).log() + top
        return result if keepdim else result.sum(dim)

    def count_nonzero(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """The number of elements that are not 0, as int64."""
        return _tensor(self).map(_NOT_0, dtype="bool").sum(dim, keepdim)

    def cumsum(self, dim: int) -> Tensor:
        """The sum of the elements up to each, itself included."""
        return self.apply("cumsum", axis=dim)

    def cumprod(self, dim: int) -> Tensor:
        """The product of the elements up to each, itself included."""
        return self.apply("cumprod", axis=dim)

    def sum_to(self, shape: Shape) -> Tensor:
        """Sum over the axes along which `shape` was broadcast to this one: the transpose of `expand`."""
        if shape == self.shape:
            return _tensor(self)
        extra = self.ndim - len(shape)
        axes = [a for a in range(self.ndim) if a < extra or (shape[a - extra] == 1 and self.shape[a] != 1)]
        result = self.sum(axes, keepdim=not extra) if axes else _tensor(self)
        return result if result.shape == shape else result.reshape(shape)

    def _position(self, op: str, dim: int | None, keepdim: bool) -> Tensor:
        if dim is not None:
            return self.apply(op, axis=dim, keepdims=keepdim)
        result = _tensor(self).reshape(-1).apply(op, axis=0)
        return result.reshape((1,) * self.ndim) if keepdim else result

    def _extreme(self, op: str, dim: int | Tensor | None, keepdim: bool) -> Tensor | ValuesIndices:
        if dim is None:
            return self.apply(op, axes=None, keepdims=keepdim)
        if not isinstance(dim, int):
            return self.apply(f"{op}imum", dim)
        return self.taken(dim, self._position(f"arg{op}", dim, keepdim=True), keepdim)
