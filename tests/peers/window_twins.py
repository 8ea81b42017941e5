"""PyTorch's word for the rows that take whole windows, matrices, rows or sequences: see op_twins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Twin = Callable[..., Tensor]

# ── products and windows ────────────────────────────────────────────────────────────────────────────


def _transpose(linear: Twin, shape: Sequence[int], g: Tensor) -> Tensor:
    """Apply the transpose of a linear function of tensors of a shape, as autograd finds it."""
    x = torch.zeros(tuple(shape), dtype=g.dtype, requires_grad=True)
    return torch.autograd.grad(linear(x), x, g, create_graph=True)[0]


def _bordered(x: Tensor, padding: Sequence[int], value: float = 0.0) -> Tensor:
    """Return an image with the padding (top, left, bottom, right) around it, which no window of PyTorch's takes."""
    top, left, bottom, right = padding
    return F.pad(x, (left, right, top, bottom), value=value)


def _im2col(x: Tensor, kernel_size: Any, padding: Any, **window: Any) -> Tensor:
    """Unfold, with an image's windows beside each other: (C KH KW, N OH OW) where PyTorch has (N, C KH KW, OH OW)."""
    if len(padding) == 4:
        x, padding = _bordered(x, padding), 0
    columns = F.unfold(x, kernel_size, padding=padding, **window)
    return columns.transpose(0, 1).reshape(columns.shape[1], -1)


def _col2im(columns: Tensor, shape: Any, kernel_size: Any, padding: Any, **window: Any) -> Tensor:
    if len(padding) == 4:
        return _transpose(lambda x: _im2col(x, kernel_size, padding, **window), shape, columns)
    parts = columns.reshape(columns.shape[0], shape[0], -1).transpose(0, 1)
    return F.fold(parts, tuple(shape[2:]), kernel_size, padding=padding, **window)


def _conv2d(x: Tensor, w: Tensor, padding: Any, layout: str = "NCHW", **options: Any) -> Tensor:
    if len(padding) == 4:
        x, padding = _bordered(x, padding), 0
    return F.conv2d(x, w, padding=padding, **options)


def _depthwise2d(x: Tensor, w: Tensor, kernel_size: Any, **window: Any) -> Tensor:
    return _conv2d(x, w, groups=x.shape[1], **window)


def _conv2d_input_gradient(g: Tensor, w: Tensor, shape: Any, padding: Any, **options: Any) -> Tensor:
    if len(padding) == 4:
        return _transpose(lambda x: _conv2d(x, w, padding, **options), shape, g)
    return torch.nn.grad.conv2d_input(tuple(shape), w, g, padding=padding, **options)


