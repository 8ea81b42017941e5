"""The network: two convolutions, each halving the picture, and one layer that decides."""

from __future__ import annotations

from neurenix.nn import BatchNorm2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU, Sequential, Softmax


def build_logits() -> Sequential:
    """Return the layers that are trained: images `(batch, 1, 28, 28)` to ten scores `(batch, 10)`."""
    return Sequential(
        Conv2d(1, 16, 3, padding=1),
        BatchNorm2d(16),
        ReLU(),
        MaxPool2d(2),
        Conv2d(16, 32, 3, padding=1),
        BatchNorm2d(32),
        ReLU(),
        MaxPool2d(2),
        Flatten(),
        Dropout(0.3),
        Linear(32 * 7 * 7, 10),
    )


def with_probabilities(logits: Sequential) -> Sequential:
    """Return the same layers, sharing their parameters, followed by a softmax: what a page shows."""
    return Sequential(*logits, Softmax(dim=-1))
