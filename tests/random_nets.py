"""Models made at random: convolutions with odd sizes, residual sums, branches, batch norms, inner softmaxes, heads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from neurenix import Tensor
from neurenix.errors import GraphError
from neurenix.nn import (
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    LeakyReLU,
    Linear,
    MaxPool2d,
    Module,
    ReLU,
    Sequential,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
)

IMAGE = (3, 11, 13)
CHANNELS = (1, 3, 5, 7, 8, 9, 17)


class Residual(Module):
    """x + body(x), or x * body(x)."""

    def __init__(self, body: Module, join: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.body, self.join = body, join

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.join(inputs[0], self.body(inputs[0]))


class Branches(Module):
    """Two ways to the same shape, added."""

    def __init__(self, left: Module, right: Module) -> None:
        super().__init__()
        self.left, self.right = left, right

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.left(inputs[0]) + self.right(inputs[0]).relu()


class Affine(Module):
    """Scale and shift by channel, by one number, and by a whole image, as people write it."""

    def __init__(self, shape: tuple[int, ...], rng: np.random.Generator) -> None:
        super().__init__()
        kinds = [(shape[0], *(1,) * (len(shape) - 1)), (1,), shape, (1, *shape)]
        self.scale = rng.uniform(0.5, 1.5, kinds[int(rng.integers(4))]).astype(np.float32)
        self.shift = rng.uniform(-1, 1, kinds[int(rng.integers(4))]).astype(np.float32)

    def forward(self, *inputs: Tensor) -> Tensor:
        return (inputs[0] - self.shift) / self.scale * 2 + self.shift


def activation(rng: np.random.Generator) -> Module:
    kinds = (ReLU, LeakyReLU, Sigmoid, Tanh, SiLU)
    return kinds[int(rng.integers(len(kinds)))]()


def convolution(rng: np.random.Generator, channels: int, out: int | None = None, same: bool = False) -> Conv2d:
    """Return a convolution with random options; `same` keeps the image's size."""
    kernel = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
    made = int(rng.choice(CHANNELS)) if out is None else out
    bias = bool(rng.integers(2))
    if same:
        k = int(rng.choice((1, 3)))
        return Conv2d(channels, made, k, padding=k // 2, bias=bias)
    stride, padding = (tuple(int(v) for v in rng.integers(low, low + 2, 2)) for low in (1, 0))
    return Conv2d(channels, made, kernel, stride, padding, int(rng.integers(1, 3)), bias=bias)


def norm(rng: np.random.Generator, channels: int) -> BatchNorm2d:
    """Return a batch norm that has seen something."""
    layer = BatchNorm2d(channels)
    for name, low, high in (("weight", 0.5, 2), ("bias", -1, 1), ("running_mean", -1, 1), ("running_var", 0.5, 2)):
        getattr(layer, name).numpy()[...] = rng.uniform(low, high, channels)
    return layer


def _block(rng: np.random.Generator, shape: tuple[int, ...]) -> Module:
    c = shape[0]
    kinds: tuple[Callable[[], Module], ...] = (
        lambda: convolution(rng, c),
        lambda: Sequential(convolution(rng, c, 8), norm(rng, 8), activation(rng)),
        lambda: norm(rng, c),
        lambda: activation(rng),
        lambda: MaxPool2d(int(rng.integers(1, 4)), int(rng.integers(1, 3)), int(rng.integers(0, 2))),
        lambda: Residual(Sequential(convolution(rng, c, c, same=True), norm(rng, c)), lambda a, b: a + b),
        lambda: Residual(convolution(rng, c, c, same=True), lambda a, b: a * b.sigmoid()),
        lambda: Branches(convolution(rng, c, 5, same=True), convolution(rng, c, 5, same=True)),
        lambda: Softmax(int(rng.integers(1, 4))),
        lambda: Affine(shape, rng),
        lambda: Dropout(0.3),
    )
    return kinds[int(rng.integers(len(kinds)))]()


def random_net(seed: int, image: tuple[int, ...] = IMAGE, blocks: int = 5) -> Module:
    """Return a model of images in inference mode; with a head that flattens in two cases of three."""
    rng = np.random.default_rng(seed)
    layers: list[Module] = []
    x: Any = Tensor(np.zeros((1, *image), np.float32))
    while len(layers) < blocks:
        layer = _block(rng, x.shape[1:]).eval()
        try:
            x = layer(x)
        except GraphError:  # its window no longer fits
            continue
        layers.append(layer)
    if seed % 3:
        flat = int(np.prod(x.shape))
        layers += [Flatten(), Linear(flat, 9), activation(rng), Affine((9,), rng), Linear(9, int(rng.choice(CHANNELS)))]
    if seed % 2:
        layers.append(Softmax())
    return Sequential(*layers).eval()
