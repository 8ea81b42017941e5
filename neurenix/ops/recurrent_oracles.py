"""The definitions of the recurrent rows: one sequence at a time, cut to its length, straight from the formulas."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from neurenix.ops.op import Array

Cell = Callable[[Array, tuple[Array, ...]], tuple[Array, ...]]


def _sigmoid(x: Array) -> Array:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


def _scan(cell: Cell, x: Array, initial: tuple[Array, ...], lengths: Array, reverse: bool) -> Array:
    steps, batch = x.shape[:2]
    starts = [np.broadcast_to(s, (batch, s.shape[1])) for s in initial]
    y = np.empty((steps, batch, sum(s.shape[1] for s in starts)), dtype=x.dtype)
    for n, length in enumerate(np.broadcast_to(lengths, (batch,))):
        end = int(np.clip(length, 0, steps))
        state = tuple(s[n] for s in starts)
        y[end:, n] = np.concatenate(state)
        for t in range(end)[::-1] if reverse else range(end):
            state = cell(x[t, n], state)
            y[t, n] = np.concatenate(state)
        if not reverse:
            y[end:, n] = np.concatenate(state)
    return y


def rnn(x: Array, r: Array, h0: Array, lengths: Array, activation: str, reverse: bool) -> Array:
    def cell(gate: Array, state: tuple[Array, ...]) -> tuple[Array, ...]:
        total = gate + np.einsum("h,hk->k", state[0], r)
        return (np.tanh(total) if activation == "tanh" else np.maximum(total, 0),)

    return _scan(cell, x, (h0,), lengths, reverse)


def lstm(x: Array, r: Array, h0: Array, c0: Array, lengths: Array, reverse: bool) -> Array:
    def cell(gates: Array, state: tuple[Array, ...]) -> tuple[Array, ...]:
        h, c = state
        i, f, g, o = np.split(gates + np.einsum("h,hk->k", h, r), 4)
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
        return _sigmoid(o) * np.tanh(c), c

    return _scan(cell, x, (h0, c0), lengths, reverse)


def gru(x: Array, r: Array, b: Array, h0: Array, lengths: Array, linear_before_reset: bool, reverse: bool) -> Array:
    by_reset, by_update, by_new = np.split(r, 3, axis=1)

    def cell(gates: Array, state: tuple[Array, ...]) -> tuple[Array, ...]:
        (h,), (reset, update, new) = state, np.split(gates, 3)
        reset = _sigmoid(reset + np.einsum("h,hk->k", h, by_reset))
        update = _sigmoid(update + np.einsum("h,hk->k", h, by_update))
        if linear_before_reset:
            new = np.tanh(new + reset * (np.einsum("h,hk->k", h, by_new) + b))
        else:
            new = np.tanh(new + np.einsum("h,hk->k", reset * h, by_new) + b)
        return ((1 - update) * new + update * h,)

    return _scan(cell, x, (h0,), lengths, reverse)
