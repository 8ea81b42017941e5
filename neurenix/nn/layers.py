"""The layers. Names, arguments, defaults and parameter names are PyTorch's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Union

import numpy as np

from neurenix.errors import InputError
from neurenix.nn import init
from neurenix.nn.module import Module, Parameter
from neurenix.tensor import Tensor, generator, zeros

Pair = Union[int, tuple[int, int]]


def pair(value: Pair) -> tuple[int, int]:
    """Return `(v, v)` for a single number."""
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


class Sequential(Module):
    """Modules that run one after another. They are named "0", "1", …; index, slice and iterate like a list."""

    def __init__(self, *modules: Module) -> None:
        super().__init__()
        for i, module in enumerate(modules):
            if not isinstance(module, Module):
                raise InputError(f"Sequential takes modules; argument {i} is a {type(module).__name__}: {module!r}")
            self._modules[str(i)] = module

    def forward(self, *inputs: Tensor) -> Any:
        (x,) = inputs
        for module in self.children():
            x = module(x)
        return x

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    def __getitem__(self, index: int | slice) -> Any:
        modules = list(self.children())
        return Sequential(*modules[index]) if isinstance(index, slice) else modules[index]


class Linear(Module):
    """y = x Wᵀ + b, with W of shape (out_features, in_features)."""

    weight: Parameter
    bias: Parameter | None

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(init.uniform((out_features, in_features), fan_in=in_features))
        self.bias = Parameter(init.uniform((out_features,), fan_in=in_features)) if bias else None

    def forward(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        y: Tensor = x @ self.weight.transpose(0, 1)
        return y + self.bias if self.bias is not None else y

    def config(self) -> Mapping[str, Any]:
        return {
            "in_features": self.in_features,
            "out_features": self.out_features,
            "bias": self.bias is not None,
        }


class Conv2d(Module):
    """2-D cross-correlation of images (N, C, H, W) with a weight (out_channels, in_channels, KH, KW)."""

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        dilation: Pair = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride = pair(kernel_size), pair(stride)
        self.padding, self.dilation = pair(padding), pair(dilation)
        fan_in = in_channels * self.kernel_size[0] * self.kernel_size[1]
        self.weight = Parameter(init.uniform((out_channels, in_channels, *self.kernel_size), fan_in=fan_in))
        self.bias = Parameter(init.uniform((out_channels,), fan_in=fan_in)) if bias else None

    def forward(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        y = x.conv2d(self.weight, stride=self.stride, padding=self.padding, dilation=self.dilation)
        return y if self.bias is None else y + self.bias.reshape((1, -1, 1, 1))

    def config(self) -> Mapping[str, Any]:
        names = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation")
        return {**{n: getattr(self, n) for n in names}, "bias": self.bias is not None}


class BatchNorm2d(Module):
    """Normalise each channel of (N, C, H, W): by the batch's statistics in training, the running ones after it."""

    weight: Parameter
    bias: Parameter
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.weight = Parameter(np.ones(num_features, dtype=np.float32))
        self.bias = Parameter(np.zeros(num_features, dtype=np.float32))
        self.register_buffer("running_mean", zeros((num_features,)))
        self.register_buffer("running_var", Tensor(np.ones(num_features, dtype=np.float32)))
        self.register_buffer("num_batches_tracked", Tensor(np.asarray(0, dtype=np.int64)))

    def forward(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        if not self.training:
            scale = self.weight / (self.running_var + self.eps).sqrt()
            shift = self.bias - self.running_mean * scale
            return x * scale.reshape((1, -1, 1, 1)) + shift.reshape((1, -1, 1, 1))
        mean = x.mean((0, 2, 3), keepdim=True)
        centred = x - mean
        variance = (centred * centred).mean((0, 2, 3), keepdim=True)
        self._track(mean.numpy().ravel(), variance.numpy().ravel(), x.numpy().size // self.num_features)
        scale = self.weight.reshape((1, -1, 1, 1)) / (variance + self.eps).sqrt()
        return centred * scale + self.bias.reshape((1, -1, 1, 1))

    def _track(self, mean: np.ndarray[Any, Any], variance: np.ndarray[Any, Any], count: int) -> None:
        m = self.momentum
        unbiased = variance * (count / max(count - 1, 1))
        self.running_mean.numpy()[...] = (1 - m) * self.running_mean.numpy() + m * mean
        self.running_var.numpy()[...] = (1 - m) * self.running_var.numpy() + m * unbiased
        self.num_batches_tracked.numpy()[...] += 1

    def config(self) -> Mapping[str, Any]:
        return {"num_features": self.num_features, "eps": self.eps, "momentum": self.momentum}


class MaxPool2d(Module):
    """The largest element of each window of (N, C, H, W); the stride is the window's size unless given."""

    def __init__(self, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0, dilation: Pair = 1) -> None:
        super().__init__()
        self.kernel_size = pair(kernel_size)
        self.stride = self.kernel_size if stride is None else pair(stride)
        self.padding, self.dilation = pair(padding), pair(dilation)

    def forward(self, *inputs: Tensor) -> Tensor:
        return inputs[0].max_pool2d(**self.config())

    def config(self) -> Mapping[str, Any]:
        return {n: getattr(self, n) for n in ("kernel_size", "stride", "padding", "dilation")}


class Flatten(Module):
    """Join all axes from `start_dim` on; the batch stays by default."""

    def __init__(self, start_dim: int = 1) -> None:
        super().__init__()
        self.start_dim = start_dim

    def forward(self, *inputs: Tensor) -> Tensor:
        return inputs[0].flatten(self.start_dim)

    def config(self) -> Mapping[str, Any]:
        return {"start_dim": self.start_dim}


class Dropout(Module):
    """In training, set each element to zero with probability p and scale the rest by 1 / (1 - p)."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise InputError(f"Dropout's p is a probability in [0, 1), got {p}")
        self.p = p

    def forward(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        if not self.training or self.p == 0:
            return x
        kept = generator().random(x.numpy().shape, dtype=np.float32) >= self.p
        scale: np.ndarray[Any, Any] = (kept / np.float32(1 - self.p)).astype(x.dtype.numpy)
        return x * scale

    def config(self) -> Mapping[str, Any]:
        return {"p": self.p}
