"""Seconds of one training epoch beside PyTorch on the CPU with as many threads: the digits CNN, a three-layer MLP.

The two take turns after every few batches, so that whatever else the machine does meets both alike; the ratio is the
median over all turns.
"""

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
Trainer = Callable[[slice], float]


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


def ours(model: Any, x: Array, labels: Array, batch: int) -> Trainer:
    """Return a function that trains with some samples in Neurenix and gives the last loss."""
    optimizer, loss_of = optim.Adam(model.parameters(), lr=1e-3), nn.CrossEntropyLoss()
    model.train()

    def train(part: slice) -> float:
        for at in range(part.start, part.stop, batch):
            loss = loss_of(model(neurenix.Tensor(x[at : at + batch])), neurenix.Tensor(labels[at : at + batch]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return float(loss.item())

    return train


def theirs(model: Any, x: Array, labels: Array, batch: int) -> Trainer:
    """Return a function that trains with some samples in PyTorch and gives the last loss."""
    optimizer, loss_of = torch.optim.Adam(model.parameters(), lr=1e-3), torch.nn.CrossEntropyLoss()
    images, classes = torch.from_numpy(x), torch.from_numpy(labels)
    model.train()

    def train(part: slice) -> float:
        for at in range(part.start, part.stop, batch):
            loss = loss_of(model(images[at : at + batch]), classes[at : at + batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return float(loss.item())

    return train


def time_in_turn(epochs: int, parts: list[slice], trainers: tuple[Trainer, ...]) -> Array:
    """Return the seconds of each trainer (last axis) for each part of each epoch; who begins changes every time."""
    seconds = np.empty((epochs + 1, len(parts), len(trainers)))
    for epoch in seconds:
        for i, part in enumerate(parts):
            for k in range(len(trainers)):
                which = (i + k) % len(trainers)
                start = time.perf_counter()
                trainers[which](part)
                epoch[i, which] = time.perf_counter() - start
    return seconds[1:]  # the first epoch warms up


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--samples", type=int, default=3000)
    parser.add_argument("--turn", type=int, default=5, help="batches after which the other goes on")
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
    print(
        f"{THREADS} threads; {options.samples} samples, medians of {options.epochs} epochs, in turns of {options.turn}"
    )
    print(f"{'model':<32} {'neurenix s':>11} {'PyTorch s':>11} {'ratio':>7} {'quartiles':>13}")
    for name, (build, x, batch) in cases.items():
        pair = ours(build(nn), x, labels, batch), theirs(build(torch.nn), x, labels, batch)
        step = options.turn * batch
        parts = [slice(at, min(at + step, len(x))) for at in range(0, len(x), step)]
        seconds = time_in_turn(options.epochs, parts, pair)
        mine, other = np.median(seconds.sum(axis=1), axis=0)
        low, ratio, high = np.quantile(seconds[..., 0] / seconds[..., 1], (0.25, 0.5, 0.75))
        print(f"{name:<32} {mine:>11.3f} {other:>11.3f} {ratio:>7.2f} {low:>6.2f} {high:>6.2f}", flush=True)


if __name__ == "__main__":
    main()
