"""Seconds of one training epoch beside PyTorch on the CPU with as many threads: the digits CNN, a three-layer MLP."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
THREADS = os.environ.get("OMP_NUM_THREADS", str(CORES))
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, THREADS)  # before NumPy and PyTorch are loaded: they read it once

import numpy as np  # noqa: E402
import torch  # noqa: E402

import neurenix  # noqa: E402
from neurenix import nn, optim  # noqa: E402

Array = np.ndarray[Any, Any]
Epoch = Callable[[], float]


def digits_cnn(layers: Any) -> Any:
    """Return the example's model, of `neurenix.nn` or of `torch.nn`."""
    return layers.Sequential(
        layers.Conv2d(1, 16, 3, padding=1), layers.BatchNorm2d(16), layers.ReLU(), layers.MaxPool2d(2),
        layers.Conv2d(16, 32, 3, padding=1), layers.BatchNorm2d(32), layers.ReLU(), layers.MaxPool2d(2),
        layers.Flatten(), layers.Dropout(0.3), layers.Linear(32 * 7 * 7, 10),
    )  # fmt: skip


def mlp(layers: Any) -> Any:
    """Return three linear layers, of `neurenix.nn` or of `torch.nn`."""
    return layers.Sequential(
        layers.Linear(784, 256), layers.ReLU(), layers.Linear(256, 128), layers.ReLU(), layers.Linear(128, 10)
    )


def ours(model: Any, x: Array, labels: Array, batch: int) -> Epoch:
    """Return a function that trains one epoch with Neurenix and gives its last loss."""
    optimizer, loss_of = optim.Adam(model.parameters(), lr=1e-3), nn.CrossEntropyLoss()

    def epoch() -> float:
        model.train()
        for at in range(0, len(x), batch):
            loss = loss_of(model(neurenix.Tensor(x[at : at + batch])), neurenix.Tensor(labels[at : at + batch]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return float(loss.item())

    return epoch


def theirs(model: Any, x: Array, labels: Array, batch: int) -> Epoch:
    """Return a function that trains one epoch with PyTorch and gives its last loss."""
    optimizer, loss_of = torch.optim.Adam(model.parameters(), lr=1e-3), torch.nn.CrossEntropyLoss()
    images, classes = torch.from_numpy(x), torch.from_numpy(labels)

    def epoch() -> float:
        model.train()
        for at in range(0, len(x), batch):
            loss = loss_of(model(images[at : at + batch]), classes[at : at + batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return float(loss.item())

    return epoch


def time_in_turn(rounds: int, *epochs: Epoch) -> Array:
    """Return the seconds of each epoch, a row for each round: what else the machine does meets all of a row."""
    seconds = np.empty((rounds + 1, len(epochs)))
    for row in seconds:
        for i, epoch in enumerate(epochs):
            start = time.perf_counter()
            epoch()
            row[i] = time.perf_counter() - start
    return seconds[1:]  # the first round warms up


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--samples", type=int, default=3000)
    options = parser.parse_args()
    torch.set_num_threads(int(THREADS))
    rng = np.random.default_rng(0)
    images = rng.random((options.samples, 1, 28, 28), dtype=np.float32)
    labels = rng.integers(0, 10, options.samples)
    cases = {
        "digits CNN, batch 50": (digits_cnn, images, 50),
        "MLP 784-256-128-10, batch 128": (mlp, images.reshape(options.samples, -1), 128),
    }
    neurenix.set_num_threads(int(THREADS))
    print(f"{options.samples} samples, {THREADS} threads, medians of {options.rounds} epochs in turn")
    print(f"{'model':<32} {'neurenix s':>11} {'PyTorch s':>11} {'ratio':>7} {'lowest':>7} {'highest':>7}")
    for name, (build, x, batch) in cases.items():
        pair = ours(build(nn), x, labels, batch), theirs(build(torch.nn), x, labels, batch)
        seconds = time_in_turn(options.rounds, *pair)
        (mine, other), ratios = np.median(seconds, axis=0), seconds[:, 0] / seconds[:, 1]
        spread = f"{np.median(ratios):>7.2f} {ratios.min():>7.2f} {ratios.max():>7.2f}"
        print(f"{name:<32} {mine:>11.3f} {other:>11.3f} {spread}", flush=True)


if __name__ == "__main__":
    main()
