"""Methods of Tensor that slide a window over an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neurenix.tensor.methods import Methods, Operand

if TYPE_CHECKING:
    from neurenix.tensor.tensor import Tensor


class WindowMethods(Methods):
    """Pooling, and what its gradients are made of."""

    def max_pool2d(self, **window: Any) -> Tensor:
        return self.apply("max_pool2d", **window)

    def max_pool2d_scatter(self, gradient: Operand, **window: Any) -> Tensor:
        return self.apply("max_pool2d_scatter", gradient, **window)

    def max_pool2d_gather(self, values: Operand, **window: Any) -> Tensor:
        return self.apply("max_pool2d_gather", values, **window)
