"""If, Loop and Scan: folded or unrolled while the model is read, so that what runs is one straight list of kernels.

A condition that is known picks its branch. One that is not runs both branches and chooses each element. A loop runs
as often as it can at most; what an iteration beyond its true end computes is thrown away by the same choice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neurenix.dims import Dim, Size, bounds
from neurenix.errors import ModelError, UnsupportedError
from neurenix.frontends.onnx.attributes import Subgraph
from neurenix.frontends.onnx.operator import Call, operator
from neurenix.frontends.onnx.symbolic import Symbolic, Value, materialized, symbolic
from neurenix.tensor import Tensor, selecting, stack, where

# An unrolled body is printed once for each iteration: more than this would be a program of megabytes.
MOST_ITERATIONS = 1024


@operator("If")
def if_(call: Call, cond: Value, *, then_branch: Subgraph, else_branch: Subgraph) -> tuple[Value | None, ...]:
    truth = _known(cond)
    if truth is not None:
        return (then_branch if truth else else_branch).run()
    condition = materialized(cond)
    return tuple(_either(condition, a, b) for a, b in zip(then_branch.run(), else_branch.run()))


@operator("Loop")
def loop(
    call: Call, M: Value | None = None, cond: Value | None = None, *v_initial: Value | None, body: Subgraph
) -> tuple[Value | None, ...]:
    most, trips = _trips(call, M)
    states: list[Value | None] = list(v_initial)
    if len(body.inputs) != len(states) + 2 or len(body.outputs) < len(states) + 1:
        raise ModelError(f"its body takes {len(body.inputs)} inputs, and is given {len(states) + 2}")
    collected: list[list[Tensor]] = [[] for _ in body.outputs[1 + len(states) :]]
    active: Tensor | None = None  # None: every iteration so far has surely run
    certain, happened = 0, list[Tensor]()  # how many have surely run; of each other one, whether it has
    going: Value | None = cond
    for i in range(most if most is not None else MOST_ITERATIONS + 1):
        if i >= MOST_ITERATIONS:
            raise UnsupportedError(
                f"it would run {most or 'an unknown number of'} times; at most {MOST_ITERATIONS} can be unrolled"
            )
        truth = True if going is None else _known(going)
        if truth is False:
            break
        active = _narrowed(active, None if truth else going, i, trips)
        certain += active is None
        happened += [] if active is None else [active]
        after, *made = body.run(Tensor(np.array(i)), Tensor(np.array(True)), *states)
        results = made[: len(states)]
        states = list(results) if active is None else [_either(active, new, old) for new, old in zip(results, states)]
        for rows, value in zip(collected, made[len(states) :]):
            rows.append(materialized(_there(value)))
        going = after
    return (*states, *(_collected(rows, certain, happened) for rows in collected))


@operator("Scan", since=9)
def scan(
    call: Call,
    *initial_state_and_scan_inputs: Tensor,
    body: Subgraph,
    num_scan_inputs: int,
    scan_input_axes: tuple[int, ...] | None = None,
    scan_input_directions: tuple[int, ...] | None = None,
    scan_output_axes: tuple[int, ...] | None = None,
    scan_output_directions: tuple[int, ...] | None = None,
) -> tuple[Value | None, ...]:
    given = initial_state_and_scan_inputs
    count = len(given) - num_scan_inputs
    if not 0 < num_scan_inputs <= len(given) or len(body.inputs) != len(given):
        raise ModelError(f"its num_scan_inputs is {num_scan_inputs}, of {len(given)} inputs")
    outputs = len(body.outputs) - count
    axes = scan_input_axes or (0,) * num_scan_inputs
    backwards = scan_input_directions or (0,) * num_scan_inputs
    inputs = [x.movedim(a, 0) for x, a in zip(given[count:], axes)]
    states, collected = _scan(call, body, given[:count], inputs, backwards)
    results = []
    for rows, axis, reverse in zip(
        collected, scan_output_axes or (0,) * outputs, scan_output_directions or (0,) * outputs
    ):
        results.append((rows.flip(0) if reverse else rows).movedim(0, axis))
    return (*states, *results)


@operator("Scan", since=8)
def scan_8(
    call: Call,
    sequence_lens: Tensor | None = None,
    *initial_state_and_scan_inputs: Tensor,
    body: Subgraph,
    num_scan_inputs: int,
    directions: tuple[int, ...] | None = None,
) -> tuple[Value | None, ...]:
    """Opset 8: everything has a leading batch axis, and each sample is a scan of its own."""
    given = initial_state_and_scan_inputs
    count, batch = len(given) - num_scan_inputs, given[0].shape[0]
    if sequence_lens is not None or not isinstance(batch, int):
        raise UnsupportedError("a Scan of opset 8 runs with a fixed batch and without sequence_lens")
    samples = []
    for b in range(batch):
        each = [x.select(0, b) for x in given]
        states, collected = _scan(call, body, each[:count], each[count:], directions or (0,) * num_scan_inputs)
        samples.append([*(materialized(_there(s)) for s in states), *collected])
    return tuple(stack(parts) for parts in zip(*samples))


def _scan(
    call: Call, body: Subgraph, initial: Sequence[Tensor], inputs: Sequence[Tensor], backwards: Sequence[int]
) -> tuple[list[Value | None], list[Tensor]]:
    """Run a body along axis 0 of its inputs; return the last states, and each step's other results joined."""
    length = inputs[0].shape[0]
    if any(x.shape[0] != length for x in inputs):
        raise ModelError(f"its sequences have lengths {[x.shape[0] for x in inputs]}, and they must be equal")
    most = length if isinstance(length, int) else bounds(length, call.importer.ranges)[1]
    if most > MOST_ITERATIONS:
        raise UnsupportedError(f"its sequence has {most} steps; at most {MOST_ITERATIONS} can be unrolled")
    turned = [x.flip(0) if back else x for x, back in zip(inputs, backwards)]
    states: list[Value | None] = list(initial)
    collected: list[list[Tensor]] = [[] for _ in body.outputs[len(states) :]]
    for i in range(most):
        active = _narrowed(None, None, i, length if isinstance(length, Dim) else None)
        made = body.run(*states, *(_step(x, i, active) for x in turned))
        fresh = list(made[: len(states)])
        states = fresh if active is None else [_either(active, new, old) for new, old in zip(fresh, states)]
        for rows, value in zip(collected, made[len(states) :]):
            rows.append(materialized(_there(value)))
    joined = [_stacked(rows) for rows in collected]
    return states, joined if isinstance(length, int) else [rows.narrow_to(0, 0, length) for rows in joined]


