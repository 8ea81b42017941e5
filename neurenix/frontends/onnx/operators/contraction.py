"""Operators that multiply and add along shared axes: MatMul, Gemm, Einsum, Det."""

from __future__ import annotations

from neurenix.errors import ModelError, UnsupportedError
from neurenix.frontends.onnx.operator import operator
from neurenix.tensor import Tensor, einsum


@operator("MatMul")
def matmul(a: Tensor, b: Tensor) -> Tensor:
    return a @ b


@operator("Gemm", since=7)
def gemm(
    a: Tensor, b: Tensor, c: Tensor | None = None, *,
    alpha: float = 1.0, beta: float = 1.0, transA: bool = False, transB: bool = False,
) -> Tensor:  # fmt: skip
    """Integers stay integers, so that alpha and beta are rounded to them as ONNX's own definition does."""
    if a.ndim != 2 or b.ndim != 2:
        raise ModelError(f"it multiplies matrices, got {list(a.shape)} and {list(b.shape)}")
    a, b = (a.mT if transA else a), (b.mT if transB else b)
    whole = a.dtype.numpy.kind in "iu"
    if alpha != 1 and b.traced is None:  # into the constant
        b = b * (int(alpha) if whole else alpha)
        alpha = 1.0
    y = a @ b
    if alpha != 1:
        y = y * (int(alpha) if whole else alpha)
    if c is None or beta == 0:
        return y
    return y + (c if beta == 1 else c * (int(beta) if whole else beta))


@operator("Einsum")
def contract(*inputs: Tensor, equation: str) -> Tensor:
    if not inputs:
        raise ModelError("it has no inputs")
    return einsum(equation, *inputs)


@operator("Det")
def det(x: Tensor) -> Tensor:
    """By the first row's cofactors, which for up to four rows is no more work than an elimination."""
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ModelError(f"it takes square matrices, got the shape {list(x.shape)}")
    rows = x.shape[-1]
    if not isinstance(rows, int) or rows > 4:
        raise UnsupportedError(f"a determinant of {rows} rows is not supported; up to 4 are")
    return _determinant(x, tuple(range(rows)))


def _determinant(x: Tensor, columns: tuple[int, ...]) -> Tensor:
    """Return the determinant of the last rows in some columns."""
    rows = x.shape[-1]
    assert isinstance(rows, int)
    row = rows - len(columns)
    total: Tensor | None = None
    for place, column in enumerate(columns):
        rest = columns[:place] + columns[place + 1 :]
        term = x[..., row, column]
        if rest:
            term = term * _determinant(x, rest)
        total = term if total is None else total - term if place % 2 else total + term
    if total is None:
        raise ModelError("it takes matrices of at least one row")
    return total
