"""The normalising layers. Names, arguments, defaults, parameters and buffers are PyTorch's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from neurenix.errors import InputError
from neurenix.nn.module import Module, Parameter
from neurenix.tensor import Tensor


def _filled(shape: Sequence[int], value: float) -> np.ndarray[Any, Any]:
    return np.full(tuple(shape), value, dtype=np.float32)


class _TrackedNorm(Module):
    """What batch and instance norm share: scale and shift for each channel, and running statistics."""

    options: ClassVar[tuple[str, ...]] = ("num_features", "eps", "momentum", "affine", "track_running_stats")
    ranks: ClassVar[tuple[int, ...]]
    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.weight = Parameter(_filled((num_features,), 1)) if affine else None
        self.bias = Parameter(_filled((num_features,), 0)) if affine else None
        if track_running_stats:
            self.register_buffer("running_mean", Tensor(_filled((num_features,), 0)))
            self.register_buffer("running_var", Tensor(_filled((num_features,), 1)))
            self.register_buffer("num_batches_tracked", Tensor(np.asarray(0, dtype=np.int64)))
        else:
            self.running_mean = self.running_var = self.num_batches_tracked = None

    def config(self) -> Mapping[str, Any]:
        return {name: getattr(self, name) for name in self.options}

    def checked(self, x: Tensor, channels: int) -> None:
        """Raise InputError unless x has a rank that this layer takes and its number of channels."""
        name = type(self).__name__
        if x.ndim not in self.ranks:
            wanted = " or ".join(map(str, self.ranks))
            raise InputError(f"{name} takes a tensor of rank {wanted}, got the shape {list(x.shape)}")
        if x.shape[channels] != self.num_features:
            raise InputError(f"{name}({self.num_features}) got {x.shape[channels]} channels: shape {list(x.shape)}")


class _BatchNorm(_TrackedNorm):
    def forward(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        self.checked(x, 1)
        if not self.training and self.track_running_stats:
            return x.batch_norm(self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        if self.training and x.size == self.num_features:
            raise InputError(
                f"{type(self).__name__} cannot train on {list(x.shape)}: one value for each channel has no variance"
            )
        tracked = self.training and self.track_running_stats
        momentum = self.next_momentum() if tracked else 0.0
        mean, var = (self.running_mean, self.running_var) if tracked else (None, None)
        return x.batch_norm(mean, var, self.weight, self.bias, True, momentum, self.eps)

    def next_momentum(self) -> float:
        """Count a batch, and return how far it moves the running statistics: without a momentum, to their mean."""
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.numpy()[...] += 1
        return 1 / int(self.num_batches_tracked.item()) if self.momentum is None else self.momentum


class BatchNorm1d(_BatchNorm):
    """Normalise each channel of (N, C) or (N, C, L): by the batch's statistics in training, then by the running ones.

    `momentum=None` makes the running statistics the mean of all batches; without `track_running_stats` it is
    always the batch's own that count.
    """

    ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Normalise each channel of (N, C, H, W): by the batch's statistics in training, then by the running ones."""

    ranks = (4,)


class BatchNorm3d(_BatchNorm):
    """Normalise each channel of (N, C, D, H, W): by the batch's statistics in training, then by the running ones."""

    ranks = (5,)


class _InstanceNorm(_TrackedNorm):
    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = False,
        track_running_stats: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(num_features, eps, momentum, affine, track_running_stats)

    def forward(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        single = x.ndim == self.ranks[0]
        self.checked(x, 0 if single else 1)
        batch = x.reshape((1, *x.shape)) if single else x
        if self.track_running_stats and not self.training:
            y = batch.batch_norm(self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        else:
            if self.training and self.track_running_stats:
                self._track(batch.numpy())
            y = batch.instance_norm(self.weight, self.bias, self.eps)
        return y.reshape(x.shape) if single else y

    def _track(self, x: np.ndarray[Any, Any]) -> None:
        """Move the running statistics towards the mean of the samples' own; as in PyTorch, batches are not counted."""
        assert self.running_mean is not None and self.running_var is not None
        m, axes = self.momentum or 0.0, tuple(range(2, x.ndim))
        count = x[0, 0].size
        mean, var = x.mean(axis=axes).mean(axis=0), x.var(axis=axes).mean(axis=0) * (count / max(count - 1, 1))
        for running, latest in ((self.running_mean, mean), (self.running_var, var)):
            running.numpy()[...] = (1 - m) * running.numpy() + m * latest


class InstanceNorm1d(_InstanceNorm):
    """Normalise each channel of each sample of (N, C, L) or (C, L) by its own statistics."""

    ranks = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Normalise each channel of each sample of (N, C, H, W) or (C, H, W) by its own statistics."""

    ranks = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Normalise each channel of each sample of (N, C, D, H, W) or (C, D, H, W) by its own statistics."""

    ranks = (4, 5)


class LayerNorm(Module):
    """Normalise over the last axes, whose sizes are `normalized_shape`, then scale and shift each of their elements."""

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float = 1e-5, elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.normalized_shape = _sizes(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self.weight = Parameter(_filled(self.normalized_shape, 1)) if elementwise_affine else None
        self.bias = Parameter(_filled(self.normalized_shape, 0)) if elementwise_affine and bias else None

    def forward(self, *inputs: Tensor) -> Tensor:
        return inputs[0].layer_norm(self.normalized_shape, self.weight, self.bias, self.eps)

    def config(self) -> Mapping[str, Any]:
        affine = {"elementwise_affine": self.elementwise_affine, "bias": self.bias is not None}
        return {"normalized_shape": self.normalized_shape, "eps": self.eps, **affine}


class RMSNorm(Module):
    """Divide by the root mean square over the last axes, whose sizes are `normalized_shape`, then scale."""

    weight: Parameter | None

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float | None = None, elementwise_affine: bool = True
    ) -> None:
        super().__init__()
        self.normalized_shape = _sizes(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self.weight = Parameter(_filled(self.normalized_shape, 1)) if elementwise_affine else None

    def forward(self, *inputs: Tensor) -> Tensor:
        return inputs[0].rms_norm(self.normalized_shape, self.weight, self.eps)

    def config(self) -> Mapping[str, Any]:
        return {n: getattr(self, n) for n in ("normalized_shape", "eps", "elementwise_affine")}


class GroupNorm(Module):
    """Normalise each of `num_groups` groups of channels of each sample of (N, C, …), then scale and shift channels."""

    weight: Parameter | None
    bias: Parameter | None

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__()
        if num_groups < 1 or num_channels % num_groups:
            raise InputError(f"GroupNorm cannot cut {num_channels} channels into {num_groups} equal groups")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self.weight = Parameter(_filled((num_channels,), 1)) if affine else None
        self.bias = Parameter(_filled((num_channels,), 0)) if affine else None

    def forward(self, *inputs: Tensor) -> Tensor:
        return inputs[0].group_norm(self.num_groups, self.weight, self.bias, self.eps)

    def config(self) -> Mapping[str, Any]:
        return {n: getattr(self, n) for n in ("num_groups", "num_channels", "eps", "affine")}


class LocalResponseNorm(Module):
    """Divide (N, C, …) by (k + alpha * mean square of `size` neighbouring channels) ** beta."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, *inputs: Tensor) -> Tensor:
        return inputs[0].local_response_norm(**self.config())

    def config(self) -> Mapping[str, Any]:
        return {n: getattr(self, n) for n in ("size", "alpha", "beta", "k")}


def _sizes(normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    return (normalized_shape,) if isinstance(normalized_shape, int) else tuple(int(s) for s in normalized_shape)
