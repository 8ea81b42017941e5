"""RNNCell, LSTMCell and GRUCell: one step of a recurrent layer, for loops of one's own."""

from __future__ import annotations

import numpy as np

from neurenix.errors import InputError
from neurenix.nn import init
from neurenix.nn.module import Module, Parameter
from neurenix.tensor import Tensor


class RecurrentCell(Module):
    """What the cells share: x is (N, input_size) or (input_size,), a state (N, hidden_size) or (hidden_size,)."""

    gates = 1
    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__()
        if min(input_size, hidden_size) < 1:
            raise InputError(f"input_size {input_size} and hidden_size {hidden_size} must be at least 1")
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows = self.gates * hidden_size
        self.weight_ih = Parameter(init.uniform((rows, input_size), fan_in=hidden_size))
        self.weight_hh = Parameter(init.uniform((rows, hidden_size), fan_in=hidden_size))
        self.bias_ih = Parameter(init.uniform((rows,), fan_in=hidden_size)) if bias else None
        self.bias_hh = Parameter(init.uniform((rows,), fan_in=hidden_size)) if bias else None

    def _shares(self, x: Tensor, h: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return the input's and the state's share of the gates, and the state, each with a batch axis."""
        name = type(self).__name__
        if x.ndim not in (1, 2) or x.shape[-1] != self.input_size:
            raise InputError(f"{name} takes (N, {self.input_size}) or ({self.input_size},), got {list(x.shape)}")
        if h is not None and h.shape != (*x.shape[:-1], self.hidden_size):
            raise InputError(f"{name}'s state must be {[*x.shape[:-1], self.hidden_size]}, got {list(h.shape)}")
        x = x.reshape((-1, self.input_size))
        if h is None:
            h = Tensor(np.zeros((1, self.hidden_size), x.dtype.numpy))
        h = h.reshape((-1, self.hidden_size))
        from_x, from_h = x @ self.weight_ih.transpose(0, 1), h @ self.weight_hh.transpose(0, 1)
        if self.bias_ih is not None and self.bias_hh is not None:
            from_x, from_h = from_x + self.bias_ih, from_h + self.bias_hh
        return from_x, from_h, h

    def _part(self, gates: Tensor, index: int) -> Tensor:
        return gates[:, index * self.hidden_size : (index + 1) * self.hidden_size]

    def _shaped(self, state: Tensor, x: Tensor) -> Tensor:
        return state.reshape((*x.shape[:-1], self.hidden_size))


class RNNCell(RecurrentCell):
    """h = nonlinearity(W x + b + R h + c); nonlinearity "tanh" or "relu"."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh") -> None:
        super().__init__(input_size, hidden_size, bias)
        if nonlinearity not in ("tanh", "relu"):
            raise InputError(f"RNNCell's nonlinearity is 'tanh' or 'relu', got {nonlinearity!r}")
        self.nonlinearity = nonlinearity

    def forward(self, x: Tensor, hx: Tensor | None = None) -> Tensor:
        from_x, from_h, _ = self._shares(x, hx)
        total = from_x + from_h
        return self._shaped(total.tanh() if self.nonlinearity == "tanh" else total.relu(), x)


class LSTMCell(RecurrentCell):
    """One step of an LSTM; takes and returns the pair (h, c)."""

    gates = 4

    def forward(self, x: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        h, c = hx if hx is not None else (None, None)
        from_x, from_h, _ = self._shares(x, h)
        i, f, g, o = (self._part(from_x + from_h, k) for k in range(4))
        new = i.sigmoid() * g.tanh()
        if c is not None:
            new = f.sigmoid() * c.reshape((-1, self.hidden_size)) + new
        return self._shaped(o.sigmoid() * new.tanh(), x), self._shaped(new, x)


class GRUCell(RecurrentCell):
    """One step of a GRU."""

    gates = 3

    def forward(self, x: Tensor, hx: Tensor | None = None) -> Tensor:
        from_x, from_h, h = self._shares(x, hx)
        reset, update = ((self._part(from_x, k) + self._part(from_h, k)).sigmoid() for k in range(2))
        new = (self._part(from_x, 2) + reset * self._part(from_h, 2)).tanh()
        return self._shaped(new + update * (h - new), x)
