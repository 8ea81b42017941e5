"""The eager loops of the recurrent rows: all sequences of a batch take a step together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from neurenix.ops.op import Array

# (x_t, states, where to write the new states): states side by side, as they lie in the result.
Cell = Callable[[Array, Array, Array], None]


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), which overflows to its right limits."""
    return np.asarray(1 / (1 + np.exp(-x)))


def order(steps: int, reverse: bool) -> range:
    """Return the steps as a direction takes them."""
    return range(steps - 1, -1, -1) if reverse else range(steps)


def live_rows(lengths: Array, steps: int, batch: int) -> Array | None:
    """Return where a sequence has not ended yet, (T, N, 1); None where no sequence ends early."""
    if lengths.size == 0 or lengths.min() >= steps:
        return None
    return np.asarray((np.arange(steps)[:, None] < np.broadcast_to(lengths, (batch,)))[:, :, None])


def _scan(cell: Cell, x: Array, initial: Sequence[Array], lengths: Array, reverse: bool) -> Array:
    steps, batch = x.shape[:2]
    state = np.concatenate([np.broadcast_to(s, (batch, s.shape[1])) for s in initial], axis=1).astype(x.dtype)
    y = np.empty((steps, *state.shape), dtype=x.dtype)
    live = live_rows(lengths, steps, batch)
    for t in order(steps, reverse):
        cell(x[t], state, y[t])
        if live is not None:
            np.copyto(y[t], state, where=~live[t])
        state = y[t]
    return y


def rnn(x: Array, r: Array, h0: Array, lengths: Array, activation: str, reverse: bool) -> Array:
    def cell(gate: Array, h: Array, out: Array) -> None:
        np.matmul(h, r, out=out)
        out += gate
        np.tanh(out, out=out) if activation == "tanh" else np.maximum(out, 0, out=out)

    return _scan(cell, x, (h0,), lengths, reverse)


def lstm(x: Array, r: Array, h0: Array, c0: Array, lengths: Array, reverse: bool) -> Array:
    size = r.shape[0]

    def cell(x_t: Array, state: Array, out: Array) -> None:
        gates = state[:, :size] @ r
        gates += x_t
        kept = sigmoid(gates[:, : 2 * size])
        new = np.tanh(gates[:, 2 * size : 3 * size])
        c = np.add(kept[:, size:] * state[:, size:], kept[:, :size] * new, out=out[:, size:])
        np.multiply(sigmoid(gates[:, 3 * size :]), np.tanh(c), out=out[:, :size])

    return _scan(cell, x, (h0, c0), lengths, reverse)


def gru(x: Array, r: Array, b: Array, h0: Array, lengths: Array, linear_before_reset: bool, reverse: bool) -> Array:
    size = r.shape[0]
    by_gates, by_new = r[:, : 2 * size], r[:, 2 * size :]

    def cell(x_t: Array, h: Array, out: Array) -> None:
        if linear_before_reset:
            product = h @ r
            gates = sigmoid(x_t[:, : 2 * size] + product[:, : 2 * size])
            share = gates[:, :size] * (product[:, 2 * size :] + b)
        else:
            gates = sigmoid(x_t[:, : 2 * size] + h @ by_gates)
            share = (gates[:, :size] * h) @ by_new + b
        new = np.tanh(x_t[:, 2 * size :] + share)
        np.add(new, gates[:, size:] * (h - new), out=out)

    return _scan(cell, x, (h0,), lengths, reverse)
