"""RNN, LSTM and GRU: the rows of the op table where they do, the cells of `recurrent_cells` step by step elsewhere.

The rows have the usual activations, and their kernels read recurrent weights that are known when the model is built.
"""

from __future__ import annotations

from collections.abc import Callable

from neurenix.errors import ModelError
from neurenix.frontends.onnx.operator import operator
from neurenix.frontends.onnx.recurrent_cells import activations_of, clipped, stepped
from neurenix.frontends.onnx.windows import require
from neurenix.tensor import Tensor, arange, cat, stack

Floats = tuple[float, ...] | None
Texts = tuple[str, ...] | None

# (x (T, N, I), the number of the direction, whether it is reversed) to all states: each (T, N, H).
Direction = Callable[[Tensor, int, bool], "list[Tensor]"]


@operator("RNN", since=7)
def rnn(
    x: Tensor, w: Tensor, r: Tensor, b: Tensor | None = None, sequence_lens: Tensor | None = None,
    initial_h: Tensor | None = None, *,
    activation_alpha: Floats = None, activation_beta: Floats = None, activations: Texts = None,
    clip: float | None = None, direction: str = "forward", hidden_size: int | None = None, layout: int = 0,
) -> tuple[Tensor, ...]:  # fmt: skip
    layer = _Layer(x, w, r, b, sequence_lens, [initial_h], direction, hidden_size, layout, gates=1)
    functions = activations_of(activations, activation_alpha, activation_beta, ("Tanh",), layer.directions)

    def run(x: Tensor, d: int, reverse: bool) -> list[Tensor]:
        (f,), gates, weight, (h0,) = functions[d], layer.gates_of(x, d, (0,)), layer.recurrent(d, (0,)), layer.starts(d)
        if f.name in ("Tanh", "Relu") and clip is None and weight.traced is None:
            return [gates.rnn_states(weight, h0, layer.lengths, f.name.lower(), reverse)]

        def cell(x_t: Tensor, state: list[Tensor]) -> list[Tensor]:
            return [f(clipped(x_t + state[0] @ weight, clip))]

        return stepped(cell, gates, layer.zeros([h0]), layer.lengths, reverse)

    return layer.run(run)


@operator("LSTM", since=7)
def lstm(
    x: Tensor, w: Tensor, r: Tensor, b: Tensor | None = None, sequence_lens: Tensor | None = None,
    initial_h: Tensor | None = None, initial_c: Tensor | None = None, p: Tensor | None = None, *,
    activation_alpha: Floats = None, activation_beta: Floats = None, activations: Texts = None,
    clip: float | None = None, direction: str = "forward", hidden_size: int | None = None,
    input_forget: bool = False, layout: int = 0,
) -> tuple[Tensor, ...]:  # fmt: skip
    """The gates are input, output, forget, cell in ONNX, and input, forget, cell, output in the row."""
    layer = _Layer(x, w, r, b, sequence_lens, [initial_h, initial_c], direction, hidden_size, layout, gates=4)
    wanted = ("Sigmoid", "Tanh", "Tanh")
    functions = activations_of(activations, activation_alpha, activation_beta, wanted, layer.directions)
    size, order = layer.size, (0, 2, 3, 1)
    if p is not None and p.shape != (layer.directions, 3 * size):
        raise ModelError(f"its peepholes P must be {[layer.directions, 3 * size]}, got {list(p.shape)}")

    def run(x: Tensor, d: int, reverse: bool) -> list[Tensor]:
        gates, weight, (h0, c0) = layer.gates_of(x, d, order), layer.recurrent(d, order), layer.starts(d)
        usual = tuple(f.name for f in functions[d]) == wanted and clip is None and not input_forget
        if usual and p is None and weight.traced is None:
            both = gates.lstm_states(weight, h0, c0, layer.lengths, reverse)
            return [both[..., :size], both[..., size:]]
        f, g, h = functions[d]
        peepholes = None if p is None else [p[d, at * size : (at + 1) * size] for at in range(3)]

        def cell(x_t: Tensor, state: list[Tensor]) -> list[Tensor]:
            before, c = state
            take, keep, new, show = (x_t + before @ weight).split(size, -1)
            if peepholes is not None:
                take, keep = take + peepholes[0] * c, keep + peepholes[2] * c
            take = f(clipped(take, clip))
            keep = 1 - take if input_forget else f(clipped(keep, clip))
            c = keep * c + take * g(clipped(new, clip))
            if peepholes is not None:
                show = show + peepholes[1] * c
            return [f(clipped(show, clip)) * h(c), c]

        return stepped(cell, gates, layer.zeros([h0, c0]), layer.lengths, reverse)

    return layer.run(run)


