"""Recurrent layers: gradients of gradients, lengths, refusals, a tagger that learns and one that is compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from op_cases import FORMS, hold

import neurenix
from neurenix import Tensor
from neurenix.errors import GraphError, InputError, UnsupportedError
from neurenix.nn import GRU, LSTM, RNN, Embedding, GRUCell, Linear, LSTMCell, Module, RNNCell, functional
from neurenix.optim import Adam
from neurenix.tensor import grad
from neurenix.trace import trace

T, N, H = 4, 3, 5
CASES: list[tuple[str, int, int, dict[str, Any]]] = [
    ("rnn_states", 1, 1, {}),
    ("rnn_states", 1, 1, {"reverse": True, "activation": "relu"}),
    ("lstm_states", 4, 2, {}),
    ("lstm_states", 4, 2, {"reverse": True}),
    ("gru_states", 3, 1, {}),
    ("gru_states", 3, 1, {"reverse": True, "linear_before_reset": False}),
]
EACH = pytest.mark.parametrize(("method", "gates", "states", "options"), CASES, ids=lambda v: str(v))
LENGTHS = pytest.mark.parametrize("lengths", [None, [2, 4, 0]], ids=["whole", "cut"])


def _operands(method: str, gates: int, states: int) -> list[Tensor]:
    """x, r, the bias of a GRU, and the initial states, in the order of the Tensor's method."""
    rng = np.random.default_rng(2)
    shapes = [(T, N, gates * H), (H, gates * H), *([(H,)] if method == "gru_states" else []), *[(N, H)] * states]
    return [Tensor(rng.standard_normal(s), requires_grad=True) for s in shapes]


def _answer(method: str, operands: list[Tensor], lengths: list[int] | None, options: dict[str, Any]) -> Tensor:
    x, *others = operands
    cut = None if lengths is None else Tensor(np.array(lengths))
    answer: Tensor = getattr(x, method)(*others, lengths=cut, **options)
    return answer


@EACH
@LENGTHS
def test_the_traceable_gradient_equals_the_fast_one(
    method: str, gates: int, states: int, options: dict[str, Any], lengths: list[int] | None
) -> None:
    operands = _operands(method, gates, states)
    y = _answer(method, operands, lengths, options)
    weight = Tensor(np.random.default_rng(3).standard_normal(y.numpy().shape))
    fast = grad(y, operands, [weight])
    traceable = grad(y, operands, [weight], create_graph=True)
    for a, b in zip(fast, traceable):
        assert a is not None and b is not None
        assert not a.requires_grad and b.requires_grad
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-11, atol=1e-12)


@EACH
@LENGTHS
def test_gradients_can_be_differentiated_again(
    method: str, gates: int, states: int, options: dict[str, Any], lengths: list[int] | None
) -> None:
    rng = np.random.default_rng(4)

    def slope(operands: list[Tensor]) -> Tensor:
        """A smooth function of all first gradients."""
        y = _answer(method, operands, lengths, options)
        total: Tensor = Tensor(np.zeros(()))
        for part in grad((y * y * y).sum(), operands, create_graph=True):
            assert part is not None
            total = total + (part * part).sum()
        return total

    operands = _operands(method, gates, states)
    second = grad(slope(operands), operands)
    for i, operand in enumerate(operands):
        ways = rng.standard_normal(operand.numpy().shape)
        sides = []
        for step in (1e-6, -1e-6):
            moved = [Tensor(o.numpy(), requires_grad=True) for o in operands]
            moved[i] = Tensor(operand.numpy() + step * ways, requires_grad=True)
            sides.append(slope(moved).item())
        found = second[i]
        assert found is not None
        expected = (sides[0] - sides[1]) / 2e-6
        assert expected == pytest.approx(float((found.numpy() * ways).sum()), rel=1e-5, abs=1e-5), f"operand {i}"


@pytest.mark.parametrize("layer", [RNN, LSTM, GRU])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_padded_sequence_gives_what_it_gives_alone(layer: Any, bidirectional: bool) -> None:
    neurenix.manual_seed(1)
    model = layer(3, H, num_layers=2, bidirectional=bidirectional)
    x = Tensor(np.random.default_rng(0).standard_normal((6, N, 3)).astype(np.float32))
    lengths = [4, 6, 1]
    output, state = model(x, lengths=lengths)
    for n, length in enumerate(lengths):
        alone, end = model(x[:length, n : n + 1])
        np.testing.assert_allclose(alone.numpy()[:, 0], output.numpy()[:length, n], rtol=1e-5, atol=1e-6)
        assert not output.numpy()[length:, n].any()
        for a, b in zip(*((s if isinstance(s, tuple) else (s,)) for s in (end, state))):
            np.testing.assert_allclose(a.numpy()[:, 0], b.numpy()[:, n], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("layer", "cell"), [(RNN, RNNCell), (LSTM, LSTMCell), (GRU, GRUCell)], ids=["rnn", "lstm", "gru"]
)
def test_a_cell_in_a_loop_is_the_layer(layer: Any, cell: Any) -> None:
    model, step = layer(3, H), cell(3, H)
    step.load_state_dict({k.removesuffix("_l0"): v for k, v in model.state_dict().items()})
    x = Tensor(np.random.default_rng(0).standard_normal((T, N, 3)).astype(np.float32))
    state: Any = None
    for t in range(T):
        state = step(x[t], state)
    last = state[0] if isinstance(state, tuple) else state
    np.testing.assert_allclose(model(x)[0].numpy()[-1], last.numpy(), rtol=1e-5, atol=1e-6)


