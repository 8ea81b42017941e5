"""TransformerEncoderLayer and TransformerEncoder. Names, arguments, parameter names and answers are PyTorch's."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Union

from neurenix.errors import InputError
from neurenix.nn.attention import Mask, MultiheadAttention
from neurenix.nn.containers import ModuleList
from neurenix.nn.layers import Dropout, Linear
from neurenix.nn.module import Module
from neurenix.nn.normalization import LayerNorm
from neurenix.tensor import Tensor

Activation = Union[str, Callable[[Tensor], Tensor]]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": lambda x: x.relu(), "gelu": lambda x: x.gelu()}


class TransformerEncoderLayer(Module):
    """Self-attention, then two Linear layers, each added to what it started from and normalised.

    With `norm_first` the normalisation stands before each part and not behind it. Shapes and masks are those of
    MultiheadAttention; `activation` is "relu", "gelu" or a function of a tensor.
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if isinstance(activation, str) and activation not in ACTIVATIONS:
            raise InputError(f"the activation {activation!r} is none of {', '.join(ACTIVATIONS)}, nor a function")
        self.d_model, self.nhead, self.dim_feedforward = d_model, nhead, dim_feedforward
        self.norm_first, self.layer_norm_eps, self.batch_first = norm_first, layer_norm_eps, batch_first
        self.activation = activation
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first)
        self.linear1 = Linear(d_model, dim_feedforward, bias=bias)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias=bias)
        self.norm1 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias)
        self.norm2 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias)
        self.dropout1, self.dropout2 = Dropout(dropout), Dropout(dropout)

    def forward(
        self, src: Tensor, src_mask: Mask = None, src_key_padding_mask: Mask = None, is_causal: bool = False
    ) -> Tensor:
        x = src
        if self.norm_first:
            x = x + self._attend(self.norm1(x), src_mask, src_key_padding_mask, is_causal)
            result: Tensor = x + self._feed_forward(self.norm2(x))
        else:
            x = self.norm1(x + self._attend(x, src_mask, src_key_padding_mask, is_causal))
            result = self.norm2(x + self._feed_forward(x))
        return result

    def _attend(self, x: Tensor, mask: Mask, padding: Mask, is_causal: bool) -> Tensor:
        y, _ = self.self_attn(
            x, x, x, key_padding_mask=padding, need_weights=False, attn_mask=mask, is_causal=is_causal
        )
        dropped: Tensor = self.dropout1(y)
        return dropped

    def _feed_forward(self, x: Tensor) -> Tensor:
        function = ACTIVATIONS[self.activation] if isinstance(self.activation, str) else self.activation
        dropped: Tensor = self.dropout2(self.linear2(self.dropout(function(self.linear1(x)))))
        return dropped


class TransformerEncoder(Module):
    """`num_layers` copies of an encoder layer, one behind the other, and a last normalisation where one is given.

    `enable_nested_tensor` and `mask_check` are accepted for the sake of code written for PyTorch and change nothing.
    """

    def __init__(
        self, encoder_layer: Module, num_layers: int, norm: Module | None = None, enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        if num_layers < 1:
            raise InputError(f"num_layers must be at least 1, got {num_layers}")
        self.layers = ModuleList([copy.deepcopy(encoder_layer) for _ in range(num_layers)])
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self, src: Tensor, mask: Mask = None, src_key_padding_mask: Mask = None, is_causal: bool = False
    ) -> Tensor:
        x = src
        for layer in self.layers:
            x = layer(x, src_mask=mask, src_key_padding_mask=src_key_padding_mask, is_causal=is_causal)
        result: Tensor = x if self.norm is None else self.norm(x)
        return result
