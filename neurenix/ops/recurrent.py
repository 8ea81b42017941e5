"""The recurrent rows: RNN, LSTM and GRU over a sequence, one layer and one direction each.

An input's share of the gates does not depend on the state, so it is a matmul before the loop: x (T, N, gates * H)
is that product, with both biases added. The row is the loop itself. Its result holds the state after every step;
a sequence that ends at `lengths` keeps its state from there on, so that the last row, or with `reverse` the first
one, is the final state whatever the length. h0 (and c0) may have one row for all sequences, lengths one entry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from neurenix.dims import Shape, Size, smaller
from neurenix.dtypes import DType
from neurenix.errors import GraphError
from neurenix.ops import recurrent_gradients, recurrent_loops, recurrent_oracles, shapes, types
from neurenix.ops.op import Attrs, Family, Kernel, Op

ACTIVATIONS = {"tanh": "nx_tanh(v)", "relu": "nx_max(v, nx_set(0.0f))"}


def _dtype(dtypes: Sequence[DType], attrs: Mapping[str, Any]) -> DType:
    """Floats of one dtype, and lengths as integers."""
    if types.kind(dtypes[-1]) not in "iu":
        raise GraphError(f"lengths must be int64 or int32, got {dtypes[-1]}")
    return types.floating(dtypes[:-1], attrs)


def _rule(gates: int, states: int, bias: bool = False) -> Callable[[Sequence[Shape], Attrs], Shape]:
    """Return the shape rule of a cell with that many gates and states."""

    def shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
        x, r, *rest = ins
        if len(x) != 3 or len(r) != 2:
            raise GraphError(f"x has 3 axes and r 2, got {shapes.show(x)} and {shapes.show(r)}")
        (steps, batch, _), hidden = x, r[0]
        if not isinstance(hidden, int) or hidden < 1 or (isinstance(steps, int) and steps < 1):
            raise GraphError(f"{steps} steps of a state of {hidden}: both must be at least 1")
        if x[2] != gates * hidden or r[1] != gates * hidden:
            raise GraphError(
                f"x {shapes.show(x)} and r {shapes.show(r)} must both end in {gates} gates of {hidden} values"
            )
        if bias and rest.pop(0) != (hidden,):
            raise GraphError(f"b must be {shapes.show((hidden,))}, got {shapes.show(ins[2])}")
        *initial, lengths = rest
        for given in initial:
            if given not in ((batch, hidden), (1, hidden)):
                raise GraphError(
                    f"an initial state must be {shapes.show((batch, hidden))}, or one row for all: "
                    f"got {shapes.show(given)}"
                )
        if lengths not in ((batch,), (1,)):
            raise GraphError(f"lengths must be {shapes.show((batch,))}, or one for all: got {shapes.show(lengths)}")
        if attrs.get("activation", "tanh") not in ACTIVATIONS:
            raise GraphError(f"the activation {attrs['activation']!r} is none of {', '.join(ACTIVATIONS)}")
        return (steps, batch, states * hidden)

    return shape


def _sizes(states: tuple[str, ...], first: int) -> Callable[[Sequence[Shape], Shape, Attrs], dict[str, Size]]:
    """Return the kernel's arguments; initial states start at input `first`, and a step of 0 repeats their one row."""

    def sizes(ins: Sequence[Shape], out: Shape, attrs: Attrs) -> dict[str, Size]:
        (steps, batch, _), hidden = ins[0], ins[1][0]
        strides: dict[str, Size] = {
            f"{name}_step": 0 if ins[first + i][0] == 1 else hidden for i, name in enumerate(states)
        }
        return {
            "T": steps, "N": batch, "H": hidden, **strides, "length_step": 0 if ins[-1][0] == 1 else 1,
            "reverse": int(bool(attrs["reverse"])), "chunk": smaller(48, (batch + 11) // 12 * 12),
        }  # fmt: skip

    return sizes


def _scratch(gates: int, more: int = 0) -> Callable[[Mapping[str, Size]], Size]:
    return lambda sizes: sizes["chunk"] * (gates * sizes["H"] + more)


def _sample(gates: int, states: int, bias: bool, **choices: tuple[Any, ...]) -> Callable[..., Any]:
    """Return a sampler: initial states and lengths for each sequence or for all, lengths from 0 to beyond the end."""

    def sample(rng: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
        steps, batch, hidden = (int(v) for v in rng.integers(1, (7, 15, 20)))
        rows = batch if rng.random() < 0.6 else 1
        lengths = rng.integers(0, steps + 2, batch) if rng.random() < 0.7 else np.array([steps + 5])
        inputs: list[Any] = [(steps, batch, gates * hidden), (hidden, gates * hidden)]
        inputs += [(hidden,)] if bias else []
        inputs += [(rows, hidden)] * states
        attrs = {name: values[int(rng.integers(len(values)))] for name, values in choices.items()}
        return [*inputs, lengths.astype(np.int64)], {"reverse": bool(rng.random() < 0.5), **attrs}

    return sample


def _rnn_defines(attrs: Attrs) -> dict[str, str]:
    return {"NX_CELL(v)": ACTIVATIONS[attrs["activation"]]}


def _gru_defines(attrs: Attrs) -> dict[str, str]:
    return {"NX_LINEAR": str(int(bool(attrs["linear_before_reset"])))}


ROWS = (
    Op("rnn", Family.RECURRENT, "h = activation(x_t + h r) over x (T, N, H): every h, (T, N, H).", 4,
       _rule(1, 1), recurrent_oracles.rnn, dtype=_dtype, compute=recurrent_loops.rnn,
       gradient=recurrent_gradients.rnn, attrs={"activation": "tanh", "reverse": False}, domain=(-1, 1),
       samples=_sample(1, 1, False, activation=("tanh", "relu")),
       kernel=Kernel("rnn.c", _sizes(("h0",), 2), (None, "panel8", None, None), index=3, scratch=_scratch(1),
                     defines=_rnn_defines)),
    Op("lstm", Family.RECURRENT,
       "Gates i, f, g, o of x_t + h r; c = f c + i g; h = o tanh(c): every h and c side by side, (T, N, 2 H).", 5,
       _rule(4, 2), recurrent_oracles.lstm, dtype=_dtype, compute=recurrent_loops.lstm,
       gradient=recurrent_gradients.lstm, attrs={"reverse": False}, domain=(-1, 1), samples=_sample(4, 2, False),
       kernel=Kernel("lstm.c", _sizes(("h0", "c0"), 2), (None, "panel8", None, None, None), index=4,
                     scratch=_scratch(4))),
    Op("gru", Family.RECURRENT,
       "Gates r, z of x_t + h r; n = tanh(x_t + r (h r + b)), or of (r h) r + b; h = (1 - z) n + z h: every h.", 5,
       _rule(3, 1, bias=True), recurrent_oracles.gru, dtype=_dtype, compute=recurrent_loops.gru,
       gradient=recurrent_gradients.gru, attrs={"linear_before_reset": True, "reverse": False}, domain=(-1, 1),
       samples=_sample(3, 1, True, linear_before_reset=(True, False)),
       kernel=Kernel("gru.c", _sizes(("h0",), 3), (None, "panel8", None, None, None), index=4,
                     scratch=_scratch(4, 8), defines=_gru_defines)),
)  # fmt: skip
