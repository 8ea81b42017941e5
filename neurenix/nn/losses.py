"""The losses as modules."""

from __future__ import annotations

from neurenix.nn import functional
from neurenix.nn.module import Module
from neurenix.tensor import Tensor


class CrossEntropyLoss(Module):
    """The mean of -log softmax(logits)[target]; logits (N, C), target (N,) class indices."""

    def forward(self, *inputs: Tensor) -> Tensor:
        logits, target = inputs
        return functional.cross_entropy(logits, target)


class MSELoss(Module):
    """The mean of (prediction - target)²."""

    def forward(self, *inputs: Tensor) -> Tensor:
        prediction, target = inputs
        return functional.mse_loss(prediction, target)