@operator("GRU", since=7)
def gru(
    x: Tensor, w: Tensor, r: Tensor, b: Tensor | None = None, sequence_lens: Tensor | None = None,
    initial_h: Tensor | None = None, *,
    activation_alpha: Floats = None, activation_beta: Floats = None, activations: Texts = None,
    clip: float | None = None, direction: str = "forward", hidden_size: int | None = None, layout: int = 0,
    linear_before_reset: bool = False,
) -> tuple[Tensor, ...]:  # fmt: skip
    """The gates are update, reset, new in ONNX, and reset, update, new in the row."""
    layer = _Layer(x, w, r, b, sequence_lens, [initial_h], direction, hidden_size, layout, gates=3)
    wanted = ("Sigmoid", "Tanh")
    functions = activations_of(activations, activation_alpha, activation_beta, wanted, layer.directions)
    size, order = layer.size, (1, 0, 2)

    def run(x: Tensor, d: int, reverse: bool) -> list[Tensor]:
        gates, weight, (h0,) = layer.gates_of(x, d, order, shared=2), layer.recurrent(d, order), layer.starts(d)
        late = None if layer.b is None else layer.b[d, 5 * size :]
        if tuple(f.name for f in functions[d]) == wanted and clip is None and weight.traced is None:
            return [gates.gru_states(weight, late, h0, layer.lengths, linear_before_reset, reverse)]
        f, g = functions[d]

        def cell(x_t: Tensor, state: list[Tensor]) -> list[Tensor]:
            (h,) = state
            by_gates = x_t[:, : 2 * size] + h @ weight[:, : 2 * size]
            reset, update = (f(clipped(v, clip)) for v in by_gates.split(size, -1))
            share = (h if linear_before_reset else reset * h) @ weight[:, 2 * size :]
            share = share if late is None else share + late
            new = x_t[:, 2 * size :] + (reset * share if linear_before_reset else share)
            return [(1 - update) * g(clipped(new, clip)) + update * h]

        return stepped(cell, gates, layer.zeros([h0]), layer.lengths, reverse)

    return layer.run(run)


class _Layer:
    """What the three share: inputs checked and brought into the rows' form, directions run and put together."""

    def __init__(
        self, x: Tensor, w: Tensor, r: Tensor, b: Tensor | None, lengths: Tensor | None,
        initial: list[Tensor | None], direction: str, hidden_size: int | None, layout: int, gates: int,
    ) -> None:  # fmt: skip
        require("direction", direction, ("forward", "reverse", "bidirectional"))
        require("layout", layout, (0, 1))
        self.direction, self.batch_first, self.gates = direction, bool(layout), gates
        self.directions = 2 if direction == "bidirectional" else 1
        if x.ndim != 3 or r.ndim != 3 or not isinstance(r.shape[2], int) or r.shape[2] < 1:
            raise ModelError(f"X and R must have three axes, got {list(x.shape)} and {list(r.shape)}")
        self.x, self.w, self.r, self.b = x.transpose(0, 1) if layout else x, w, r, b
        size = self.size = r.shape[2]
        if hidden_size is not None and hidden_size != size:
            raise ModelError(f"its hidden_size {hidden_size} is not that of R, {size}")
        batch, width = self.x.shape[1:]
        self.lengths = lengths
        states = (batch, self.directions, size) if layout else (self.directions, batch, size)
        for name, given, shape in (
            ("W", w, (self.directions, gates * size, width)), ("R", r, (self.directions, gates * size, size)),
            ("B", b, (self.directions, 2 * gates * size)), ("sequence_lens", lengths, (batch,)),
            *(("initial state", s, states) for s in initial),
        ):  # fmt: skip
            if given is not None and given.shape != shape:
                raise ModelError(f"its {name} must be {list(shape)}, got {list(given.shape)}")
        self.initial = [None if s is None else s.transpose(0, 1) if layout else s for s in initial]

    def gates_of(self, x: Tensor, d: int, order: tuple[int, ...], shared: int | None = None) -> Tensor:
        """Return the input's share of the gates, biases included; the first `shared` gates take the recurrent one."""
        y = x @ self._ordered(self.w[d], order).mT
        if self.b is None:
            return y
        width = self.gates * self.size
        own, recurrent = (self._ordered(part, order) for part in (self.b[d, :width], self.b[d, width:]))
        if shared is not None:
            recurrent = recurrent[: shared * self.size].pad((0, width - shared * self.size))
        return y + (own + recurrent)

    def recurrent(self, d: int, order: tuple[int, ...]) -> Tensor:
        return self._ordered(self.r[d], order).mT

    def starts(self, d: int) -> list[Tensor | None]:
        return [None if s is None else s[d] for s in self.initial]

    def zeros(self, starts: list[Tensor | None]) -> list[Tensor]:
        """Return initial states, zeros where none is given: one row for all."""
        return [s if s is not None else Tensor([[0.0] * self.size], self.x.dtype.name) for s in starts]

    def run(self, direction: Direction) -> tuple[Tensor, ...]:
        """Run all directions; return Y and the final states."""
        outputs, finals = [], []
        for d in range(self.directions):
            reverse = self.direction == "reverse" or d == 1
            states = direction(self.x, d, reverse)
            outputs.append(states[0])
            finals.append([s[0 if reverse else -1] for s in states])
        y = stack(outputs, 1)
        if self.lengths is not None:  # beyond a sequence's end is nothing
            live = arange(y.shape[0]).reshape((-1, 1, 1, 1)) < self.lengths.cast("int64").reshape((1, 1, -1, 1))
            y = y.masked_fill(~live, 0.0)
        ends = [stack([f[i] for f in finals]) for i in range(len(finals[0]))]
        if self.batch_first:
            return (y.permute(2, 0, 1, 3), *(e.transpose(0, 1) for e in ends))
        return (y, *ends)

    def _ordered(self, rows: Tensor, order: tuple[int, ...]) -> Tensor:
        parts = rows.split(self.size, 0)
        return cat([parts[at] for at in order], 0) if order != tuple(range(len(parts))) else rows
