"""What the tests of training have in common: three classes of points, a network that tells them apart, one fit."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

import neurenix
from neurenix.data import TensorDataset
from neurenix.nn import CrossEntropyLoss, Dropout, Linear, ReLU, Sequential
from neurenix.optim import Adam
from neurenix.training import (
    History,
    fit,
)


def blobs(count: int = 120, seed: int = 0) -> TensorDataset:
    """Three classes of points that a small network tells apart."""
    random = np.random.default_rng(seed)
    labels = random.integers(3, size=count)
    centres = np.array([[2.0, 0.0], [-1.0, 2.0], [-1.0, -2.0]])
    points = centres[labels] + random.normal(scale=0.4, size=(count, 2))
    return TensorDataset(points.astype(np.float32), labels)


def classifier(seed: int = 0) -> Sequential:
    neurenix.manual_seed(seed)
    return Sequential(Linear(2, 16), ReLU(), Dropout(0.1), Linear(16, 3))


def weights(model: Any) -> str:
    digest = hashlib.sha256()
    for name, array in model.state_dict().items():
        digest.update(name.encode() + array.tobytes())
    return digest.hexdigest()


def train(model: Any, **options: Any) -> History:
    """Fit with what the tests have in common; options replace it."""
    optimizer = options.pop("optimizer", None) or Adam(model.parameters(), lr=0.02)
    given: dict[str, Any] = {"data": blobs(), "loss": CrossEntropyLoss(), "epochs": 3, "seed": 1, "progress": "none"}
    return fit(model, optimizer=optimizer, **{**given, **options})
