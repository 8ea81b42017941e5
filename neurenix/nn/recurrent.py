"""RNN, LSTM and GRU over whole sequences. Names, arguments, parameter names and answers are PyTorch's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Union

import numpy as np

from neurenix.errors import InputError, UnsupportedError
from neurenix.nn import init
from neurenix.nn.layers import Dropout
from neurenix.nn.module import Module, Parameter
from neurenix.tensor import Tensor, arange, cat

Lengths = Union[Tensor, "np.ndarray[Any, Any]", Sequence[int], None]


class Recurrent(Module):
    """What RNN, LSTM and GRU share: layers of cells, in one direction or in both.

    `forward(x, state, lengths)`: x is (T, N, input_size), or (N, T, input_size) with `batch_first`, or (T, input_size)
    for one sequence. The initial states are 0 unless given: (directions * num_layers, N, hidden_size). `lengths` (N,)
    says where each sequence ends, as packing does in PyTorch: the output beyond is 0, the final state is the one
    at its end, and a reversed run starts there. Returns the last layer's outputs, the directions side by side, and
    the final states in the shape of the initial ones.
    """

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
    ) -> None:
        super().__init__()
        if min(input_size, hidden_size, num_layers) < 1:
            raise InputError(
                f"input_size {input_size}, hidden_size {hidden_size} and num_layers {num_layers} must be at least 1"
            )
        if proj_size:
            raise UnsupportedError(f"proj_size={proj_size} is not supported: put a Linear behind the layer")
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.bidirectional = bias, batch_first, bidirectional
        self.dropout = Dropout(dropout).p
        for layer in range(num_layers):
            width = hidden_size * self.directions if layer else input_size
            for suffix in self._suffixes(layer):
                self._own(f"weight_ih_{suffix}", self.gates * hidden_size, width)
                self._own(f"weight_hh_{suffix}", self.gates * hidden_size, hidden_size)
                if bias:
                    self._own(f"bias_ih_{suffix}", self.gates * hidden_size)
                    self._own(f"bias_hh_{suffix}", self.gates * hidden_size)

    @property
    def directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _suffixes(self, layer: int) -> list[str]:
        return [f"l{layer}", f"l{layer}_reverse"][: self.directions]

    def _own(self, name: str, *shape: int) -> None:
        setattr(self, name, Parameter(init.uniform(shape, fan_in=self.hidden_size)))

    def states(self, x: Tensor, suffix: str, initial: Sequence[Any], lengths: Tensor | None) -> list[Tensor]:
        """Run one layer in one direction; return the states after each step, the output first."""
        raise NotImplementedError(f"{type(self).__name__} must define states()")

    def _run(self, x: Tensor, initial: Sequence[Tensor | None], given: Lengths) -> tuple[Tensor, list[Tensor]]:
        batched, time = x.ndim == 3, 1 if self.batch_first and x.ndim == 3 else 0
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            raise InputError(
                f"{type(self).__name__} takes {'(N, T, ' if self.batch_first else '(T, N, '}{self.input_size}) or "
                f"(T, {self.input_size}), got {list(x.shape)}"
            )
        x = x.transpose(0, 1) if time else x if batched else x.reshape((x.shape[0], 1, x.shape[1]))
        starts = [None if s is None else self._initial(s, x, batched) for s in initial]
        lengths = None if given is None else _lengths(given, x)
        finals: list[list[Tensor]] = []
        for layer in range(self.num_layers):
            if layer and self.training and self.dropout:
                x = Dropout(self.dropout)(x)
            outputs = []
            for suffix in self._suffixes(layer):
                begin = [None if s is None else s[len(finals)] for s in starts]
                every = self.states(x, suffix, begin, lengths)
                outputs.append(every[0])
                last = 0 if suffix.endswith("_reverse") else -1
                finals.append([states[last] for states in every])
            x = outputs[0] if len(outputs) == 1 else cat(outputs, 2)
        if lengths is not None:
            x = x * _valid(lengths, x)
        ends = [cat([f[i].reshape((1, *f[i].shape)) for f in finals], 0) for i in range(len(finals[0]))]
        if not batched:
            return x.reshape((x.shape[0], x.shape[2])), [e.reshape((e.shape[0], e.shape[2])) for e in ends]
        return x.transpose(0, 1) if time else x, ends

    def _initial(self, state: Tensor, x: Tensor, batched: bool) -> Tensor:
        wanted = (self.directions * self.num_layers, *([x.shape[1]] if batched else []), self.hidden_size)
        if tuple(state.shape) != wanted:
            raise InputError(
                f"an initial state of {type(self).__name__} must be {list(wanted)}, got {list(state.shape)}"
            )
        return state if batched else state.reshape((wanted[0], 1, self.hidden_size))

    def _gates(self, x: Tensor, suffix: str, shared: int | None = None) -> Tensor:
        """Return x W + b for all steps at once; `shared` gates take the recurrent bias in, all unless given."""
        y: Tensor = x @ getattr(self, f"weight_ih_{suffix}").transpose(0, 1)
        if not self.bias:
            return y
        bias: Tensor = getattr(self, f"bias_ih_{suffix}")
        recurrent: Tensor = getattr(self, f"bias_hh_{suffix}")
        if shared is not None:
            kept = np.arange(self.gates * self.hidden_size) < shared * self.hidden_size
            recurrent = recurrent * kept.astype(np.float32)
        return y + (bias + recurrent)

    def _weights(self, suffix: str) -> Tensor:
        weights: Tensor = getattr(self, f"weight_hh_{suffix}").transpose(0, 1)
        return weights


class RNN(Recurrent):
    """h = nonlinearity(W x + b + R h + c); nonlinearity "tanh" or "relu"."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None:
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional)
        if nonlinearity not in ("tanh", "relu"):
            raise InputError(f"RNN's nonlinearity is 'tanh' or 'relu', got {nonlinearity!r}")
        self.nonlinearity = nonlinearity

    def forward(self, x: Tensor, hx: Tensor | None = None, lengths: Lengths = None) -> tuple[Tensor, Tensor]:
        output, (h,) = self._run(x, [hx], lengths)
        return output, h

    def states(self, x: Tensor, suffix: str, initial: Sequence[Any], lengths: Tensor | None) -> list[Tensor]:
        gates, reverse = self._gates(x, suffix), suffix.endswith("_reverse")
        return [gates.rnn_states(self._weights(suffix), initial[0], lengths, self.nonlinearity, reverse)]


