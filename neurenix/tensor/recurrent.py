"""Methods of Tensor that run a recurrent layer over a sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from neurenix.tensor.methods import Methods, Operand

if TYPE_CHECKING:
    from neurenix.tensor.tensor import Tensor


class RecurrentMethods(Methods):
    """This tensor is the input's share of the gates, x W + b, for every step: (T, N, gates * H).

    The answer holds the state after each step. The weights `r` are (H, gates * H); initial states are (N, H), or
    (1, H) for all sequences, and 0 unless given; `lengths` (N,) or (1,) says where each sequence ends, at T unless
    given: it keeps its state from there on. With `reverse` a sequence is walked from its end.
    """

    def rnn_states(
        self,
        r: Operand,
        h0: Operand | None = None,
        lengths: Operand | None = None,
        activation: str = "tanh",
        reverse: bool = False,
    ) -> Tensor:
        """Every h, (T, N, H)."""
        return self.apply("rnn", r, self._state(h0, r), self._ends(lengths), activation=activation, reverse=reverse)

    def lstm_states(
        self,
        r: Operand,
        h0: Operand | None = None,
        c0: Operand | None = None,
        lengths: Operand | None = None,
        reverse: bool = False,
    ) -> Tensor:
        """Every h and c side by side, (T, N, 2 H); the gates are input, forget, cell, output."""
        h0, c0 = self._state(h0, r), self._state(c0, r)
        return self.apply("lstm", r, h0, c0, self._ends(lengths), reverse=reverse)

    def gru_states(
        self,
        r: Operand,
        b: Operand | None = None,
        h0: Operand | None = None,
        lengths: Operand | None = None,
        linear_before_reset: bool = True,
        reverse: bool = False,
    ) -> Tensor:
        """Every h, (T, N, H); the gates are reset, update, new, and `b` (H,) is the recurrent bias of the last."""
        b = np.zeros(self.lift(r).shape[0], self.dtype.numpy) if b is None else b
        attrs = {"linear_before_reset": linear_before_reset, "reverse": reverse}
        return self.apply("gru", r, b, self._state(h0, r), self._ends(lengths), **attrs)

    def _state(self, given: Operand | None, r: Operand) -> Operand:
        return np.zeros((1, self.lift(r).shape[0]), self.dtype.numpy) if given is None else given

    def _ends(self, lengths: Operand | None) -> Tensor:
        """Return lengths as a tensor of integers; without any, one that no sequence reaches."""
        return type(self.lift(0))(np.array([2**31 - 1], np.int64) if lengths is None else lengths)