def _conv2d_weight_gradient(g: Tensor, x: Tensor, kernel_size: Any, padding: Any, groups: int, **window: Any) -> Tensor:
    if len(padding) == 4:
        x, padding = _bordered(x, padding), 0
    shape = (g.shape[1], x.shape[1] // groups, *kernel_size)
    return torch.nn.grad.conv2d_weight(x, shape, g, padding=padding, groups=groups, **window)


def _avg_pool2d(x: Tensor, layout: str, padding: Any, **window: Any) -> Tensor:
    if len(padding) == 2:
        return F.avg_pool2d(x, padding=padding, **window)
    window = {**window, "ceil_mode": False}
    sums = {**window, "divisor_override": 1}
    counted = F.avg_pool2d(_bordered(torch.ones_like(x), padding), **sums)
    return F.avg_pool2d(_bordered(x, padding), **sums) / (window["divisor_override"] or counted)


def _max_pool2d(x: Tensor, layout: str, padding: Any, **window: Any) -> tuple[Tensor, Tensor]:
    if len(padding) == 2:
        return F.max_pool2d_with_indices(x, padding=padding, **window)
    wide, (top, left, *_) = _bordered(x, padding, float("-inf")), padding
    y, places = F.max_pool2d_with_indices(wide, **{**window, "ceil_mode": False})
    rows, columns = places // wide.shape[3] - top, places % wide.shape[3] - left
    return y, rows * x.shape[3] + columns


def _adaptive_max_pool2d(x: Tensor, output_size: Any, layout: str) -> tuple[Tensor, Tensor]:
    return F.adaptive_max_pool2d_with_indices(x, output_size)


def _winners(pool: Callable[..., tuple[Tensor, Tensor]], put: bool) -> Twin:
    """Return what moves values to, or from, the places where a pooling found its maxima."""

    def move(x: Tensor, v: Tensor, *_: Tensor, **attrs: Any) -> Tensor:
        places = pool(x.detach(), **attrs)[1]
        if put:
            return torch.zeros_like(x).flatten(2).scatter_add(2, places.flatten(2), v.flatten(2)).reshape(x.shape)
        return v.flatten(2).gather(2, places.flatten(2)).reshape(places.shape)

    return move


def _attention(
    query: Tensor, key: Tensor, value: Tensor, *masks: Tensor, scale: float, mask: str, hidden: float, inside: bool
) -> Tensor:
    q, k, v = (x.transpose(-2, -3) if inside else x for x in (query, key, value))
    leading = torch.broadcast_shapes(*(x.shape[:-2] for x in (q, k, v)))
    q, k, v = (x.expand(*leading, *x.shape[-2:]) for x in (q, k, v))
    added = None
    if mask != "none":  # what is hidden is so low that a score added to it makes no difference
        added = masks[0] if mask == "add" else torch.where(masks[0] > 0, 0, hidden).to(q.dtype)
        added = added.expand(*leading, q.shape[-2], k.shape[-2])
    y = F.scaled_dot_product_attention(q, k, v, added, scale=scale)
    return y.transpose(-2, -3) if inside else y


WINDOWS: dict[str, Twin] = {
    "matmul": torch.matmul,
    "linear": F.linear,
    "batch_matmul": lambda a, b, transposed: torch.matmul(a, b.mT if transposed else b),
    "attention": _attention,
    "conv2d": _conv2d,
    "im2col": _im2col,
    "col2im": _col2im,
    "biased_conv2d": lambda x, w, b, **options: _conv2d(x, w, **options) + b[:, None, None],
    "conv2d_input_gradient": _conv2d_input_gradient,
    "conv2d_weight_gradient": _conv2d_weight_gradient,
    "depthwise2d": _depthwise2d,
    "max_pool2d": lambda x, **attrs: _max_pool2d(x, **attrs)[0],
    "max_pool2d_scatter": _winners(_max_pool2d, put=True),
    "max_pool2d_gather": _winners(_max_pool2d, put=False),
    "max_pool2d_indices": lambda x, **attrs: _max_pool2d(x, **attrs)[1],
    "avg_pool2d": _avg_pool2d,
    "avg_pool2d_spread": lambda g, shape, **attrs: _transpose(lambda x: _avg_pool2d(x, **attrs), shape, g),
    "adaptive_avg_pool2d": lambda x, output_size, layout: F.adaptive_avg_pool2d(x, output_size),
    "adaptive_avg_pool2d_spread": lambda g, shape: _transpose(
        lambda x: F.adaptive_avg_pool2d(x, tuple(g.shape[2:])), shape, g
    ),
    "adaptive_max_pool2d": lambda x, **attrs: _adaptive_max_pool2d(x, **attrs)[0],
    "adaptive_max_pool2d_scatter": _winners(_adaptive_max_pool2d, put=True),
    "adaptive_max_pool2d_gather": _winners(_adaptive_max_pool2d, put=False),
}

# ── normalisation and recurrence ────────────────────────────────────────────────────────────────────


def _moments(x: Tensor, axes: Sequence[int]) -> Tensor:
    variance, mean = torch.var_mean(x, tuple(axes), correction=0, keepdim=True)
    return torch.stack([mean, variance])


def _standard(x: Tensor, moments: Tensor, eps: float) -> Tensor:
    return (x - moments[0]) * torch.rsqrt(moments[1] + eps)


def _batch_norm(x: Tensor, moments: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    along = (1, -1, *(1,) * (x.ndim - 2))
    return torch.addcmul(bias.reshape(along), _standard(x, moments, eps), weight.reshape(along))


def _batch_norm_sums(g: Tensor, x: Tensor, moments: Tensor, eps: float) -> Tensor:
    axes = (0, *range(2, x.ndim))
    return torch.stack([g.sum(axes), (g * _standard(x, moments, eps)).sum(axes)])


def _batch_norm_input_gradient(
    g: Tensor, x: Tensor, moments: Tensor, weight: Tensor, sums: Tensor, eps: float
) -> Tensor:
    """PyTorch has none that is given its sums: the formula, in its own operations."""
    along = (1, -1, *(1,) * (x.ndim - 2))
    z = _standard(x, moments, eps)
    by_mean, by_variance = (s.reshape(along) / (x.numel() // x.shape[1]) for s in sums)
    return (g - by_mean - z * by_variance) * weight.reshape(along) * torch.rsqrt(moments[1] + eps)


def _cross_entropy_gradient(x: Tensor, labels: Tensor, shares: Tensor) -> Tensor:
    axis = 0 if x.ndim == 1 else 1
    hot = F.one_hot(labels.long(), x.shape[axis]).movedim(-1, axis)
    return (torch.softmax(x, axis) - hot) * shares.unsqueeze(axis)


Cell = Callable[[Tensor, tuple[Tensor, ...]], tuple[Tensor, ...]]


def _steps(cell: Cell, x: Tensor, states: Sequence[Tensor], lengths: Tensor, reverse: bool) -> Tensor:
    """Run a cell over x (T, N, gates H); beyond its length a sequence keeps its state."""
    steps, batch = x.shape[:2]
    state = tuple(s.expand(batch, -1) for s in states)
    ends = lengths.expand(batch)[:, None]
    found = {}
    for t in range(steps)[::-1] if reverse else range(steps):
        state = tuple(torch.where(t < ends, new, old) for new, old in zip(cell(x[t], state), state))
        found[t] = torch.cat(state, 1)
    return torch.stack([found[t] for t in range(steps)])


def _unit(x: Tensor) -> Tensor:
    """Return the input's weight in PyTorch's cells: x is the product already."""
    return torch.eye(x.shape[-1], dtype=x.dtype)


def _rnn(x: Tensor, r: Tensor, h0: Tensor, lengths: Tensor, activation: str, reverse: bool) -> Tensor:
    step = torch.rnn_tanh_cell if activation == "tanh" else torch.rnn_relu_cell
    return _steps(lambda v, state: (step(v, state[0], _unit(x), r.T),), x, [h0], lengths, reverse)


def _lstm(x: Tensor, r: Tensor, h0: Tensor, c0: Tensor, lengths: Tensor, reverse: bool) -> Tensor:
    return _steps(lambda v, state: torch.lstm_cell(v, state, _unit(x), r.T), x, [h0, c0], lengths, reverse)


def _gru(
    x: Tensor, r: Tensor, b: Tensor, h0: Tensor, lengths: Tensor, linear_before_reset: bool, reverse: bool
) -> Tensor:
    assert linear_before_reset, "PyTorch's GRU multiplies before it resets"
    bias = torch.cat([torch.zeros(2 * len(b), dtype=b.dtype), b])
    none = torch.zeros_like(bias)
    return _steps(lambda v, state: (torch.gru_cell(v, state[0], _unit(x), r.T, none, bias),), x, [h0], lengths, reverse)


NORMALIZATION: dict[str, Twin] = {
    "softmax": lambda x, axis: torch.softmax(x, axis),
    "log_softmax": lambda x, axis: torch.log_softmax(x, axis),
    "standardize": lambda x, eps: F.layer_norm(x, x.shape[-1:], eps=eps),
    "rms_norm": lambda x, eps: F.rms_norm(x, x.shape[-1:], eps=eps),
    "moments": _moments,
    "batch_norm": _batch_norm,
    "batch_norm_sums": _batch_norm_sums,
    "batch_norm_input_gradient": _batch_norm_input_gradient,
    "cross_entropy": lambda x, labels, shares: F.cross_entropy(x, labels.long(), reduction="none") * shares,
    "cross_entropy_gradient": _cross_entropy_gradient,
    "product_sum": lambda a, b, axes: (a * b).sum(tuple(axes), keepdim=True),
    "rnn": _rnn,
    "lstm": _lstm,
    "gru": _gru,
}
