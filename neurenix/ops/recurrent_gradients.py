"""Backpropagation through time, written once for arrays and for tensors.

The states that a row returns give all its gates back in one product, so that only the recursion of the states'
gradients is a loop. Where nothing keeps a history this runs on the arrays themselves; otherwise on tensors, step by
step, so that the gradient can be traced or differentiated again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from neurenix.ops.op import Array, Attrs
from neurenix.ops.recurrent_arithmetic import ON_ARRAYS, ON_TENSORS, Arithmetic
from neurenix.ops.recurrent_loops import live_rows, order

Backward = Callable[..., tuple[Any, ...]]


def _run(backward: Backward, g: Any, y: Any, inputs: Sequence[Any], attrs: Attrs) -> tuple[Any, ...]:
    """Call a backward pass, on arrays if nobody asks for the history of what it does."""
    *operands, lengths = inputs
    steps, batch = y.shape[:2]
    live = live_rows(lengths.numpy(), steps, batch)
    traced = any(t.traced is not None for t in (g, y, *operands))
    if traced or any(t.reshape(t.shape).requires_grad for t in (g, *operands) if t.requires_grad):
        found = backward(ON_TENSORS, g, y, *operands, live=live, **attrs)
    else:
        with np.errstate(all="ignore"):
            arrays = backward(ON_ARRAYS, *(t.numpy() for t in (g, y, *operands)), live=live, **attrs)
        found = tuple(g.lift(a) for a in arrays)
    return (*found, None)


def rnn(g: Any, y: Any, inputs: Sequence[Any], attrs: Attrs) -> tuple[Any, ...]:
    return _run(_rnn, g, y, inputs, attrs)


def lstm(g: Any, y: Any, inputs: Sequence[Any], attrs: Attrs) -> tuple[Any, ...]:
    return _run(_lstm, g, y, inputs, attrs)


def gru(g: Any, y: Any, inputs: Sequence[Any], attrs: Attrs) -> tuple[Any, ...]:
    return _run(_gru, g, y, inputs, attrs)


def _masks(live: Array | None, like: Any, on: Arithmetic) -> tuple[Any, Any]:
    """Return 1 where a sequence runs and 1 where it has ended, in the dtype of `like`; None where all run."""
    if live is None:
        return None, None
    return on.constant(live, like), on.constant(~live, like)


def _backwards(
    steps: int, reverse: bool, g: Any, cell: Callable[[int, Any], tuple[Any, Any]], live: Any, ended: Any
) -> tuple[list[Any], Any]:
    """Walk from the last step to the first.

    `cell(t, d)` takes the gradient of the state after step t and returns that of the gates and that of the state
    before it. Returns the gates' gradients by step, and the initial state's.
    """
    gates: list[Any] = [None] * steps
    d: Any = None
    for t in reversed(order(steps, reverse)):
        d = g[t] if d is None else g[t] + d
        if live is None:
            gates[t], d = cell(t, d)
        else:
            gates[t], before = cell(t, d * live[t])
            d = before + d * ended[t]
    return gates, d


def _before(on: Arithmetic, states: Any, initial: Any, reverse: bool) -> Any:
    """Return the state before each step: the initial one, then all states but the last."""
    start = on.expand(initial, (states.shape[1], initial.shape[1])).reshape((1, *states.shape[1:]))
    return on.join([states[1:], start] if reverse else [start, states[:-1]], 0)


def _weights(on: Arithmetic, before: Any, gates: Any) -> Any:
    """Return the gradient of r: every step's outer products, added up in one product."""
    rows = gates.shape[0] * gates.shape[1]
    return on.turn(before.reshape((rows, before.shape[2]))) @ gates.reshape((rows, gates.shape[2]))


def _rnn(
    on: Arithmetic, g: Any, y: Any, x: Any, r: Any, h0: Any, live: Array | None, activation: str, reverse: bool
) -> tuple[Any, ...]:
    before = _before(on, y, h0, reverse)
    slope = 1 - y * y if activation == "tanh" else on.positive(y)
    turned = on.turn(r)

    def cell(t: int, d: Any) -> tuple[Any, Any]:
        gate = d * slope[t]
        return gate, gate @ turned

    gates, d0 = _backwards(y.shape[0], reverse, g, cell, *_masks(live, y, on))
    dx = on.stack(gates)
    return dx, _weights(on, before, dx), on.sum_to(d0, h0.shape)