class LSTM(Recurrent):
    """Long short-term memory; the state is a pair (h, c), and so is what `forward` takes and returns."""

    gates = 4

    def forward(
        self, x: Tensor, hx: tuple[Tensor, Tensor] | None = None, lengths: Lengths = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        output, (h, c) = self._run(x, hx or (None, None), lengths)
        return output, (h, c)

    def states(self, x: Tensor, suffix: str, initial: Sequence[Any], lengths: Tensor | None) -> list[Tensor]:
        gates, size = self._gates(x, suffix), self.hidden_size
        h0, c0 = initial
        both = gates.lstm_states(self._weights(suffix), h0, c0, lengths, suffix.endswith("_reverse"))
        return [both[:, :, :size], both[:, :, size:]]


class GRU(Recurrent):
    """Gated recurrent unit; the reset gate acts behind the recurrent product, as in PyTorch and cuDNN."""

    gates = 3

    def forward(self, x: Tensor, hx: Tensor | None = None, lengths: Lengths = None) -> tuple[Tensor, Tensor]:
        output, (h,) = self._run(x, [hx], lengths)
        return output, h

    def states(self, x: Tensor, suffix: str, initial: Sequence[Any], lengths: Tensor | None) -> list[Tensor]:
        late = getattr(self, f"bias_hh_{suffix}")[2 * self.hidden_size :] if self.bias else None
        gates, reverse = self._gates(x, suffix, shared=2), suffix.endswith("_reverse")
        return [gates.gru_states(self._weights(suffix), late, initial[0], lengths, reverse=reverse)]


def _lengths(given: Any, x: Tensor) -> Tensor:
    lengths = given if isinstance(given, Tensor) else Tensor(np.asarray(given))
    if lengths.dtype.numpy.kind not in "iu" or lengths.shape != (x.shape[1],):
        raise InputError(
            f"lengths must be {x.shape[1]} whole numbers, one for each sequence, got {lengths.dtype} of shape "
            f"{list(lengths.shape)}"
        )
    return lengths.cast("int64")


def _valid(lengths: Tensor, x: Tensor) -> Tensor:
    """Return 1 for each step of a sequence and 0 beyond its end, (T, N, 1), in the dtype of x."""
    steps = arange(x.shape[0]).reshape((-1, 1, 1))
    return (steps < lengths.reshape((1, -1, 1))).cast(x.dtype.name)
