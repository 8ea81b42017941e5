"""Methods of Tensor in which an element depends on all elements along an axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurenix.tensor.methods import Methods

if TYPE_CHECKING:
    from neurenix.tensor.tensor import Tensor


class NormalizationMethods(Methods):
    """Softmax and its kin."""

    def softmax(self, dim: int = -1) -> Tensor:
        return self.apply("softmax", axis=dim)

    def log_softmax(self, dim: int = -1) -> Tensor:
        return self.apply("log_softmax", axis=dim)
