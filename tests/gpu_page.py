"""Small models for tests of WebGPU in a page, what they ought to answer, and scripts that change the page's WebGPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import neurenix
from neurenix import load_model
from neurenix.nn import LSTM, Conv2d, Flatten, Linear, MaxPool2d, Module, Parameter, ReLU, Sequential, Softmax
from neurenix.nn import TransformerEncoderLayer as EncoderLayer
from neurenix.tensor.selecting import nonzero

Array = np.ndarray[Any, Any]
OpenModel = Callable[..., Any]

# What a page evaluates to the model that it has, on the GPU.
LOAD = "(await loadModel(undefined, { device: 'webgpu' }))"

# What pretends that SwiftShader is a GPU of flesh and blood, which `auto` takes.
REAL_ADAPTER = """
Object.defineProperty(GPUAdapterInfo.prototype, 'isFallbackAdapter', { get: () => false });
"""
# What every adapter has, and no more: WebGPU's own defaults.
LEAST_LIMITS = """
for (const [name, value] of [['maxStorageBufferBindingSize', 2 ** 27], ['maxBufferSize', 2 ** 28]]) {
  Object.defineProperty(GPUSupportedLimits.prototype, name, { get: () => value });
}
"""
# Counts what a page makes of WebGPU's objects: `made` maps the name of the function to how often it was called.
COUNTING = """
window.made = {};
for (const name of Object.getOwnPropertyNames(GPUDevice.prototype).filter((n) => n.startsWith('create'))) {
  const original = GPUDevice.prototype[name];
  GPUDevice.prototype[name] = function (...args) {
    made[name] = (made[name] ?? 0) + 1;
    return original.apply(this, args);
  };
}
"""


class Last(Module):
    """The last state of an LSTM, through a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = LSTM(6, 12, batch_first=True), Linear(12, 3)

    def forward(self, *inputs: Any) -> Any:
        return self.head(self.lstm(inputs[0])[0][:, -1])


class Chosen(Module):
    """Rows of a table by their int64 numbers, and the number of the largest entry."""

    def __init__(self) -> None:
        super().__init__()
        self.table = neurenix.nn.Embedding(11, 5)

    def forward(self, *inputs: Any) -> Any:
        rows = self.table(inputs[0])
        return {"rows": rows, "best": rows.argmax(-1)}


class Kept(Module):
    """The positions of what is positive: as many as there are."""

    def forward(self, *inputs: Any) -> Any:
        return nonzero(inputs[0])


class Masked(Module):
    """A softmax over what is positive: the rest is masked with minus infinity."""

    def forward(self, *inputs: Any) -> Any:
        return neurenix.where(inputs[0] > 0, inputs[0], float("-inf")).softmax(-1)


class Rows(Module):
    """What lies along rows that invocations share, and along one that is all of a workgroup's."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = neurenix.nn.LayerNorm(40)

    def forward(self, *inputs: Any) -> Any:
        x = self.norm(inputs[0])
        flat = x.reshape(-1)
        return {
            "weights": x.softmax(-1), "sums": x.sum(-1), "largest": x.amax(-1), "whole": flat.log_softmax(-1),
            "best": flat.argmax(-1), "mean": flat.mean(),
        }  # fmt: skip


class Empty(Module):
    """Tensors without elements, and sums of them; with no rows, everything is one."""

    def forward(self, *inputs: Any) -> Any:
        x = inputs[0]
        return {"positive": x.relu(), "none": x[:, :0], "sums": x.sum(0), "nothing": x[:, :0].sum(1)}


class Scaled(Module):
    """A row times its weights, backwards: two shaders that compile in no time, and all that a GPU's model has."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = Parameter(neurenix.Tensor([0.5, 0.75, 1.25, 1.5, 2.0]))

    def forward(self, *inputs: Any) -> Any:
        return (inputs[0] * self.scale).flip(1)


class Halves(Module):
    """Float16 times float16, backwards: exact in float32, and rounded to float16 once."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = Parameter(neurenix.Tensor([0.1, 0.7, -1.3, 300.0, 1e-4]).half())

    def forward(self, *inputs: Any) -> Any:
        return (inputs[0] * self.scale).flip(1)


class Tripled(Module):
    """Three times an int64 and 1: beyond 32 bits for an input beyond 2^29."""

    def forward(self, *inputs: Any) -> Any:
        return inputs[0] * 3 + 1


def _cnn() -> Module:
    return Sequential(
        Conv2d(1, 6, 3, padding=1), ReLU(), MaxPool2d(2), Conv2d(6, 8, 3), ReLU(), Flatten(), Linear(32, 10), Softmax()
    )


MODELS: dict[str, tuple[Callable[[], Module], dict[str, Any], dict[str, Any]]] = {
    "cnn": (_cnn, {"image": "float32[n, 1, 8, 8]"}, {"n": (1, 4)}),
    "mlp": (lambda: Sequential(Linear(10, 20), ReLU(), Linear(20, 5)), {"input": "float32[n, 10]"}, {"n": (1, 8)}),
    "block": (
        lambda: EncoderLayer(16, 2, 32, batch_first=True),
        {"x": "float32[n, t, 16]"},
        {"n": (1, 2), "t": (1, 9)},
    ),
    "lstm": (Last, {"x": "float32[n, t, 6]"}, {"n": (1, 2), "t": (1, 7)}),
    "chosen": (Chosen, {"ids": "int64[n]"}, {"n": (1, 6)}),
    "kept": (Kept, {"x": "float32[12]"}, {}),
    "masked": (Masked, {"x": "float32[2, 6]"}, {}),
    "rows": (Rows, {"x": "float32[30, 40]"}, {}),
    "quick": (Scaled, {"input": "float32[n, 5]"}, {"n": (1, 8)}),
    "empty": (Empty, {"x": "float32[n, 5]"}, {"n": (0, 4)}),
    # At its largest a tensor takes more than a binding has by default, and a dispatch more workgroups than an axis has.
    "wide": (lambda: Sequential(ReLU()), {"input": "float32[n, 1024]"}, {"n": (1, 33_800)}),
    "halves": (Halves, {"x": "float16[n, 5]"}, {"n": (1, 8)}),
    "tripled": (Tripled, {"x": "int64[n]"}, {"n": (1, 8)}),
    "after": (lambda: Sequential(Linear(5, 3)), {"input": "float32[n, 5]"}, {"n": (1, 8)}),
}
# Taken for large ones, for which `auto` asks a GPU.
LARGE = {"cnn", "masked", "chosen", "quick", "wide"}


def oracle(gpu_bundle: Any, name: str, **inputs: Array) -> dict[str, Array]:
    """Return the reference's answers of one of MODELS."""
    return load_model(gpu_bundle(name) / f"{name}.json", device="reference").forward(inputs)


def samples(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
