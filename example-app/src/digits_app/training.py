"""Trains the digit reader. The build calls `train`, as pyproject.toml says, unless its result is cached."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import neurenix
from digits_app.augmentation import augment
from digits_app.model import build_logits, with_probabilities
from neurenix.nn import CrossEntropyLoss, Sequential
from neurenix.optim import Adam
from neurenix.training import Trained

DATA = Path(__file__).parents[2] / "data" / "digits.npz"
HELD_OUT = 500

Images = NDArray[np.float32]
Labels = NDArray[np.int64]


def train(epochs: int = 10, seed: int = 0, batch_size: int = 50, learning_rate: float = 0.004) -> Trained:
    """Train on 4,500 of the images and report the accuracy on the other 500, which training never sees.

    Prints one line for each epoch. The same arguments give the same model.
    """
    neurenix.manual_seed(seed)
    random = np.random.default_rng(seed)
    images, labels = load_data()
    held_out, images = images[-HELD_OUT:], images[:-HELD_OUT]
    held_out_labels, labels = labels[-HELD_OUT:], labels[:-HELD_OUT]
    model = build_logits()
    loss_of = CrossEntropyLoss()
    optimizer = Adam(model.parameters(), lr=learning_rate)
    steps = epochs * -(-len(images) // batch_size)
    step = 0
    accuracy = 0.0
    for epoch in range(1, epochs + 1):
        started = time.perf_counter()
        losses = []
        model.train()
        order = random.permutation(len(images))
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            optimizer.lr = learning_rate * warm_up_and_decay(step, steps)
            batch = neurenix.Tensor(augment(images[chosen], random)[:, None])
            loss = loss_of(model(batch), neurenix.Tensor(labels[chosen]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            step += 1
        accuracy = accuracy_of(model, held_out, held_out_labels)
        seconds = time.perf_counter() - started
        loss_text, accuracy_text = f"loss {np.mean(losses):.4f}", f"accuracy {accuracy:.2%}"
        print(f"epoch {epoch:2}/{epochs}  {loss_text}  {accuracy_text}  {seconds:.1f} s", flush=True)
    model.eval()
    return Trained(with_probabilities(model), metrics={"test accuracy": accuracy})


def load_data() -> tuple[Images, Labels]:
    """Return images `(5000, 28, 28)`, values 0 to 1, and labels `(5000,)`, in the file's shuffled order."""
    with np.load(DATA) as file:
        return file["images"].astype(np.float32) / 255, file["labels"].astype(np.int64)


def warm_up_and_decay(step: int, steps: int) -> float:
    """Return the learning rate's factor: up for the first tenth of the steps, then down to 0 as a cosine."""
    warm_up = steps / 10
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + float(np.cos(np.pi * (step - warm_up) / (steps - warm_up))))


def accuracy_of(model: Sequential, images: Images, labels: Labels) -> float:
    """Return the fraction of the images that the model reads right."""
    model.eval()
    right = 0
    with neurenix.no_grad():
        for start in range(0, len(images), 100):
            scores = model(neurenix.Tensor(images[start : start + 100, None])).numpy()
            right += int((scores.argmax(axis=1) == labels[start : start + 100]).sum())
    return right / len(images)
