"""PyTorch's word for each row of the op table: a function of the row's inputs, as tensors, and its attributes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from window_twins import NORMALIZATION, WINDOWS

Twin = Callable[..., Tensor]

# Rows that PyTorch has no op for, and where else they are compared with something independent.
LACKING = {
    "map": "its scalar expression is an attribute; PyTorch has no op that is given its function (test_ops, test_expr)",
    "non_max_suppression": "PyTorch has none without torchvision (test_selecting: ONNX Runtime's)",
    "linear_scan": "a first-order recurrence along an axis; PyTorch has cumsum and cumprod alone (test_ops: a loop, "
    "and cumprod's gradient, which is made of it, is compared here)",
}


def _plain(*names: str, of: Any = torch) -> dict[str, Twin]:
    """Return the rows that PyTorch calls the same and that have no attributes, or ones of the same names."""
    return {name: getattr(of, name) for name in names}


# ── elementwise ─────────────────────────────────────────────────────────────────────────────────────


def _prelu(x: Tensor, a: Tensor) -> Tensor:
    if a.numel() == 1 and a.ndim <= x.ndim:
        return F.prelu(x, a.reshape(1))
    return torch.where(x > 0, x, a * x)  # PyTorch's slopes belong to channels; ours broadcast


def _hard_sigmoid(x: Tensor, alpha: float, beta: float) -> Tensor:
    if (alpha, beta) == (1 / 6, 0.5):
        return F.hardsigmoid(x)
    return (alpha * x + beta).clamp(0, 1)


ELEMENTWISE: dict[str, Twin] = {
    **_plain(
        "add", "sub", "mul", "div", "pow", "maximum", "minimum", "neg", "abs", "sign", "floor", "ceil", "round",
        "trunc", "square", "sqrt", "rsqrt", "reciprocal", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p",
        "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf", "atan2",
        "sigmoid", "relu", "eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor",
        "logical_not", "isnan", "isinf", "isfinite", "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not",
        "bitwise_left_shift", "bitwise_right_shift", "where",
    ),
    **_plain("relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus", "softsign", "threshold",
             of=F),
    "floor_divide": lambda a, b: torch.div(a, b, rounding_mode="floor"),
    "mod": lambda a, b, fmod: (torch.fmod if fmod else torch.remainder)(a, b),
    "clip": lambda x, min, max: x.clone() if min is None and max is None else torch.clamp(x, min, max),
    "log_sigmoid": F.logsigmoid,
    "prelu": _prelu,
    "relu_gradient": lambda g, y: torch.where(y == 0, 0, g),
    "hard_sigmoid": _hard_sigmoid,
    "hard_swish": F.hardswish,
    "hard_tanh": F.hardtanh,
    "cast": lambda x, dtype: x.to(getattr(torch, dtype)),
    "scale_shift": lambda x, scale, shift: torch.addcmul(shift, x, scale),
}  # fmt: skip

# ── reductions, scans, sorting ──────────────────────────────────────────────────────────────────────


def _dims(x: Tensor, axes: Sequence[int] | None) -> tuple[int, ...]:
    return tuple(range(x.ndim)) if axes is None else tuple(axes)


def _mean(x: Tensor, axes: Any, keepdims: bool, correction: int) -> Tensor:
    if correction == 0:
        return x.mean(_dims(x, axes), keepdim=keepdims)
    total = x.sum(_dims(x, axes), keepdim=keepdims)
    return total / max(x.numel() // total.numel() - correction, 0)


def _prod(x: Tensor, axes: Any, keepdims: bool) -> Tensor:
    """One axis after another: torch.prod takes one."""
    for axis in sorted((a % x.ndim for a in _dims(x, axes)), reverse=True):
        x = x.prod(axis, keepdim=keepdims)
    return x.prod() if x.ndim == 0 else x


def _scan(function: Twin, first: int) -> Twin:
    """Return a scan that PyTorch has forwards and with each element itself: turned round, or one place later."""

    def scan(x: Tensor, axis: int, exclusive: bool, reverse: bool) -> Tensor:
        if x.ndim == 0:
            return scan(x.reshape(1), 0, exclusive, reverse).reshape(())
        x = x.flip(axis) if reverse else x
        if exclusive:
            count = x.shape[axis]
            x = torch.cat([torch.full_like(x.narrow(axis, 0, 1), first), x.narrow(axis, 0, count - 1)], axis)
        y = function(x, axis)
        return y.flip(axis) if reverse else y

    return scan


def _argsort_rows(x: Tensor) -> Tensor:
    """Sort by the last column, then by the one before it: a stable sort keeps the earlier order."""
    order = torch.arange(len(x))
    for column in x.reshape(len(x), -1).T.flip(0):
        order = order[torch.argsort(column[order], stable=True)]
    return order


REDUCTIONS: dict[str, Twin] = {
    "sum": lambda x, axes, keepdims: x.sum(_dims(x, axes), keepdim=keepdims),
    "mean": _mean,
    "prod": _prod,
    "max": lambda x, axes, keepdims: x.amax(_dims(x, axes), keepdim=keepdims),
    "min": lambda x, axes, keepdims: x.amin(_dims(x, axes), keepdim=keepdims),
    # PyTorch's any and all of uint8 are uint8
    "any": lambda x, axes, keepdims: torch.any(x, _dims(x, axes), keepdim=keepdims).bool(),
    "all": lambda x, axes, keepdims: torch.all(x, _dims(x, axes), keepdim=keepdims).bool(),
    "l1_norm": lambda x, axes, keepdims: torch.linalg.vector_norm(x, 1, _dims(x, axes), keepdim=keepdims),
    "l2_norm": lambda x, axes, keepdims: torch.linalg.vector_norm(x, 2, _dims(x, axes), keepdim=keepdims),
    "sum_square": lambda x, axes, keepdims: x.square().sum(_dims(x, axes), keepdim=keepdims),
    "argmax": lambda x, axis, keepdims: x.argmax(axis, keepdim=keepdims),
    "argmin": lambda x, axis, keepdims: x.argmin(axis, keepdim=keepdims),
    "cumsum": _scan(torch.cumsum, 0),
    "cumprod": _scan(torch.cumprod, 1),
    "argsort": lambda x, axis, descending: torch.argsort(x, dim=axis, descending=descending, stable=True),
    "argsort_rows": _argsort_rows,
    "nonzero": lambda x: F.pad(x.nonzero().T, (0, x.numel() - x.count_nonzero()), value=-1),
}

# ── movement ────────────────────────────────────────────────────────────────────────────────────────

_REDUCE = {"mul": "prod", "max": "amax", "min": "amin"}


def _from_start(indices: Tensor, size: int) -> Tensor:
    """Return indices as PyTorch's functions take them: int64, counted from the start."""
    return torch.where(indices < 0, indices + size, indices).long()


