"""Attention and the transformer encoder against PyTorch's: the same weights by name, the same answers and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch_twin import Twin

from neurenix import nn
from neurenix.tensor import Tensor

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore:.*enable_nested_tensor.*:UserWarning")]

L, S, N, E, HEADS = 5, 6, 3, 8, 2
RNG = np.random.default_rng(8)
HIDDEN_KEYS = np.array([[0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 0, 0], [0, 1, 0, 1, 0, 1]], dtype=bool)
HIDDEN_PAIRS = np.triu(np.ones((L, S), dtype=bool), 2)
ADDED_PAIRS = RNG.standard_normal((L, S))
EVERY_PAIR = RNG.random((N * HEADS, L, S)) < 0.3
EVERY_PAIR[..., 0] = False


def _both(*arrays: Any) -> tuple[list[Any], list[Any]]:
    ours = [None if a is None else Tensor(a) for a in arrays]
    return ours, [None if a is None else torch.from_numpy(a) for a in arrays]


ATTENTIONS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"bias": False}, {}),
    ({"batch_first": True}, {"key_padding_mask": HIDDEN_KEYS}),
    ({"kdim": 4, "vdim": 7}, {"attn_mask": HIDDEN_PAIRS}),
    ({"kdim": 4, "batch_first": True}, {"attn_mask": ADDED_PAIRS, "average_attn_weights": False}),
    ({}, {"attn_mask": EVERY_PAIR, "average_attn_weights": False}),
    ({}, {"attn_mask": HIDDEN_PAIRS, "key_padding_mask": HIDDEN_KEYS}),
    ({"batch_first": True}, {"attn_mask": ADDED_PAIRS, "key_padding_mask": -2.0 * HIDDEN_KEYS}),
    ({}, {"attn_mask": ADDED_PAIRS, "need_weights": False}),
]


@pytest.mark.parametrize(("options", "call"), ATTENTIONS, ids=range(len(ATTENTIONS)))
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_multihead_attention_agrees(options: dict[str, Any], call: dict[str, Any], precision: str) -> None:
    torch.manual_seed(2)
    theirs = torch.nn.MultiheadAttention(E, HEADS, **options)
    twin = Twin(nn.MultiheadAttention(E, HEADS, **options), theirs, precision)
    lead = (lambda n: (N, n)) if options.get("batch_first") else (lambda n: (n, N))
    inputs = [
        twin.input((*lead(n), width), seed)
        for seed, (n, width) in enumerate([(L, E), (S, options.get("kdim", E)), (S, options.get("vdim", E))])
    ]
    given = {k: v.astype(precision) if getattr(v, "dtype", None) == np.float64 else v for k, v in call.items()}
    ours = {k: Tensor(v) if isinstance(v, np.ndarray) else v for k, v in given.items()}
    wanted = {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in given.items()}
    a = [r for r in twin.ours(*(i[0] for i in inputs), **ours) if r is not None]
    b = [r for r in twin.theirs(*(i[1] for i in inputs), **wanted) if r is not None]
    twin.hold(a, b, inputs)


def test_attention_agrees_without_a_batch() -> None:
    twin = Twin(nn.MultiheadAttention(E, HEADS), torch.nn.MultiheadAttention(E, HEADS))
    (q, tq), (k, tk) = twin.input((L, E)), twin.input((S, E), 6)
    twin.hold(twin.ours(q, k, k), twin.theirs(tq, tk, tk), [(q, tq), (k, tk)])


SCALED: list[dict[str, Any]] = [
    {},
    {"scale": 0.3},
    {"is_causal": True},
    {"attn_mask": ~HIDDEN_PAIRS},
    {"attn_mask": ADDED_PAIRS},
    {"attn_mask": np.arange(L * S).reshape(L, S) >= S},  # the first query sees nothing
]


@pytest.mark.parametrize("options", SCALED, ids=range(len(SCALED)))
def test_scaled_dot_product_attention_agrees(options: dict[str, Any]) -> None:
    twin = Twin(nn.Linear(1, 1), torch.nn.Linear(1, 1))  # for its comparisons; it has no part in this
    inputs = [twin.input((N, HEADS, n, 4), seed) for seed, n in enumerate((L, S, S))]
    ours = {k: Tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    wanted = {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    a = nn.functional.scaled_dot_product_attention(*(i[0] for i in inputs), **ours)
    b = torch.nn.functional.scaled_dot_product_attention(*(i[1] for i in inputs), **wanted)
    twin.hold([a], [b], inputs)


LAYERS: list[dict[str, Any]] = [
    {},
    {"norm_first": True},
    {"activation": "gelu", "batch_first": True},
    {"bias": False, "norm_first": True, "layer_norm_eps": 1e-3},
]


@pytest.mark.parametrize("options", LAYERS, ids=range(len(LAYERS)))
@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("masked", [False, True])
def test_encoders_agree(options: dict[str, Any], precision: str, masked: bool) -> None:
    torch.manual_seed(4)
    theirs = torch.nn.TransformerEncoderLayer(E, HEADS, 16, dropout=0.0, **options)
    ours = nn.TransformerEncoderLayer(E, HEADS, 16, dropout=0.0, **options)
    norm = bool(options.get("norm_first"))
    twin = Twin(
        nn.TransformerEncoder(ours, 2, nn.LayerNorm(E) if norm else None),
        torch.nn.TransformerEncoder(theirs, 2, torch.nn.LayerNorm(E) if norm else None, enable_nested_tensor=False),
        precision,
    )
    x, tx = twin.input((N, S, E) if options.get("batch_first") else (S, N, E))
    pairs = np.triu(np.ones((S, S), dtype=bool), 1)
    mine, wanted = _both(pairs, HIDDEN_KEYS) if masked else ([], [])
    twin.hold([twin.ours(x, *mine)], [twin.theirs(tx, *wanted)], [(x, tx)])