def _lstm(
    on: Arithmetic, g: Any, y: Any, x: Any, r: Any, h0: Any, c0: Any, live: Array | None, reverse: bool
) -> tuple[Any, ...]:
    size = r.shape[0]
    h_before = _before(on, y[:, :, :size], h0, reverse)
    c_before = _before(on, y[:, :, size:], c0, reverse)
    i, f, new, o = _split(x + h_before @ r, size)
    i, f, new, o = on.sigmoid(i), on.sigmoid(f), on.tanh(new), on.sigmoid(o)
    shown = on.tanh(f * c_before + i * new)
    through = o * (1 - shown * shown)
    by_c = [new * i * (1 - i), c_before * f * (1 - f), i * (1 - new * new)]
    slopes = on.join([*by_c, shown * o * (1 - o)], 2)
    turned = on.turn(r)

    def cell(t: int, d: Any) -> tuple[Any, Any]:
        dh, dc = d[:, :size], d[:, size:]
        dc = dc + dh * through[t]
        gates = on.join([dc, dc, dc, dh], 1) * slopes[t]
        return gates, on.join([gates @ turned, dc * f[t]], 1)

    gates, d0 = _backwards(y.shape[0], reverse, g, cell, *_masks(live, y, on))
    dx = on.stack(gates)
    dh0, dc0 = on.sum_to(d0[:, :size], h0.shape), on.sum_to(d0[:, size:], c0.shape)
    return dx, _weights(on, h_before, dx), dh0, dc0


def _gru(
    on: Arithmetic, g: Any, y: Any, x: Any, r: Any, b: Any, h0: Any, live: Array | None,
    linear_before_reset: bool, reverse: bool,
) -> tuple[Any, ...]:  # fmt: skip
    size = r.shape[0]
    before = _before(on, y, h0, reverse)
    by_new = r[:, 2 * size :]
    x_reset, x_update, x_new = _split(x, size)
    reset, update, late = _split(before @ r, size)
    reset, update = on.sigmoid(x_reset + reset), on.sigmoid(x_update + update)
    late = late + b if linear_before_reset else (reset * before) @ by_new + b
    new = on.tanh(x_new + (reset * late if linear_before_reset else late))
    to_new = (1 - update) * (1 - new * new)
    to_update = (before - new) * update * (1 - update)
    to_reset = (late if linear_before_reset else before) * reset * (1 - reset)
    turned, turned_new = on.turn(r), on.turn(by_new)
    turned_gates = on.turn(r[:, : 2 * size])

    # The gates of a step are those of x, and then once more the last one as r meets it.
    def linear(t: int, d: Any) -> tuple[Any, Any]:
        d_new, d_update = d * to_new[t], d * to_update[t]
        d_reset, d_late = d_new * to_reset[t], d_new * reset[t]
        gates = on.join([d_reset, d_update, d_new, d_late], 1)
        return gates, on.join([d_reset, d_update, d_late], 1) @ turned + d * update[t]

    def plain(t: int, d: Any) -> tuple[Any, Any]:
        d_new, d_update = d * to_new[t], d * to_update[t]
        share = d_new @ turned_new
        d_reset = share * to_reset[t]
        back = on.join([d_reset, d_update], 1) @ turned_gates + share * reset[t]
        return on.join([d_reset, d_update, d_new, d_new], 1), back + d * update[t]

    cell = linear if linear_before_reset else plain
    gates, d0 = _backwards(y.shape[0], reverse, g, cell, *_masks(live, y, on))
    every = on.stack(gates)
    dx, late = every[:, :, : 3 * size], every[:, :, 3 * size :]
    met = before if linear_before_reset else reset * before
    dr = on.join([_weights(on, before, dx[:, :, : 2 * size]), _weights(on, met, late)], 1)
    return dx, dr, on.sum_to(late, (1, 1, size)).reshape((size,)), on.sum_to(d0, h0.shape)


def _split(gates: Any, size: int) -> list[Any]:
    """Return the gates one by one, each a part of the last axis."""
    return [gates[:, :, at : at + size] for at in range(0, gates.shape[2], size)]
