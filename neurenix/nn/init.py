"""Initial weights: functions that fill a tensor in place and return it, as in `torch.nn.init`.

Each draws from the generator that `neurenix.manual_seed` seeds. `uniform` alone returns a new array: the default
of linear and convolution layers.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from neurenix.errors import InputError
from neurenix.tensor import Tensor, generator

Array = np.ndarray[Any, Any]
FanMode = Literal["fan_in", "fan_out"]

_GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}
_GAINS |= {f"conv{turned}{n}d": 1.0 for turned in ("", "_transpose") for n in (1, 2, 3)}


def uniform(shape: tuple[int, ...], fan_in: int) -> Array:
    """Draw from U(-b, b) with b = 1 / sqrt(fan_in): `kaiming_uniform_` with a = sqrt(5), PyTorch's default."""
    bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
    return generator().uniform(-bound, bound, shape).astype(np.float32)


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return the factor by which an activation shrinks its input's spread, the gain that evens it out.

    `param` is leaky_relu's slope, 0.01 by default. Raises InputError for an unknown activation.
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _GAINS:
        raise InputError(f"no gain is known for '{nonlinearity}'; there is one for leaky_relu, {', '.join(_GAINS)}")
    return _GAINS[nonlinearity]


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Fill with draws from U(a, b)."""
    return _filled(tensor, np.asarray(generator().uniform(a, b, tensor.numpy().shape)))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Fill with draws from the normal distribution."""
    return _filled(tensor, np.asarray(generator().normal(mean, std, tensor.numpy().shape)))


def trunc_normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0) -> Tensor:
    """Fill with draws from the normal distribution that lie in [a, b]: those outside are drawn again."""
    drawn = np.asarray(generator().normal(mean, std, tensor.numpy().shape))
    _require_reachable(mean, std, a, b)
    while (outside := (drawn < a) | (drawn > b)).any():
        drawn[outside] = generator().normal(mean, std, int(outside.sum()))
    return _filled(tensor, drawn)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one number."""
    return _filled(tensor, np.asarray(val))


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with 0."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with 1."""
    return constant_(tensor, 1.0)


def eye_(tensor: Tensor) -> Tensor:
    """Fill a matrix with 1 on its diagonal and 0 elsewhere."""
    if tensor.ndim != 2:
        raise InputError(f"eye_ fills a matrix, got the shape {list(tensor.shape)}")
    return _filled(tensor, np.eye(*tensor.numpy().shape))


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Fill from U(-b, b) with b = gain sqrt(6 / (fan_in + fan_out)): Glorot and Bengio, 2010."""
    bound = gain * math.sqrt(6 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Fill from N(0, s²) with s = gain sqrt(2 / (fan_in + fan_out))."""
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(fans(tensor))))


def kaiming_uniform_(
    tensor: Tensor, a: float = 0.0, mode: FanMode = "fan_in", nonlinearity: str = "leaky_relu"
) -> Tensor:
    """Fill from U(-b, b) with b = gain sqrt(3 / fan); `a` is the slope of a leaky relu: He et al., 2015."""
    bound = math.sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(
    tensor: Tensor, a: float = 0.0, mode: FanMode = "fan_in", nonlinearity: str = "leaky_relu"
) -> Tensor:
    """Fill from N(0, s²) with s = gain / sqrt(fan); `a` is the slope of a leaky relu."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity))


def orthogonal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Fill with a matrix whose rows or columns, the fewer, are orthonormal; further axes count as columns."""
    if tensor.ndim < 2:
        raise InputError(f"orthogonal_ needs at least two axes, got the shape {list(tensor.shape)}")
    rows = tensor.numpy().shape[0]
    drawn = generator().standard_normal((rows, tensor.numpy().size // max(rows, 1)))
    if rows < drawn.shape[1]:
        drawn = drawn.T
    q, r = np.linalg.qr(drawn)
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)  # so that every orthogonal matrix is equally likely
    q = q.T if rows < drawn.shape[0] else q
    return _filled(tensor, gain * q.reshape(tensor.numpy().shape))


def fans(tensor: Tensor) -> tuple[int, int]:
    """Return the numbers of inputs and outputs of each unit of a weight (out, in, *kernel)."""
    if tensor.ndim < 2:
        raise InputError(f"fans are known of weights with at least two axes, got the shape {list(tensor.shape)}")
    out, into, *kernel = tensor.numpy().shape
    field = math.prod(kernel)
    return into * field, out * field


def _kaiming_std(tensor: Tensor, a: float, mode: FanMode, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise InputError(f"mode must be 'fan_in' or 'fan_out', got {mode!r}")
    fan = fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan) if fan else 0.0


def _require_reachable(mean: float, std: float, a: float, b: float) -> None:
    if not a < b:
        raise InputError(f"trunc_normal_: a must be less than b, got {a} and {b}")
    if mean < a - 4 * std or mean > b + 4 * std:
        raise InputError(f"trunc_normal_: [{a}, {b}] lies more than 4 deviations from the mean {mean}")


def _filled(tensor: Tensor, values: Array) -> Tensor:
    tensor.numpy()[...] = values
    return tensor