def _slice(x: Tensor, starts: Any, stops: Any, steps: Any) -> Tensor:
    """Each axis by the positions that Python's slice has on it: PyTorch's own takes no negative steps."""
    for axis, each in enumerate(zip(starts, stops, steps)):
        x = x.index_select(axis, torch.tensor(range(x.shape[axis])[slice(*each)]))
    return x


def _window(shape: Sequence[int], starts: Any, steps: Any) -> tuple[slice, ...]:
    return tuple(slice(b, b + n * s, s) for b, n, s in zip(starts, shape, steps or (1,) * len(shape)))


def _pad(x: Tensor, value: Tensor, before: Any, after: Any, steps: Any, fill: bool) -> Tensor:
    steps = steps or (1,) * x.ndim
    shape = [b + (n - 1) * s + 1 + a for b, n, s, a in zip(before, x.shape, steps, after)]
    result = value.reshape(()).expand(shape).clone()
    result[_window(x.shape, before, steps)] = x
    return result


def _place(y: Tensor, x: Tensor, starts: Any, steps: Any) -> Tensor:
    result = y.clone()
    result[_window(x.shape, starts, steps)] = x
    return result


def _gather_nd(x: Tensor, indices: Tensor, batch_dims: int) -> Tensor:
    places = list(indices.long().unbind(-1))
    lead = [torch.arange(x.shape[0])[:, None]] if batch_dims else []
    return x[(*lead, *places)]


def _scatter(y: Tensor, indices: Tensor, x: Tensor, axis: int, reduction: str) -> Tensor:
    places = _from_start(indices, y.shape[axis])
    if reduction == "none":
        return y.index_copy(axis, places, x)
    if reduction == "add":
        return y.index_add(axis, places, x)
    return y.index_reduce(axis, places, x, _REDUCE[reduction])


def _scatter_elements(y: Tensor, indices: Tensor, x: Tensor, axis: int, reduction: str) -> Tensor:
    places = _from_start(indices, y.shape[axis])
    if reduction == "none":
        return y.scatter(axis, places, x)
    if reduction == "add":
        return y.scatter_add(axis, places, x)
    return y.scatter_reduce(axis, places, x, _REDUCE[reduction])


def _scatter_nd(y: Tensor, indices: Tensor, x: Tensor, batch_dims: int, reduction: str) -> Tensor:
    """The named places of y as the rows of a matrix, which index_copy and its like write to."""
    depth = indices.shape[-1]
    sizes = y.shape[: batch_dims + depth]
    row = torch.arange(y.shape[0])[:, None] if batch_dims else torch.tensor(0)
    for j, size in enumerate(sizes[batch_dims:]):
        row = row * size + _from_start(indices[..., j], size)
    rows = y.reshape(sizes.numel(), -1)
    return _scatter(rows, row.reshape(-1), x.reshape(row.numel(), -1), 0, reduction).reshape(y.shape)


MOVEMENT: dict[str, Twin] = {
    "reshape": lambda x, shape: x.reshape(shape),
    "permute": lambda x, axes: x.permute(axes),
    "expand": lambda x, shape: x.expand(shape),
    "iota": lambda size, dtype: torch.arange(size).to(getattr(torch, dtype)),
    "dimension": lambda size, dtype: torch.tensor(size).to(getattr(torch, dtype)),
    "slice": _slice,
    "pad": _pad,
    "place": _place,
    "concat": lambda *xs, axis: torch.cat(xs, axis),
    "gather": lambda x, indices, axis: x[(slice(None),) * (axis % x.ndim) + (indices,)],
    "gather_elements": lambda x, indices, axis: torch.gather(x, axis, _from_start(indices, x.shape[axis])),
    "gather_nd": _gather_nd,
    "scatter": _scatter,
    "scatter_elements": _scatter_elements,
    "scatter_nd": _scatter_nd,
}

TWINS: dict[str, Twin] = {**ELEMENTWISE, **REDUCTIONS, **MOVEMENT, **WINDOWS, **NORMALIZATION}
