"""Methods of Tensor in which an element depends on all elements along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from neurenix import expr as ex
from neurenix.dims import Shape, Size, product
from neurenix.errors import GraphError
from neurenix.ops.shapes import show
from neurenix.tensor.methods import Methods, Operand

if TYPE_CHECKING:
    from neurenix.tensor.tensor import Tensor

# What an element that must not be seen is set to. Finite, so that a row without any other makes no NaN.
HIDDEN = -3.0e38
_SHOWN = ex.where(ex.operand(1) > 0, ex.operand(0), HIDDEN)


class NormalizationMethods(Methods):
    """Softmax and its kin, and the norms of layers. `weight` and `bias` scale and shift what was normalised."""

    def softmax(self, dim: int = -1) -> Tensor:
        return self.apply("softmax", axis=dim)

    def log_softmax(self, dim: int = -1) -> Tensor:
        return self.apply("log_softmax", axis=dim)

    def cross_entropy(self, labels: Tensor, shares: Operand) -> Tensor:
        """shares * -log(softmax(self)[label]) for each class index of `labels`; the classes are axis 1, or 0."""
        return self.apply("cross_entropy", labels, shares)

    def masked_softmax(self, mask: Operand, dim: int = -1) -> Tensor:
        """Softmax over the elements where a bool mask holds; even where it holds for none."""
        # Read as a number the mask joins a vectorised map; it is mostly much smaller than this tensor.
        return self.map(_SHOWN, mask).softmax(dim)  # type: ignore[attr-defined, no-any-return]

    def softmin(self, dim: int = -1) -> Tensor:
        return self.apply("neg").softmax(dim)

    def standardize(self, eps: float = 1e-5) -> Tensor:
        """Give each row along the last axis the mean 0 and the variance 1."""
        return self.apply("standardize", eps=float(eps))

    def batch_norm(
        self, running_mean: Tensor | None = None, running_var: Tensor | None = None, weight: Operand | None = None,
        bias: Operand | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
    ) -> Tensor:  # fmt: skip
        """Normalise each channel of (N, C, …): by the running statistics, or in training by the batch's own.

        Training moves the running statistics, where there are any, by `momentum` towards the batch's.
        """
        if self.ndim < 2:
            raise GraphError(f"batch_norm takes (N, C, …), got the shape {show(self.shape)}")
        if not training and (running_mean is None or running_var is None):
            raise GraphError("batch_norm needs running_mean and running_var, or training=True")
        by_channel = (1, -1, *[1] * (self.ndim - 2))
        if training:
            moments = self.apply("moments", axes=(0, *range(2, self.ndim)))
            if running_mean is not None and running_var is not None:
                mean, var = moments.numpy()
                count = self.numpy().size // max(mean.size, 1)
                _track(running_mean, mean, momentum)
                _track(running_var, var * (count / max(count - 1, 1)), momentum)
            if weight is not None and bias is not None and moments.traced is None:
                return self.apply("batch_norm", moments, weight, bias, eps=float(eps))
            mean, var = moments[0], moments[1]
        else:
            assert running_mean is not None and running_var is not None
            mean, var = running_mean.reshape(by_channel), running_var.reshape(by_channel)
        w, b = (None if v is None else self.lift(v).reshape(by_channel) for v in (weight, bias))
        scale = 1 / (var + eps).sqrt()
        scale = scale if w is None else scale * w
        shift = -mean * scale if b is None else b - mean * scale
        if training:
            return self.apply("scale_shift", scale, shift)
        return self.apply("mul", scale) + shift  # which passes of the compiler fold into what comes before

    def layer_norm(
        self, normalized_shape: Size | Sequence[Size], weight: Operand | None = None, bias: Operand | None = None,
        eps: float = 1e-5,
    ) -> Tensor:  # fmt: skip
        """Normalise over the last axes, whose sizes are `normalized_shape`, by their own mean and variance."""
        flat = self._last_as_one(normalized_shape).standardize(eps)
        return _scaled(flat.reshape(self.shape), weight, bias)

    def rms_norm(
        self, normalized_shape: Size | Sequence[Size], weight: Operand | None = None, eps: float | None = None
    ) -> Tensor:
        """Divide by the root mean square over the last axes; `eps` is the dtype's own unless given."""
        eps = float(np.finfo(np.dtype(self.dtype.name)).eps if eps is None else eps)
        flat = self._last_as_one(normalized_shape).apply("rms_norm", eps=eps)
        return _scaled(flat.reshape(self.shape), weight, None)

    def group_norm(
        self, num_groups: int, weight: Operand | None = None, bias: Operand | None = None, eps: float = 1e-5
    ) -> Tensor:
        """Normalise each group of channels of each sample of (N, C, …) by its own mean and variance."""
        if self.ndim < 2 or num_groups < 1 or not isinstance(self.shape[1], int) or self.shape[1] % num_groups:
            raise GraphError(
                f"group_norm cannot cut the channels of {show(self.shape)}, axis 1, into {num_groups} groups"
            )
        rest = self.shape[1] // num_groups * product(self.shape[2:])
        flat: Tensor = self.apply("reshape", shape=(self.shape[0], num_groups, rest))
        return _by_channel(flat.standardize(eps).reshape(self.shape), weight, bias)

    def instance_norm(self, weight: Operand | None = None, bias: Operand | None = None, eps: float = 1e-5) -> Tensor:
        """Normalise each channel of each sample of (N, C, …) by its own mean and variance."""
        if self.ndim < 3:
            raise GraphError(f"instance_norm takes (N, C, …) with at least one axis more, got {show(self.shape)}")
        flat: Tensor = self.apply("reshape", shape=(*self.shape[:2], product(self.shape[2:])))
        return _by_channel(flat.standardize(eps).reshape(self.shape), weight, bias)

    def local_response_norm(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
        """Divide (N, C, …) by (k + alpha * mean square of `size` neighbouring channels) ** beta."""
        if self.ndim < 3 or size < 1:
            raise GraphError(f"local_response_norm takes (N, C, …) and a size of at least 1, got {show(self.shape)}")
        x, (n, c) = cast("Tensor", self), self.shape[:2]
        # Channels become the height of an image, and what lies beside them its channels.
        squares = (x * x).reshape((n, c, 1, product(x.shape[2:]))).permute((0, 3, 1, 2))
        around = {"kernel_size": (size, 1), "padding": (size // 2, 0), "divisor_override": size}
        means = squares.apply("avg_pool2d", **around).permute((0, 2, 3, 1))
        if size % 2 == 0:  # one neighbour more before than behind
            means = means[:, :-1]
        return x / (means.reshape(x.shape) * alpha + k) ** beta

    def normalize(self, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
        """Divide by the p-norm along `dim`, or by `eps` where that is larger."""
        x = cast("Tensor", self)
        if p == 2:  # the root last: at 0 its slope would be infinite
            return x / (x * x).sum(dim, keepdim=True).maximum(eps * eps).sqrt()
        return x / x.norm(p, dim, keepdim=True).maximum(eps)

    def _last_as_one(self, normalized_shape: Size | Sequence[Size]) -> Tensor:
        wanted = tuple(normalized_shape) if isinstance(normalized_shape, Sequence) else (normalized_shape,)
        if not wanted or self.shape[-len(wanted) :] != wanted:
            raise GraphError(f"the last axes of {show(self.shape)} are not the normalized_shape {show(wanted)}")
        return self.apply("reshape", shape=(*self.shape[: -len(wanted)], product(wanted)))


def _scaled(y: Tensor, weight: Operand | None, bias: Operand | None) -> Tensor:
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def _by_channel(y: Tensor, weight: Operand | None, bias: Operand | None) -> Tensor:
    shape: Shape = (1, -1, *[1] * (y.ndim - 2))
    w, b = (None if v is None else y.lift(v).reshape(shape) for v in (weight, bias))
    return _scaled(y, w, b)


def _track(running: Tensor, latest: np.ndarray, momentum: float) -> None:
    """Move a running statistic towards the latest; it is no part of the gradient."""
    running.numpy()[...] = (1 - momentum) * running.numpy() + momentum * latest.ravel()
