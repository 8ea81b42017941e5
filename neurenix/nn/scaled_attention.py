"""Scaled dot-product attention: how much each query takes of each value."""

from __future__ import annotations

import math

from neurenix.dims import Size
from neurenix.errors import InputError
from neurenix.nn.layer_functions import dropout
from neurenix.tensor import Tensor, arange


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """Return softmax(query keyᵀ * scale + mask) value; query (…, L, E), key (…, S, E), value (…, S, V).

    `attn_mask` broadcasts to (…, L, S): where a bool one is False nothing is seen, a float one is added. With
    `is_causal` position l sees the positions up to l. A query that sees nothing gives 0. `scale` is 1 / sqrt(E)
    unless given. Dropout is applied whenever `dropout_p` is not 0.
    """
    return attend(query, key, value, attn_mask, dropout_p, is_causal, scale)[0]


def attend(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout_p: float, causal: bool, scale: float | None
) -> tuple[Tensor, Tensor]:
    """Return the attended values and the weights, which are even for a query that sees nothing.

    A mask is as in `scaled_dot_product_attention`.
    """
    if causal and mask is not None:
        raise InputError("is_causal makes a mask of its own: pass attn_mask or is_causal, not both")
    width = query.shape[-1]
    assert isinstance(width, int)
    scores = (query * (1 / math.sqrt(width) if scale is None else scale)) @ key.transpose(-2, -1)
    if causal:
        mask = causal_mask(query.shape[-2], key.shape[-2])
    if mask is None:
        weights = scores.softmax(-1)
    elif mask.dtype.name == "bool":
        weights = scores.masked_softmax(mask, -1)
    elif mask.dtype.numpy.kind == "f":
        weights = (scores + mask).softmax(-1)
    else:
        raise InputError(f"an attention mask is bool or float, got {mask.dtype}")
    if dropout_p:
        weights = dropout(weights, dropout_p)
    attended = weights @ value
    if mask is not None and mask.dtype.name == "bool" and not causal:
        attended = attended * mask.any(-1, keepdim=True).cast(value.dtype.name)
    return attended, weights


def causal_mask(rows: Size, columns: Size) -> Tensor:
    """Return a bool mask (rows, columns): position l sees the positions up to l."""
    return arange(rows).unsqueeze(1) >= arange(columns)