def test_dropout_acts_between_layers_in_training_only() -> None:
    neurenix.manual_seed(0)
    model, x = GRU(3, H, num_layers=2, dropout=0.9), Tensor(np.ones((T, N, 3), np.float32))
    assert not np.array_equal(model(x)[0].numpy(), model(x)[0].numpy())
    model.eval()
    np.testing.assert_array_equal(model(x)[0].numpy(), model(x)[0].numpy())


def test_what_does_not_fit_is_refused_by_name() -> None:
    lstm, x = LSTM(3, H), Tensor(np.zeros((T, N, 3), np.float32))
    with pytest.raises(InputError, match=r"LSTM takes \(T, N, 3\).*\[4, 3, 2\]"):
        lstm(x[:, :, :2])
    with pytest.raises(InputError, match=r"initial state of LSTM must be \[1, 3, 5\], got \[1, 2, 5\]"):
        lstm(x, (Tensor(np.zeros((1, 2, H))), Tensor(np.zeros((1, N, H)))))
    with pytest.raises(InputError, match="lengths must be 3 whole numbers"):
        lstm(x, lengths=[1.5, 2.5, 3.5])
    with pytest.raises(UnsupportedError, match="proj_size=2"):
        LSTM(3, H, proj_size=2)
    with pytest.raises(InputError, match="'tanh' or 'relu', got 'sin'"):
        RNN(3, H, nonlinearity="sin")
    with pytest.raises(GraphError, match=r"op 'lstm'.*4 gates of 5"):
        Tensor(np.zeros((T, N, 15))).lstm_states(np.zeros((5, 20)))


def test_an_embeddings_padding_is_zero_and_stays_so() -> None:
    neurenix.manual_seed(0)
    table = Embedding(6, 4, padding_idx=-2)
    assert not table.weight.numpy()[4].any()
    (table(Tensor(np.array([[4, 1], [1, 5]]))) * 2.0).sum().backward()
    assert table.weight.grad is not None
    assert [0.0, 4.0, 0.0, 0.0, 0.0, 2.0] == table.weight.grad.numpy()[:, 0].tolist()
    with pytest.raises(InputError, match="6"):
        table(Tensor(np.array([6])))
    with pytest.raises(InputError, match="whole numbers"):
        table(Tensor([1.0]))


class Tagger(Module):
    """Names a class for every token: embedding, LSTM in both directions, linear."""

    def __init__(self, words: int, tags: int) -> None:
        super().__init__()
        self.embedding = Embedding(words, 6)
        self.lstm = LSTM(6, 7, num_layers=2, batch_first=True, bidirectional=True)
        self.linear = Linear(14, tags)

    def forward(self, tokens: Tensor, lengths: Tensor | None = None) -> Tensor:
        output, _ = self.lstm(self.embedding(tokens), lengths=lengths)
        logits: Tensor = self.linear(output)
        return logits


@pytest.mark.slow
def test_a_tagger_learns_what_only_the_next_word_tells() -> None:
    neurenix.manual_seed(0)
    tokens = np.random.default_rng(0).integers(0, 8, (32, 7))
    tags = np.roll(tokens, -1, axis=1) % 2
    tags[:, -1] = 0
    model = Tagger(8, 2)
    optimizer = Adam(model.parameters(), lr=0.02)
    for _ in range(40):
        optimizer.zero_grad()
        logits = model(Tensor(tokens))
        functional.cross_entropy(logits.reshape((-1, 2)), Tensor(tags.reshape(-1))).backward()
        optimizer.step()
    assert (model(Tensor(tokens)).numpy().argmax(-1) == tags).mean() > 0.95


@pytest.mark.parametrize("forms", FORMS)
@pytest.mark.parametrize("cut", [False, True])
def test_a_compiled_tagger_gives_the_references_answers(forms: tuple[str, ...], cut: bool) -> None:
    neurenix.manual_seed(0)
    inputs = {"tokens": "int64[batch, time]"} | ({"lengths": "int64[batch]"} if cut else {})
    graph = trace(Tagger(9, 4), inputs, {"batch": (1, 14), "time": (1, 9)})
    rng = np.random.default_rng(6)
    feeds = []
    for batch, time in ((1, 1), (1, 9), (3, 4), (13, 5), (14, 9)):
        arrays = {"tokens": rng.integers(0, 9, (batch, time))}
        if cut:
            arrays["lengths"] = rng.integers(1, time + 1, batch)
        feeds.append((arrays, {"batch": batch, "time": time}))
    hold(graph, feeds, forms)


class Scorer(Module):
    """One number for a sequence from a GRU's and an RNN's last states."""

    def __init__(self) -> None:
        super().__init__()
        self.gru, self.rnn = GRU(3, 20, bidirectional=True), RNN(3, 9, nonlinearity="relu")
        self.linear = Linear(20, 1)

    def forward(self, x: Tensor, h0: Tensor) -> dict[str, Tensor]:
        every, h = self.gru(x, h0)
        return {"score": self.linear(h[-1]), "every": every, "last": self.rnn(x)[1]}


@pytest.mark.parametrize("forms", FORMS)
def test_compiled_states_are_the_references(forms: tuple[str, ...]) -> None:
    neurenix.manual_seed(0)
    inputs = {"x": "float32[time, batch, 3]", "h0": "float32[2, batch, 20]"}
    graph = trace(Scorer(), inputs, {"batch": (1, 60), "time": (1, 6)})
    rng = np.random.default_rng(6)
    feeds = []
    for batch, time in ((1, 1), (2, 6), (55, 3), (60, 6)):  # more sequences than one chunk holds
        x, h0 = rng.standard_normal((time, batch, 3)), rng.standard_normal((2, batch, 20))
        feeds.append(({"x": x.astype(np.float32), "h0": h0.astype(np.float32)}, {"batch": batch, "time": time}))
    hold(graph, feeds, forms)
