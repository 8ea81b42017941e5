"""Comparisons, conditions and bits of Tensor, and the Python number that a tensor of one element is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from neurenix.errors import GraphError
from neurenix.tensor.methods import Methods, Operand

if TYPE_CHECKING:
    from neurenix.tensor.tensor import Tensor


class ComparisonMethods(Methods):
    """Comparisons are made element by element and give bool tensors, `==` too; tensors hash by identity."""

    def __eq__(self, other: object) -> Any:
        return self.apply("eq", other) if _comparable(other) else NotImplemented  # type: ignore[arg-type]

    def __ne__(self, other: object) -> Any:
        return self.apply("ne", other) if _comparable(other) else NotImplemented  # type: ignore[arg-type]

    def __hash__(self) -> int:
        return id(self)

    def __lt__(self, other: Any) -> Tensor:
        return self.apply("lt", other)

    def __le__(self, other: Any) -> Tensor:
        return self.apply("le", other)

    def __gt__(self, other: Any) -> Tensor:
        return self.apply("gt", other)

    def __ge__(self, other: Any) -> Tensor:
        return self.apply("ge", other)

    def __and__(self, other: Operand) -> Tensor:
        return self.bitwise_and(other)

    def __rand__(self, other: Operand) -> Tensor:
        return self.bitwise_and(other)

    def __or__(self, other: Operand) -> Tensor:
        return self.bitwise_or(other)

    def __ror__(self, other: Operand) -> Tensor:
        return self.bitwise_or(other)

    def __xor__(self, other: Operand) -> Tensor:
        return self.bitwise_xor(other)

    def __rxor__(self, other: Operand) -> Tensor:
        return self.bitwise_xor(other)

    def __invert__(self) -> Tensor:
        return self.bitwise_not()

    def __lshift__(self, other: Operand) -> Tensor:
        return self.apply("bitwise_left_shift", other)

    def __rshift__(self, other: Operand) -> Tensor:
        return self.apply("bitwise_right_shift", other)

    def __bool__(self) -> bool:
        return bool(self._only("bool"))

    def __float__(self) -> float:
        return float(self._only("float"))

    def __int__(self) -> int:
        return int(self._only("int"))

    def __index__(self) -> int:
        if self.dtype.numpy.kind not in "iu":
            raise TypeError(f"a tensor of {self.dtype} is no index: only whole numbers are")
        return int(self._only("index"))

    def _only(self, what: str) -> Any:
        array = self.lift(self).numpy()  # type: ignore[arg-type]
        if array.size != 1:
            hint = ": use .any() or .all()" if what == "bool" else ""
            raise GraphError(f"{what}() takes a tensor of one element, not of shape {list(self.shape)}{hint}")
        return array.item()

    def eq(self, other: Operand) -> Tensor:
        return self.apply("eq", other)

    def ne(self, other: Operand) -> Tensor:
        return self.apply("ne", other)

    def lt(self, other: Operand) -> Tensor:
        return self.apply("lt", other)

    def le(self, other: Operand) -> Tensor:
        return self.apply("le", other)

    def gt(self, other: Operand) -> Tensor:
        return self.apply("gt", other)

    def ge(self, other: Operand) -> Tensor:
        return self.apply("ge", other)

    def logical_and(self, other: Operand) -> Tensor:
        return self.apply("logical_and", other)

    def logical_or(self, other: Operand) -> Tensor:
        return self.apply("logical_or", other)

    def logical_xor(self, other: Operand) -> Tensor:
        return self.apply("logical_xor", other)

    def logical_not(self) -> Tensor:
        return self.apply("logical_not")

    def bitwise_and(self, other: Operand) -> Tensor:
        return self._combined("and", other)

    def bitwise_or(self, other: Operand) -> Tensor:
        return self._combined("or", other)

    def bitwise_xor(self, other: Operand) -> Tensor:
        return self._combined("xor", other)

    def _combined(self, how: str, other: Operand) -> Tensor:
        """Combine bits; conditions as conditions, which compiled code keeps as masks."""
        by = self.lift(other)
        conditions = self.dtype.name == by.dtype.name == "bool"
        return self.apply(f"logical_{how}" if conditions else f"bitwise_{how}", by)

    def bitwise_left_shift(self, other: Operand) -> Tensor:
        return self.apply("bitwise_left_shift", other)

    def bitwise_right_shift(self, other: Operand) -> Tensor:
        return self.apply("bitwise_right_shift", other)

    def bitwise_not(self) -> Tensor:
        """Every bit the other way; of a bool, the other value."""
        return self.apply("logical_not" if self.dtype.name == "bool" else "bitwise_not")

    def isnan(self) -> Tensor:
        return self.apply("isnan")

    def isinf(self) -> Tensor:
        return self.apply("isinf")

    def isfinite(self) -> Tensor:
        return self.apply("isfinite")

    def isclose(self, other: Operand, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
        """Whether |self - other| <= atol + rtol * |other|."""
        by = self.lift(other)
        distance = (by - self).abs()  # type: ignore[operator]
        near = self.eq(by) | (distance <= by.abs() * rtol + atol) & by.isfinite()
        return near | (self.isnan() & by.isnan()) if equal_nan else near

    def where(self, condition: Tensor, other: Operand) -> Tensor:
        """These elements where the condition holds, those of `other` elsewhere."""
        return condition.apply("where", self, other)  # type: ignore[arg-type]


def _comparable(other: object) -> bool:
    return isinstance(other, (Methods, np.ndarray, np.generic, int, float))
