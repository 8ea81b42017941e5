"""Changes of a tensor's dtype, under PyTorch's names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurenix.dtypes import DType
from neurenix.dtypes import dtype as as_dtype
from neurenix.tensor.methods import Methods

if TYPE_CHECKING:
    from neurenix.tensor.tensor import Tensor


class CastingMethods(Methods):
    """A class of its own: it has methods called float, int and bool."""

    def cast(self, dtype: str | DType) -> Tensor:
        """The same values in another dtype; floats are cut off towards zero."""
        return self.apply("cast", dtype=as_dtype(dtype).name)

    def type(self, dtype: str | DType) -> Tensor:
        """As `cast`, but the tensor itself when it has that dtype."""
        return self.lift(self) if as_dtype(dtype) == self.dtype else self.cast(dtype)  # type: ignore[arg-type]

    def type_as(self, other: Tensor) -> Tensor:
        return self.type(other.dtype)

    def float(self) -> Tensor:
        return self.type("float32")

    def double(self) -> Tensor:
        return self.type("float64")

    def half(self) -> Tensor:
        return self.type("float16")

    def long(self) -> Tensor:
        return self.type("int64")

    def int(self) -> Tensor:
        return self.type("int32")

    def bool(self) -> Tensor:
        return self.type("bool")
