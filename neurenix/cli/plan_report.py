"""What there is to know about a plan, as data: its signature, layers, steps, buffers, and what they cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Union

from neurenix.bundle.description import malformed
from neurenix.dims import Shape
from neurenix.graph.cost import StepCost, buffer_lives, step_costs
from neurenix.graph.plan import Plan

SymbolicShape = tuple[Union[int, str], ...]


@dataclass(frozen=True)
class Port:
    """An input or output. A size is a number or an expression of symbols."""

    name: str
    dtype: str
    shape: SymbolicShape


@dataclass(frozen=True)
class Range:
    """A symbolic size: its range, and the value that all costs are for."""

    min: int
    max: int
    value: int


@dataclass(frozen=True)
class LayerReport:
    """A layer as its author wrote it. Layers that were fused into another's step have no steps of their own."""

    name: str
    type: str
    parameters: tuple[str, ...]
    steps: int
    flops: int
    weights: int


@dataclass(frozen=True)
class StepReport:
    """One call of a kernel; `weights` are the bytes of parameters that it reads, `written` those that it makes.

    The `flops` of a custom op are 0: nobody has said how much its code does.
    """

    op: str
    kernel: str
    layer: str
    shape: SymbolicShape
    flops: int
    weights: int
    written: int


@dataclass(frozen=True)
class BufferReport:
    """A buffer in the arena, in bytes at the largest dims, and the steps from `first` to `last` that need it.

    An input is there from -1 on, an output until behind the last step.
    """

    name: str
    offset: int
    size: int
    first: int
    last: int


@dataclass(frozen=True)
class PlanReport:
    """A compiled model. `flops` and `written` are for the dims' `value`, `arena` is for the largest dims."""

    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    dims: Mapping[str, Range]
    labels: tuple[str, ...]
    parameters: int
    weights: int
    arena: int
    flops: int
    layers: tuple[LayerReport, ...]
    steps: tuple[StepReport, ...]
    buffers: tuple[BufferReport, ...]


def report_plan(plan: Plan, dims: Mapping[str, int]) -> PlanReport:
    """Describe a plan at these dims. Raises BundleError for one whose steps cannot be what they say."""
    with malformed(f"the plan of '{plan.name}'"):
        costs = step_costs(plan, dims)
        lives = buffer_lives(plan)
    return PlanReport(
        name=plan.name,
        inputs=tuple(_port(plan, name) for name in plan.inputs),
        outputs=tuple(_port(plan, name) for name in plan.outputs),
        dims={name: Range(low, high, dims[name]) for name, (low, high) in plan.dims.items()},
        labels=plan.labels,
        parameters=sum(math.prod(tensor.shape) for tensor in plan.tensors.values()),
        weights=plan.weights_size,
        arena=plan.arena_size,
        flops=sum(cost.flops for cost in costs),
        layers=_layers(plan, costs),
        steps=tuple(
            StepReport(c.step.op, c.step.kernel, c.step.scope, shown(c.step.shape), c.flops, c.weights, c.written)
            for c in costs
        ),
        buffers=tuple(BufferReport(life.name, life.offset, life.size, life.first, life.last) for life in lives),
    )


def shown(shape: Shape) -> SymbolicShape:
    """Return a shape as numbers, and texts for what is symbolic."""
    return tuple(size if isinstance(size, int) else str(size) for size in shape)


def _port(plan: Plan, name: str) -> Port:
    buffer = plan.buffers[name]
    return Port(name, buffer.dtype.name, shown(buffer.shape))


def _layers(plan: Plan, costs: tuple[StepCost, ...]) -> tuple[LayerReport, ...]:
    """Return every layer with the steps whose nearest layer it is: a step's scope may go deeper than any layer."""
    names = {layer.name for layer in plan.layers}
    owned: dict[str, list[StepCost]] = {}
    for cost in costs:
        scope = cost.step.scope
        while scope and scope not in names:
            scope = scope.rpartition(".")[0]
        owned.setdefault(scope, []).append(cost)
    reports = []
    for layer in plan.layers:
        own = owned.get(layer.name, [])
        flops, weights = sum(c.flops for c in own), sum(c.weights for c in own)
        reports.append(LayerReport(layer.name, layer.type, layer.parameters, len(own), flops, weights))
    return tuple(reports)
