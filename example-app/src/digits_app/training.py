"""Trains the digit reader. The build calls `train`, as pyproject.toml says, unless its result is cached."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import neurenix
from digits_app.augmentation import augment
from digits_app.model import build_logits, with_probabilities
from neurenix.data import DataLoader, TensorDataset
from neurenix.nn import CrossEntropyLoss
from neurenix.optim import Adam
from neurenix.optim.lr_scheduler import LambdaLR
from neurenix.training import Trained, fit

DATA = Path(__file__).parents[2] / "data" / "digits.npz"
HELD_OUT = 500

Images = NDArray[np.float32]
Labels = NDArray[np.int64]


def train(epochs: int = 10, seed: int = 0, batch_size: int = 50, learning_rate: float = 0.004) -> Trained:
    """Train on 4,500 of the images and report the accuracy on the other 500, which training never sees.

    Prints one line for each epoch. The same arguments give the same model.
    """
    neurenix.manual_seed(seed)
    images, labels = load_data()
    loader = DataLoader(TensorDataset(images[:-HELD_OUT], labels[:-HELD_OUT]), batch_size, shuffle=True, transform=bend)
    model = build_logits()
    optimizer = Adam(model.parameters(), lr=learning_rate)
    steps = epochs * len(loader)
    history = fit(
        model,
        loader,
        CrossEntropyLoss(),
        optimizer,
        epochs,
        validation=(images[-HELD_OUT:], labels[-HELD_OUT:]),
        metrics="accuracy",
        scheduler=LambdaLR(optimizer, lambda step: warm_up_and_decay(step, steps)),
        step_scheduler="batch",
    )
    return Trained(with_probabilities(model), metrics={"test accuracy": history["validation_accuracy"][-1]})


def load_data() -> tuple[Images, Labels]:
    """Return images `(5000, 1, 28, 28)`, values 0 to 1, and labels `(5000,)`, in the file's shuffled order."""
    with np.load(DATA) as file:
        return file["images"].astype(np.float32)[:, None] / 255, file["labels"].astype(np.int64)


def bend(batch: tuple[Images, Labels], random: np.random.Generator) -> tuple[Images, Labels]:
    """Return a batch whose images are changed as other hands would have drawn them."""
    images, labels = batch
    return augment(images[:, 0], random)[:, None], labels


def warm_up_and_decay(step: int, steps: int) -> float:
    """Return the learning rate's factor: up for the first tenth of the steps, then down to 0 as a cosine."""
    warm_up = steps / 10
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + float(np.cos(np.pi * (step - warm_up) / (steps - warm_up))))
