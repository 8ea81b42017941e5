"""Methods of Tensor that multiply and add along shared axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neurenix.tensor.methods import Methods, Operand

if TYPE_CHECKING:
    from neurenix.tensor.tensor import Tensor


class ContractionMethods(Methods):
    """Matrix products and convolutions."""

    def __matmul__(self, other: Operand) -> Tensor:
        return self.apply("matmul", other)

    def conv2d(self, weight: Operand, **window: Any) -> Tensor:
        return self.apply("conv2d", weight, **window)

    def im2col(self, **window: Any) -> Tensor:
        return self.apply("im2col", **window)

    def col2im(self, **window: Any) -> Tensor:
        return self.apply("col2im", **window)
