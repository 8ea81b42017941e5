"""Attention and transformers: masks, refusals, a classifier that learns, and encoders that are compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from op_cases import FORMS, hold

import neurenix
from neurenix import Tensor
from neurenix.errors import InputError, UnsupportedError
from neurenix.nn import (
    Embedding,
    LayerNorm,
    Linear,
    Module,
    MultiheadAttention,
    TransformerEncoder,
    TransformerEncoderLayer,
    functional,
)
from neurenix.optim import Adam
from neurenix.trace import trace

attention = functional.scaled_dot_product_attention


def _random(*shape: int, seed: int = 0) -> Tensor:
    return Tensor(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def test_a_causal_answer_does_not_depend_on_what_follows() -> None:
    q, k, v = (_random(2, 6, 4, seed=s) for s in range(3))
    whole = attention(q, k, v, is_causal=True).numpy()
    for end in range(1, 7):
        part = attention(q[:, :end], k[:, :end], v[:, :end], is_causal=True).numpy()
        np.testing.assert_allclose(part, whole[:, :end], rtol=1e-6, atol=1e-6)


def test_a_bool_mask_is_the_float_mask_of_minus_infinity() -> None:
    q, k, v = (_random(3, 5, 4, seed=s) for s in range(3))
    seen = np.random.default_rng(3).random((5, 5)) < 0.5
    seen[:, 0] = True
    added = np.where(seen, np.float32(0), np.float32(-np.inf))
    expected = attention(q, k, v, Tensor(added)).numpy()
    np.testing.assert_allclose(expected, attention(q, k, v, Tensor(seen)).numpy(), rtol=1e-6, atol=1e-7)


def test_a_query_that_sees_nothing_gives_zero_and_finite_gradients() -> None:
    q, k, v = (Tensor(_random(2, 3, 4, seed=s).numpy(), requires_grad=True) for s in range(3))
    seen = np.array([[False, False, False], [True, False, False], [True, True, True]])
    y = attention(q, k, v, Tensor(seen))
    assert not y.numpy()[:, 0].any()
    y.sum().backward()
    for t in (q, k, v):
        assert t.grad is not None
        assert np.isfinite(t.grad.numpy()).all()


def test_padded_keys_change_nothing() -> None:
    neurenix.manual_seed(0)
    model = MultiheadAttention(8, 2, batch_first=True).eval()
    x = _random(2, 6, 8)
    hidden = np.array([[False] * 6, [False] * 4 + [True] * 2])
    y, weights = model(x, x, x, key_padding_mask=Tensor(hidden))
    alone, _ = model(x[1:, :4], x[1:, :4], x[1:, :4])
    np.testing.assert_allclose(alone.numpy()[0], y.numpy()[1, :4], rtol=1e-5, atol=1e-6)
    assert weights is not None
    assert not weights.numpy()[1, :, 4:].any()
    np.testing.assert_allclose(np.ones((2, 6)), weights.numpy().sum(-1), rtol=1e-6)


def test_is_causal_is_the_mask_of_later_positions() -> None:
    neurenix.manual_seed(0)
    model, x = MultiheadAttention(8, 2, batch_first=True).eval(), _random(3, 5, 8)
    later = Tensor(np.triu(np.ones((5, 5), dtype=bool), 1))
    hidden = Tensor(np.array([[False] * 5, [False] * 3 + [True] * 2, [False] * 5]))
    for options in ({}, {"key_padding_mask": hidden}):
        expected, _ = model(x, x, x, attn_mask=later, **options)
        found, _ = model(x, x, x, is_causal=True, **options)
        np.testing.assert_allclose(expected.numpy(), found.numpy(), rtol=1e-6, atol=1e-6)


def test_dropout_acts_in_training_only() -> None:
    neurenix.manual_seed(0)
    model, x = TransformerEncoderLayer(8, 2, 16, dropout=0.5), _random(4, 3, 8)
    assert not np.array_equal(model(x).numpy(), model(x).numpy())
    model.eval()
    np.testing.assert_array_equal(model(x).numpy(), model(x).numpy())


def test_the_layers_of_an_encoder_are_copies() -> None:
    layer = TransformerEncoderLayer(8, 2, 16)
    model = TransformerEncoder(layer, 2)
    weights = [model.layers[i].linear1.weight for i in range(2)]
    assert weights[0] is not weights[1] and weights[0] is not layer.linear1.weight
    np.testing.assert_array_equal(weights[0].numpy(), weights[1].numpy())


def test_what_does_not_fit_is_refused_by_name() -> None:
    x = _random(5, 3, 8)
    model = MultiheadAttention(8, 2)
    with pytest.raises(InputError, match="embed_dim 8 must be a multiple of num_heads 3"):
        MultiheadAttention(8, 3)
    with pytest.raises(UnsupportedError, match="add_bias_kv"):
        MultiheadAttention(8, 2, add_bias_kv=True)
    with pytest.raises(InputError, match=r"the key must be a sequence of 8 values, got \[5, 3, 4\]"):
        model(x, x[:, :, :4], x)
    with pytest.raises(InputError, match=r"attn_mask must be \[5, 5\] or \[6, 5, 5\], got \[5, 4\]"):
        model(x, x, x, attn_mask=Tensor(np.zeros((5, 4), dtype=bool)))
    with pytest.raises(InputError, match="key_padding_mask is bool or float, got int64"):
        model(x, x, x, key_padding_mask=Tensor(np.zeros((3, 5), dtype=np.int64)))
    with pytest.raises(InputError, match="not both"):
        attention(x, x, x, Tensor(np.ones((3, 3), dtype=bool)), is_causal=True)
    with pytest.raises(InputError, match="'swish' is none of relu, gelu"):
        TransformerEncoderLayer(8, 2, activation="swish")


class Reader(Module):
    """Classifies a sequence of tokens by a two-layer encoder."""

    def __init__(self, classes: int = 3, causal: bool = False, norm_first: bool = False) -> None:
        super().__init__()
        self.embedding = Embedding(10, 16)
        layer = TransformerEncoderLayer(16, 4, 24, 0.0, "gelu", batch_first=True, norm_first=norm_first)
        self.encoder = TransformerEncoder(layer, 2, LayerNorm(16))
        self.linear = Linear(16, classes)
        self.causal = causal

    def forward(self, tokens: Tensor, padding: Tensor | None = None) -> Tensor:
        x = self.encoder(self.embedding(tokens), src_key_padding_mask=padding, is_causal=self.causal)
        logits: Tensor = self.linear(x)
        return logits


def test_an_encoder_learns_which_tokens_occur_twice() -> None:
    neurenix.manual_seed(1)
    tokens = np.random.default_rng(0).integers(0, 10, (48, 6))
    twice = (tokens[:, :, None] == tokens[:, None, :]).sum(-1) > 1
    model = Reader(classes=2)
    optimizer = Adam(model.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        logits = model(Tensor(tokens)).reshape((-1, 2))
        functional.cross_entropy(logits, Tensor(twice.reshape(-1).astype(np.int64))).backward()
        optimizer.step()
    assert (model(Tensor(tokens)).numpy().argmax(-1) == twice).mean() > 0.95


def _feeds(padded: bool) -> list[tuple[dict[str, Any], dict[str, int]]]:
    rng = np.random.default_rng(2)
    feeds = []
    for batch, time in ((1, 1), (1, 12), (3, 5), (4, 12)):
        arrays: dict[str, Any] = {"tokens": rng.integers(0, 10, (batch, time))}
        if padded:
            arrays["padding"] = np.arange(time) >= rng.integers(1, time + 1, (batch, 1))
        feeds.append((arrays, {"batch": batch, "time": time}))
    return feeds


@pytest.mark.parametrize("forms", FORMS)
@pytest.mark.parametrize(("padded", "options"), [(False, {}), (True, {"causal": True, "norm_first": True})])
def test_a_compiled_encoder_gives_the_references_answers(
    forms: tuple[str, ...], padded: bool, options: dict[str, bool]
) -> None:
    neurenix.manual_seed(0)
    inputs = {"tokens": "int64[batch, time]"} | ({"padding": "bool[batch, time]"} if padded else {})
    graph = trace(Reader(**options), inputs, {"batch": (1, 4), "time": (1, 12)})
    feeds = _feeds(padded)
    hold(graph, feeds, forms)
