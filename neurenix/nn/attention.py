"""MultiheadAttention. Names, arguments, parameter names and answers are PyTorch's."""

from __future__ import annotations

import math
from typing import Union

import numpy as np

from neurenix.dims import Size
from neurenix.errors import InputError, UnsupportedError
from neurenix.nn.layers import Dropout, Linear
from neurenix.nn.module import Module, Parameter
from neurenix.nn.scaled_attention import attend, causal_mask
from neurenix.tensor import Tensor, generator
from neurenix.tensor.normalization import HIDDEN

Mask = Union[Tensor, None]


class MultiheadAttention(Module):
    """Attention in `num_heads` parts of the width: query (L, N, E), key (S, N, kdim), value (S, N, vdim).

    `forward` returns the attended values (L, N, E) and, with `need_weights`, the weights (N, L, S), or (N, heads, L, S)
    unless averaged. With `batch_first` N comes first; without a batch N is left out. In `key_padding_mask` (N, S)
    and in a bool `attn_mask` (L, S) or (N * heads, L, S), True hides a key; float masks are added. Without `attn_mask`,
    `is_causal` hides every later position.
    """

    in_proj_weight: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None
    in_proj_bias: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
    ) -> None:
        super().__init__()
        if num_heads < 1 or embed_dim < 1 or embed_dim % num_heads:
            raise InputError(f"embed_dim {embed_dim} must be a multiple of num_heads {num_heads}")
        if add_bias_kv or add_zero_attn:
            raise UnsupportedError("add_bias_kv and add_zero_attn are not supported: leave them False")
        self.embed_dim, self.num_heads, self.batch_first = embed_dim, num_heads, batch_first
        self.kdim, self.vdim = kdim or embed_dim, vdim or embed_dim
        self.dropout = Dropout(dropout).p
        self.in_proj_weight = self.q_proj_weight = self.k_proj_weight = self.v_proj_weight = None
        if self.kdim == self.vdim == embed_dim:
            self.in_proj_weight = _xavier(3 * embed_dim, embed_dim)
        else:
            self.q_proj_weight = _xavier(embed_dim, embed_dim)
            self.k_proj_weight = _xavier(embed_dim, self.kdim)
            self.v_proj_weight = _xavier(embed_dim, self.vdim)
        self.in_proj_bias = Parameter(np.zeros(3 * embed_dim, np.float32)) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias=bias)
        if self.out_proj.bias is not None:
            self.out_proj.bias.numpy()[...] = 0

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Mask = None,
        need_weights: bool = True,
        attn_mask: Mask = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        batched, time = query.ndim == 3, 1 if self.batch_first and query.ndim == 3 else 0
        for name, given, width in zip(
            ("query", "key", "value"), (query, key, value), (self.embed_dim, self.kdim, self.vdim)
        ):
            if given.ndim not in (2, 3) or given.ndim != query.ndim or given.shape[-1] != width:
                raise InputError(f"the {name} must be a sequence of {width} values, got {list(given.shape)}")
        q, k, v = (self._heads(t, i, batched) for i, t in enumerate((query, key, value)))
        mask, causal = self._mask(attn_mask, key_padding_mask, is_causal, q, k)
        attended, weights = attend(q, k, v, mask, self.dropout if self.training else 0.0, causal, None)
        order = ((0, 2, 1, 3) if time else (2, 0, 1, 3)) if batched else (0, 2, 1, 3)
        output = self.out_proj(attended.permute(order).reshape(query.shape))
        if not need_weights:
            return output, None
        if average_attn_weights:
            weights = weights.mean(1)
        return output, weights if batched else weights[0]

    def _heads(self, x: Tensor, part: int, batched: bool) -> Tensor:
        """Project the query, key or value, and return it as (N, heads, length, width)."""
        size = self.embed_dim
        if self.in_proj_weight is not None:
            weight: Tensor = self.in_proj_weight[part * size : (part + 1) * size]
        else:
            weight = getattr(self, f"{'qkv'[part]}_proj_weight")
        y = x @ weight.transpose(0, 1)
        if self.in_proj_bias is not None:
            y = y + self.in_proj_bias[part * size : (part + 1) * size]
        y = y.reshape((*x.shape[:-1], self.num_heads, size // self.num_heads))
        if not batched:
            return y.reshape((1, *y.shape)).permute((0, 2, 1, 3))
        return y.permute((0, 2, 1, 3) if self.batch_first else (1, 2, 0, 3))

    def _mask(
        self, attn_mask: Mask, padding: Mask, is_causal: bool, q: Tensor, k: Tensor
    ) -> tuple[Tensor | None, bool]:
        """Join both masks into one that broadcasts to (N, heads, L, S), True where a key is seen."""
        (batch, heads, rows, _), columns = q.shape, k.shape[2]
        if is_causal and attn_mask is None:
            if padding is None:
                return None, True
            attn_mask = ~causal_mask(rows, columns)
        if attn_mask is not None:
            attn_mask = _checked(attn_mask, [(rows, columns), (batch * heads, rows, columns)], "attn_mask")
            if attn_mask.ndim == 3:
                attn_mask = attn_mask.reshape((batch, heads, rows, columns))
        if padding is not None:
            shapes: list[tuple[Size, ...]] = [(batch, columns)] if padding.ndim == 2 else [(columns,)]
            padding = _checked(padding, shapes, "key_padding_mask").reshape((batch, 1, 1, columns))
        masks = [m for m in (attn_mask, padding) if m is not None]
        if not masks:
            return None, False
        if all(m.dtype.name == "bool" for m in masks):
            return ~(masks[0] | masks[1] if len(masks) == 2 else masks[0]), False
        floats = [_added(m, q) for m in masks]
        return floats[0] if len(floats) == 1 else floats[0] + floats[1], False


def _checked(mask: Tensor, shapes: list[tuple[Size, ...]], name: str) -> Tensor:
    if tuple(mask.shape) not in shapes:
        wanted = " or ".join(str(list(s)) for s in shapes)
        raise InputError(f"{name} must be {wanted}, got {list(mask.shape)}")
    if mask.dtype.name != "bool" and mask.dtype.numpy.kind != "f":
        raise InputError(f"{name} is bool or float, got {mask.dtype}")
    return mask


def _added(mask: Tensor, like: Tensor) -> Tensor:
    """Return a mask as what is added to the scores."""
    if mask.dtype.name != "bool":
        return mask
    return mask.cast(like.dtype.name) * HIDDEN


def _xavier(rows: int, columns: int) -> Parameter:
    """Draw from U(-b, b) with b = sqrt(6 / (fan_in + fan_out))."""
    bound = math.sqrt(6 / (rows + columns))
    return Parameter(generator().uniform(-bound, bound, (rows, columns)).astype(np.float32))
