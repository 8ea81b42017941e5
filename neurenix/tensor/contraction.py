"""Methods of Tensor that multiply and add along shared axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurenix.errors import GraphError
from neurenix.tensor.convolution import ConvolutionMethods
from neurenix.tensor.methods import Operand

if TYPE_CHECKING:
    from neurenix.tensor.tensor import Tensor


class ContractionMethods(ConvolutionMethods):
    """Matrix products."""

    def __matmul__(self, other: Operand) -> Tensor:
        return self.matmul(other)

    def __rmatmul__(self, other: Operand) -> Tensor:
        return self.lift(other).matmul(self)  # type: ignore[arg-type]

    def matmul(self, other: Operand) -> Tensor:
        """The matrix product, leading axes broadcast; a vector is a row on the left and a column on the right.

        Raises GraphError for a number and where the inner sizes differ.
        """
        a, b = self.lift(self), self.lift(other)  # type: ignore[arg-type]
        if not a.ndim or not b.ndim:
            raise GraphError(f"matmul multiplies vectors and matrices, got {list(a.shape)} and {list(b.shape)}")
        row, column = a.ndim == 1, b.ndim == 1
        a = a.reshape((1, *a.shape)) if row else a
        b = b.reshape((*b.shape, 1)) if column else b
        y = a.apply("matmul", b)
        if not (row or column):
            return y
        return y.reshape((*y.shape[:-2], *(() if row else y.shape[-2:-1]), *(() if column else y.shape[-1:])))

    def linear(self, weight: Operand, bias: Operand) -> Tensor:
        """self times the transpose of `weight` (out, in), plus `bias` (out,)."""
        w, b = self.lift(weight), self.lift(bias)
        if self.traced is None and w.traced is None and b.traced is None and self.dtype.numpy.kind == "f":
            return self.apply("linear", w, b)
        return self.matmul(w.transpose(0, 1)) + b

    def mm(self, mat2: Operand) -> Tensor:
        """The product of two matrices."""
        return _of_ranks("mm", self.lift(self), 2, self.lift(mat2), 2)  # type: ignore[arg-type]

    def bmm(self, mat2: Operand) -> Tensor:
        """The products of two batches of matrices of one length."""
        a, b = self.lift(self), self.lift(mat2)  # type: ignore[arg-type]
        if a.shape[:1] != b.shape[:1]:
            raise GraphError(f"bmm does not broadcast: the batches have {a.shape[:1]} and {b.shape[:1]} matrices")
        return _of_ranks("bmm", a, 3, b, 3)

    def mv(self, vec: Operand) -> Tensor:
        """The product of a matrix and a vector."""
        return _of_ranks("mv", self.lift(self), 2, self.lift(vec), 1)  # type: ignore[arg-type]

    def dot(self, tensor: Operand) -> Tensor:
        """The inner product of two vectors."""
        return _of_ranks("dot", self.lift(self), 1, self.lift(tensor), 1)  # type: ignore[arg-type]

    def outer(self, vec2: Operand) -> Tensor:
        """Every product of an element of one vector by one of another."""
        a, b = self.lift(self), self.lift(vec2)  # type: ignore[arg-type]
        if a.ndim != 1 or b.ndim != 1:
            raise GraphError(f"outer multiplies two vectors, got {list(a.shape)} and {list(b.shape)}")
        return a.reshape((*a.shape, 1)) * b

    def addmm(self, mat1: Operand, mat2: Operand, *, beta: float = 1, alpha: float = 1) -> Tensor:
        """beta * self + alpha * (mat1 times mat2)."""
        return _added(self.lift(self), self.lift(mat1).mm(mat2), beta, alpha)  # type: ignore[arg-type]

    def baddbmm(self, batch1: Operand, batch2: Operand, *, beta: float = 1, alpha: float = 1) -> Tensor:
        """beta * self + alpha * (batch1 times batch2)."""
        return _added(self.lift(self), self.lift(batch1).bmm(batch2), beta, alpha)  # type: ignore[arg-type]

    def im2col(self, **window: object) -> Tensor:
        return self.apply("im2col", **window)

    def col2im(self, **window: object) -> Tensor:
        return self.apply("col2im", **window)


def _of_ranks(name: str, a: Tensor, rank: int, b: Tensor, other: int) -> Tensor:
    if (a.ndim, b.ndim) != (rank, other):
        raise GraphError(f"{name} takes ranks {rank} and {other}, got {list(a.shape)} and {list(b.shape)}; see matmul")
    return a.matmul(b)


def _added(to: Tensor, product: Tensor, beta: float, alpha: float) -> Tensor:
    if alpha != 1:
        product = product * alpha
    return product + (to if beta == 1 else to * beta) if beta else product
