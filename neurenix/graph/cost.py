"""What the steps of a plan cost at given dims: arithmetic, parameters, and the life of every buffer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from neurenix import ops
from neurenix.dims import Shape, evaluate
from neurenix.graph.plan import Plan, Step
from neurenix.ops import flops


@dataclass(frozen=True)
class StepCost:
    """One step at given dims. `weights` and `written` are bytes, `flops` are operations on numbers."""

    step: Step
    shape: tuple[int, ...]
    flops: int
    weights: int
    written: int


@dataclass(frozen=True)
class Life:
    """A buffer's place in the arena and the steps, first and last, between which it must be kept.

    -1 is before the first step, where inputs are; the number of steps is behind the last one, where answers are.
    """

    name: str
    offset: int
    size: int
    first: int
    last: int


def step_costs(plan: Plan, dims: Mapping[str, int]) -> tuple[StepCost, ...]:
    """Return what each step costs at these dims, in order."""
    return tuple(_cost(plan, step, dims) for step in plan.steps)


def buffer_lives(plan: Plan) -> tuple[Life, ...]:
    """Return the life of every buffer, by its place in the arena."""
    first = dict.fromkeys(plan.inputs, -1)
    last = dict.fromkeys(plan.inputs, -1)
    for at, step in enumerate(plan.steps):
        for name in _touched(step):
            if name in plan.buffers:
                first.setdefault(name, at)
                last[name] = at
    last |= dict.fromkeys(plan.results, len(plan.steps))
    lives = (Life(n, b.offset, b.size, first.get(n, -1), last.get(n, -1)) for n, b in plan.buffers.items())
    return tuple(sorted(lives, key=lambda life: (life.offset, life.first)))


def _touched(step: Step) -> tuple[str, ...]:
    beside = step.epilogue.inputs if step.epilogue else ()
    return (*step.inputs, *beside, step.output, *((step.scratch,) if step.scratch else ()))


def _cost(plan: Plan, step: Step, dims: Mapping[str, int]) -> StepCost:
    out = _known(step.shape, dims)
    count = _flops(plan, step, tuple(_known(shape, dims) for shape in step.shapes), out)
    if step.epilogue:
        count += flops.in_expression(step.epilogue.expr) * math.prod(out)
    weights = sum(plan.tensors[name].size for name in dict.fromkeys(_touched(step)) if name in plan.tensors)
    return StepCost(step, out, count, weights, math.prod(out) * plan.dtype(step.output).size)


def _flops(plan: Plan, step: Step, shapes: tuple[tuple[int, ...], ...], out: tuple[int, ...]) -> int:
    if step.op in plan.custom:
        return 0  # nobody has said how much its code does
    row = ops.get(step.op)
    return row.count_flops(shapes, out, row.bind(step.attrs))


def _known(shape: Shape, dims: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(evaluate(size, dims) for size in shape)
