"""In-place arithmetic of Tensor: the object stays, its values are new.

The array itself is never written to: what else holds it, a view, a NumPy array, the tape of an earlier result, keeps
the old values. A result whose gradient would need values that are gone refuses its backward pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from neurenix import autograd
from neurenix.errors import GraphError
from neurenix.tensor.methods import Methods, Operand

if TYPE_CHECKING:
    from neurenix.tensor.tensor import Tensor

Self = TypeVar("Self", bound="InPlaceMethods")


class InPlaceMethods(Methods):
    """`x += y` and PyTorch's methods that end in an underscore. Each returns the tensor itself."""

    def __iadd__(self: Self, other: Operand) -> Self:
        return self._become("__add__", other, "+=")

    def __isub__(self: Self, other: Operand) -> Self:
        return self._become("__sub__", other, "-=")

    def __imul__(self: Self, other: Operand) -> Self:
        return self._become("__mul__", other, "*=")

    def __itruediv__(self: Self, other: Operand) -> Self:
        return self._become("__truediv__", other, "/=")

    def __ifloordiv__(self: Self, other: Operand) -> Self:
        return self._become("__floordiv__", other, "//=")

    def __imod__(self: Self, other: Operand) -> Self:
        return self._become("__mod__", other, "%=")

    def __ipow__(self: Self, other: Operand) -> Self:
        return self._become("__pow__", other, "**=")

    def add_(self: Self, other: Operand) -> Self:
        return self._become("add", other, "add_")

    def sub_(self: Self, other: Operand) -> Self:
        return self._become("sub", other, "sub_")

    def mul_(self: Self, other: Operand) -> Self:
        return self._become("mul", other, "mul_")

    def div_(self: Self, other: Operand) -> Self:
        return self._become("div", other, "div_")

    def fill_(self: Self, value: float) -> Self:
        """Set every element to one number."""
        return self._take(_filled(self, value), "fill_")

    def zero_(self: Self) -> Self:
        return self._take(_filled(self, 0), "zero_")

    def copy_(self: Self, source: Operand) -> Self:
        """Take the values of another tensor or array, broadcast to this shape and cast to this dtype."""
        return self._take(self.lift(source).cast(self.dtype.name).expand(self.shape), "copy_")

    def clamp_(self: Self, min: Operand | None = None, max: Operand | None = None) -> Self:
        return self._take(self._before().clamp(min, max), "clamp_")

    def _become(self: Self, method: str, other: Operand, what: str) -> Self:
        self._check(what)
        before = self._before()
        return self._take(getattr(before, method)(before if other is self else other), what)

    def _before(self) -> Tensor:
        """Return what this tensor is now as one of its own: the history of what it becomes."""
        from neurenix.tensor.tensor import Tensor  # it inherits from the methods above

        assert isinstance(self, Tensor)
        before = Tensor(self, requires_grad=self.requires_grad)
        before.entry = self.entry
        return before

    def _check(self, what: str) -> None:
        if (
            getattr(self, "requires_grad", False)
            and getattr(self, "entry", None) is None
            and autograd.is_grad_enabled()
        ):
            raise GraphError(
                f"{what} would change a leaf that requires a gradient: do it inside no_grad(), or make a new tensor"
            )

    def _take(self: Self, result: Tensor, what: str) -> Self:
        self._check(what)
        if result.shape != self.shape:
            raise GraphError(f"{what} cannot turn the shape {list(self.shape)} into {list(result.shape)} in place")
        if result.dtype != self.dtype:
            raise GraphError(f"{what} cannot turn {self.dtype} into {result.dtype} in place: cast one of the two")
        self._replace(result)
        return self

    def _replace(self, result: Tensor) -> None:
        raise NotImplementedError


def _filled(like: InPlaceMethods, value: float) -> Tensor:
    return like.lift(np.asarray(value, dtype=like.dtype.numpy)).cast(like.dtype.name).expand(like.shape)
