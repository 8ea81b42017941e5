"""RNN, LSTM, GRU and their cells against PyTorch's: the same weights by name, the same answers and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch_twin import Twin

from neurenix import nn
from neurenix.tensor import Tensor

pytestmark = pytest.mark.peers

OPTIONS: list[dict[str, Any]] = [
    {},
    {"bias": False},
    {"batch_first": True},
    {"bidirectional": True},
    {"num_layers": 2},
    {"num_layers": 3, "bidirectional": True, "batch_first": True},
]
LAYERS: list[tuple[str, dict[str, Any]]] = [
    *((name, options) for name in ("RNN", "LSTM", "GRU") for options in OPTIONS),
    ("RNN", {"nonlinearity": "relu"}),
    ("RNN", {"nonlinearity": "relu", "num_layers": 2, "bidirectional": True}),
]
T, N, INPUT, HIDDEN = 6, 4, 5, 7
EACH = pytest.mark.parametrize(("name", "options"), LAYERS, ids=lambda v: v if isinstance(v, str) else str(v))


def _twin(name: str, options: dict[str, Any], precision: str = "float64") -> Twin:
    torch.manual_seed(3)
    theirs = getattr(torch.nn, name)(INPUT, HIDDEN, **options)
    return Twin(getattr(nn, name)(INPUT, HIDDEN, **options), theirs, precision)


def _flat(result: Any) -> list[Any]:
    output, state = result
    return [output, *(state if isinstance(state, tuple) else (state,))]


def _shape(options: dict[str, Any]) -> tuple[int, ...]:
    return (N, T, INPUT) if options.get("batch_first") else (T, N, INPUT)


def _states(twin: Twin, name: str, options: dict[str, Any], *batch: int) -> tuple[Any, Any, list[Any]]:
    count = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
    pairs = [twin.input((count, *batch, HIDDEN), seed) for seed in ((21, 22) if name == "LSTM" else (21,))]
    ours, theirs = (tuple(p[i] for p in pairs) for i in (0, 1))
    return (ours, theirs, pairs) if name == "LSTM" else (ours[0], theirs[0], pairs)


@EACH
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_layers_agree(name: str, options: dict[str, Any], precision: str) -> None:
    twin = _twin(name, options, precision)
    x, tx = twin.input(_shape(options))
    twin.hold(_flat(twin.ours(x)), _flat(twin.theirs(tx)), [(x, tx)])


@EACH
def test_layers_agree_from_given_states(name: str, options: dict[str, Any]) -> None:
    twin = _twin(name, options)
    x, tx = twin.input(_shape(options))
    ours, theirs, pairs = _states(twin, name, options, N)
    twin.hold(_flat(twin.ours(x, ours)), _flat(twin.theirs(tx, theirs)), [(x, tx), *pairs])


@EACH
def test_layers_agree_on_one_sequence_without_a_batch(name: str, options: dict[str, Any]) -> None:
    twin = _twin(name, options)
    x, tx = twin.input((T, INPUT))
    ours, theirs, pairs = _states(twin, name, options)
    twin.hold(_flat(twin.ours(x, ours)), _flat(twin.theirs(tx, theirs)), [(x, tx), *pairs])


@EACH
def test_lengths_do_what_packing_does(name: str, options: dict[str, Any]) -> None:
    twin = _twin(name, options)
    x, tx = twin.input(_shape(options))
    first = bool(options.get("batch_first"))
    lengths = torch.tensor([3, 6, 1, 4])
    ours, theirs, pairs = _states(twin, name, options, N)
    packed = torch.nn.utils.rnn.pack_padded_sequence(tx, lengths, batch_first=first, enforce_sorted=False)
    output, state = twin.theirs(packed, theirs)
    padded, _ = torch.nn.utils.rnn.pad_packed_sequence(output, batch_first=first)
    answers = _flat(twin.ours(x, ours, lengths=Tensor(lengths.numpy())))
    twin.hold(answers, _flat((padded, state)), [(x, tx), *pairs])


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("name", "options"), [("RNNCell", {}), ("RNNCell", {"nonlinearity": "relu"}), ("LSTMCell", {}), ("GRUCell", {})]
)
def test_cells_agree_over_three_steps(name: str, options: dict[str, Any], bias: bool) -> None:
    twin = _twin(name, {**options, "bias": bias})
    steps = [twin.input((N, INPUT), seed) for seed in (1, 2, 3)]
    ours, theirs = None, None
    for x, tx in steps:
        ours, theirs = twin.ours(x, ours), twin.theirs(tx, theirs)
    flat = [s if isinstance(s, tuple) else (s,) for s in (ours, theirs)]
    twin.hold(*flat, steps)


@pytest.mark.parametrize("name", ["RNNCell", "LSTMCell", "GRUCell"])
def test_cells_agree_without_a_batch(name: str) -> None:
    twin = _twin(name, {})
    x, tx = twin.input((INPUT,))
    ours, theirs = twin.ours(x), twin.theirs(tx)
    twin.hold(*[s if isinstance(s, tuple) else (s,) for s in (ours, theirs)], [(x, tx)])


@pytest.mark.parametrize("padding", [None, 2])
def test_embeddings_agree(padding: int | None) -> None:
    torch.manual_seed(1)
    twin = Twin(nn.Embedding(9, 4, padding), torch.nn.Embedding(9, 4, padding))
    tokens = np.array([[1, 2, 8], [2, 0, 1]])
    twin.hold([twin.ours(Tensor(tokens))], [twin.theirs(torch.from_numpy(tokens))], [])
