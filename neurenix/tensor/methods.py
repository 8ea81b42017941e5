"""What the method families of Tensor may count on: a way to apply an op of the table, and the tensor's shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Union

from neurenix.dims import Shape, Size
from neurenix.dtypes import DType
from neurenix.graph.graph import Array, Value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neurenix.tensor.tensor import Tensor

Operand = Union["Tensor", Array, float, int, bool]
Dims = Union[int, "Sequence[int]", None]


class Methods:
    """The parent of the method families. Tensor defines what is only declared here."""

    requires_grad: bool

    @property
    def shape(self) -> Shape:
        raise NotImplementedError

    @property
    def ndim(self) -> int:
        raise NotImplementedError

    @property
    def size(self) -> Size:
        raise NotImplementedError

    @property
    def dtype(self) -> DType:
        raise NotImplementedError

    def apply(self, op: str, *others: Operand, **attrs: Any) -> Tensor:
        """Run or record an op of the table with this tensor as its first input."""
        raise NotImplementedError

    @property
    def traced(self) -> Value | None:
        raise NotImplementedError

    def numpy(self) -> Array:
        raise NotImplementedError

    def _replace(self, result: Tensor) -> None:
        """Become another tensor, which whoever has used this one will notice."""
        raise NotImplementedError

    def lift(self, other: Operand) -> Tensor:
        """Return what stands beside this tensor in an operation as a tensor."""
        raise NotImplementedError


def axes_of(dim: Dims) -> tuple[int, ...] | None:
    """Turn PyTorch's `dim` into the table's `axes`."""
    return (dim,) if isinstance(dim, int) else None if dim is None else tuple(dim)
