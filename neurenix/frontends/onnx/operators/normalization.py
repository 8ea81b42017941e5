"""Operators that normalise by a mean, a variance or a norm.

ONNX defines LayerNormalization, GroupNormalization, RMSNormalization and MeanVarianceNormalization by others as well.
The first three have functions of their own here all the same: the kernels `standardize` and `rms_norm` take two passes
over memory where the bodies take ten.
"""

from __future__ import annotations

from neurenix.dims import Shape, product
from neurenix.errors import ModelError, UnsupportedError
from neurenix.frontends.onnx.operator import Call, operator
from neurenix.ops.shapes import axis_of
from neurenix.tensor import Tensor


@operator("BatchNormalization", since=7)
def batch_normalization(
    call: Call, x: Tensor, scale: Tensor, b: Tensor, mean: Tensor, var: Tensor, *,
    epsilon: float = 1e-5, momentum: float = 0.9, spatial: bool = True,
) -> Tensor:  # fmt: skip
    if any(call.wants(i) for i in range(1, 5)):
        raise UnsupportedError("it is in training mode, as its further outputs say: export the model for inference")
    if not spatial:  # opset 7 alone: a mean for each element
        shift = b - mean * scale / (var + epsilon).sqrt()
        return x * (scale / (var + epsilon).sqrt()) + shift
    return _by_statistics(x, scale, b, mean, var, epsilon)


@operator("BatchNormalization", since=14)
def batch_normalization_14(
    call: Call, x: Tensor, scale: Tensor, b: Tensor, mean: Tensor, var: Tensor, *,
    epsilon: float = 1e-5, momentum: float = 0.9, training_mode: bool = False,
) -> tuple[Tensor | None, ...]:  # fmt: skip
    """In training mode the batch's own statistics normalise, and move the running ones."""
    if not training_mode:
        return (_by_statistics(x, scale, b, mean, var, epsilon),)
    axes = (0, *range(2, x.ndim))
    batch_mean = x.mean(axes)
    centred = x - x.mean(axes, keepdim=True)
    batch_var = (centred * centred).mean(axes)
    return (
        _by_statistics(x, scale, b, batch_mean, batch_var, epsilon),
        mean * momentum + batch_mean * (1 - momentum),
        var * momentum + batch_var * (1 - momentum),
    )


def _by_statistics(x: Tensor, scale: Tensor, b: Tensor, mean: Tensor, var: Tensor, epsilon: float) -> Tensor:
    if x.ndim < 2:
        raise ModelError(f"it takes (N, C, ...), got the shape {list(x.shape)}")
    for name, given in (("scale", scale), ("B", b), ("mean", mean), ("var", var)):
        if given.shape != (x.shape[1],):
            raise ModelError(f"its input '{name}' must be {[x.shape[1]]}, for each channel, got {list(given.shape)}")
    return x.batch_norm(mean, var, scale, b, eps=_epsilon(epsilon)).type(x.dtype)


@operator("InstanceNormalization", since=6)
def instance_normalization(x: Tensor, scale: Tensor, b: Tensor, *, epsilon: float = 1e-5) -> Tensor:
    return x.instance_norm(scale, b, _epsilon(epsilon))


@operator("LayerNormalization")
def layer_normalization(
    call: Call, x: Tensor, scale: Tensor, b: Tensor | None = None, *,
    axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1,
) -> tuple[Tensor | None, ...]:  # fmt: skip
    shape, wide = _last_axes(x, axis), _stashed(x, stash_type)
    y = wide.layer_norm(shape, eps=_epsilon(epsilon)).type(x.dtype) * scale
    y = y if b is None else y + b
    axes = tuple(range(x.ndim - len(shape), x.ndim))
    mean = wide.mean(axes, keepdim=True) if call.wants(1) or call.wants(2) else None
    deviation = None
    if call.wants(2) and mean is not None:
        centred = wide - mean
        deviation = ((centred * centred).mean(axes, keepdim=True) + epsilon) ** -0.5
    return y, mean, deviation


@operator("RMSNormalization")
def rms_normalization(
    x: Tensor, scale: Tensor, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> Tensor:
    wide = _stashed(x, stash_type)
    return wide.rms_norm(_last_axes(x, axis), eps=_epsilon(epsilon)).type(x.dtype) * scale


@operator("GroupNormalization", since=18)
def group_normalization(x: Tensor, scale: Tensor, bias: Tensor, *, num_groups: int, epsilon: float = 1e-5) -> Tensor:
    """Before opset 21 there is a scale and a bias for each group."""
    channels = x.shape[1] if x.ndim > 1 else 0
    if num_groups < 1 or not isinstance(channels, int) or channels % num_groups:
        raise ModelError(f"its {channels} channels cannot be cut into {num_groups} groups")
    each = channels // num_groups
    return x.group_norm(num_groups, scale.repeat_interleave(each), bias.repeat_interleave(each), _epsilon(epsilon))


@operator("GroupNormalization", since=21)
def group_normalization_21(
    x: Tensor, scale: Tensor, bias: Tensor, *, num_groups: int, epsilon: float = 1e-5, stash_type: int = 1
) -> Tensor:
    wide = _stashed(x, stash_type)
    return wide.group_norm(num_groups, scale, bias, _epsilon(epsilon)).type(x.dtype)


@operator("LpNormalization")
def lp_normalization(x: Tensor, *, axis: int = -1, p: int = 2) -> Tensor:
    """Where the norm is 0, so is the answer."""
    if p not in (1, 2):
        raise ModelError(f"its attribute 'p' is {p}, and must be 1 or 2")
    norm = x.norm(p, axis_of(axis, x.ndim), keepdim=True)
    return x / norm.masked_fill(norm == 0, 1.0)


@operator("LRN")
def lrn(x: Tensor, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0) -> Tensor:
    """By `size` neighbouring channels, (size - 1) // 2 of them before a channel."""
    if x.ndim < 2 or not 1 <= size < 1 << 24:
        raise ModelError(f"it takes (N, C, ...) and a size of at least 1, got {list(x.shape)} and {size}")
    (n, c), rest = x.shape[:2], product(x.shape[2:])
    # The channels become the height of an image that the others lie beside: a pool adds them up.
    squares = (x * x).reshape((n, c, 1, rest)).permute(0, 3, 1, 2)
    squares = squares.pad((0, 0, (size - 1) // 2, size // 2))
    sums = squares.avg_pool2d((size, 1), 1, divisor_override=1).permute(0, 2, 3, 1)
    return x / (sums.reshape(x.shape) * (alpha / size) + bias) ** beta


def _last_axes(x: Tensor, axis: int) -> Shape:
    if not x.ndim:
        raise ModelError("it takes at least one axis")
    return x.shape[axis_of(axis, x.ndim) :]


def _stashed(x: Tensor, stash_type: int) -> Tensor:
    """Return x in the precision that its statistics are computed in: 1 is float32."""
    return x.cast("float32") if stash_type == 1 and x.dtype.name == "float16" else x


def _epsilon(epsilon: float) -> float:
    if not 0 <= epsilon < float("inf"):
        raise ModelError(f"its attribute 'epsilon' is {epsilon}, and must be a number from 0 on")
    return epsilon