def _known(condition: Value) -> bool | None:
    """Return a condition's truth where it is known while the model is read."""
    if isinstance(condition, Symbolic) or condition.traced is not None:
        return None
    if condition.size != 1:
        raise ModelError(f"its condition has the shape {list(condition.shape)}, and must be one truth value")
    return bool(condition.numpy().reshape(()))


def _either(condition: Tensor, new: Value | None, old: Value | None) -> Tensor:
    a, b = materialized(_there(new)), materialized(_there(old))
    if a.shape != b.shape or a.dtype != b.dtype:
        raise UnsupportedError(
            f"it chooses between {a.dtype}{list(a.shape)} and {b.dtype}{list(b.shape)} by data; both must be alike, "
            "since buffers have fixed shapes"
        )
    return where(condition.reshape(()), a, b)


def _there(value: Value | None) -> Value:
    if value is None:
        raise ModelError("its body does not make one of its outputs")
    return value


def _trips(call: Call, given: Value | None) -> tuple[int | None, Size | None]:
    """Return how often a loop runs at most, and the symbolic size that says how often it really does."""
    if given is None:
        return None, None
    if isinstance(given, Symbolic):
        trips = given.array.reshape(-1)[0]
        return max(0, bounds(trips, call.importer.ranges)[1]), trips
    if given.traced is not None:
        raise UnsupportedError(
            "its trip count depends on data, and only a constant or a size can bound a loop: fix it with "
            "constants={…} if it is an input of the model"
        )
    return max(0, int(given.numpy().reshape(-1)[0])), None


def _narrowed(active: Tensor | None, going: Value | None, i: int, trips: Size | None) -> Tensor | None:
    """Return whether iteration i really happens, as a tensor; None where it surely does."""
    found = active
    if isinstance(trips, Dim):
        found = _and(found, materialized(symbolic(np.array(trips, dtype=object))) > i)
    return _and(found, materialized(going).reshape(())) if going is not None else found


def _and(a: Tensor | None, b: Tensor) -> Tensor:
    return b if a is None else a.logical_and(b)


def _step(x: Tensor, i: int, active: Tensor | None) -> Tensor:
    """Return element i of a sequence; beyond the end of one whose length varies, its last element."""
    if active is None:
        return x.select(0, i)
    last = materialized(symbolic(np.array(x.shape[0] - 1, dtype=object)))
    return x.index_select(0, last.minimum(i).reshape((1,))).squeeze(0)


def _collected(rows: Sequence[Tensor], certain: int, happened: Sequence[Tensor]) -> Tensor:
    """Join the rows of all iterations; where data decides how many run, only the beginning counts."""
    joined = _stacked(rows)
    if not happened:
        return joined
    count = stack([h.cast("int64").reshape(()) for h in happened]).sum() + certain
    return selecting.with_length(joined, 0, count)


def _stacked(rows: Sequence[Tensor]) -> Tensor:
    if not rows:
        raise UnsupportedError("it never runs, so the shape of what it collects is not known")
    return stack(list(rows))
