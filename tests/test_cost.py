"""Claims about what a plan's steps cost: arithmetic counted by hand, and buffers that live as long as they are read."""

from __future__ import annotations

import math

import numpy as np
import pytest

from neurenix import expr as ex
from neurenix import ops
from neurenix.compiler import passes
from neurenix.compiler.schedule import schedule
from neurenix.graph.cost import buffer_lives, step_costs
from neurenix.graph.plan import Plan
from neurenix.nn import GRU, Conv2d, Linear, MaxPool2d, Module, ReLU, Sequential, Softmax
from neurenix.ops import flops
from neurenix.opsdoc.cases import random_case
from neurenix.opsdoc.measure import measured_rows
from neurenix.trace import trace


def plan_of(model: Module, spec: str) -> Plan:
    graph = trace(model.eval(), {"x": spec}, {}, "m")
    return schedule(passes.run(graph, True))[0]


def total(model: Module, spec: str, **dims: int) -> int:
    return sum(cost.flops for cost in step_costs(plan_of(model, spec), dims))


@pytest.mark.parametrize("row", [row for row in measured_rows() if row.kernel or row.expr], ids=lambda row: row.name)
def test_every_row_that_plans_have_can_be_counted(row: ops.Op) -> None:
    case = random_case(row, 0)
    shapes = [a.shape for a in case.arrays]
    count = row.count_flops(shapes, row.evaluate(case.arrays, case.attrs).shape, case.attrs)
    assert isinstance(count, int)
    assert count >= 0
    assert row.family is not ops.Family.MOVEMENT or count == 0


COUNTS = [
    (Linear(10, 7), "float32[b, 10]", {"b": 3}, 3 * 7 * (2 * 10 + 1)),
    (Linear(10, 7, bias=False), "float32[b, 10]", {"b": 1}, 7 * 2 * 10),
    (Conv2d(3, 8, 3, padding=1, bias=False), "float32[b, 3, 5, 6]", {"b": 2}, 2 * 2 * 8 * 5 * 6 * 3 * 9),
    (Conv2d(4, 8, 3, groups=2, bias=False), "float32[1, 4, 5, 5]", {}, 2 * 8 * 3 * 3 * 2 * 9),
    (Conv2d(4, 4, 3, groups=4, bias=False), "float32[1, 4, 5, 5]", {}, 2 * 4 * 3 * 3 * 9),
    (Conv2d(4, 8, 2, stride=2), "float32[1, 4, 6, 6]", {}, 8 * 3 * 3 * (2 * 4 * 4 + 1)),
    (MaxPool2d(2), "float32[b, 3, 8, 8]", {"b": 2}, 2 * 3 * 16 * 4),
    (Softmax(-1), "float32[b, 5]", {"b": 4}, 4 * 5 * 5),
    (Sequential(Linear(4, 4), ReLU()), "float32[1, 4]", {}, 4 * (2 * 4 + 1 + 2)),
]


@pytest.mark.parametrize(("model", "spec", "dims", "expected"), COUNTS)
def test_the_count_is_what_one_counts_by_hand(model: Module, spec: str, dims: dict[str, int], expected: int) -> None:
    assert expected == total(model, spec, **dims)


def test_the_count_grows_with_the_dims() -> None:
    model = Linear(10, 7)
    assert 6 * total(model, "float32[b, 10]", b=2) == total(model, "float32[b, 10]", b=12)


def test_recurrence_counts_the_products_of_every_step() -> None:
    # Three gates of five, from an input of four and a state of five: the products alone.
    products = 2 * 6 * 3 * 5 * (4 + 5)
    count = total(GRU(4, 5), "float32[6, 1, 4]")
    assert products <= count <= 1.3 * products


def test_a_part_that_stands_twice_in_an_expression_is_computed_once() -> None:
    x = ex.operand(0)
    part = ex.exp(x)
    assert 0 == flops.in_expression(x)
    assert 1 == flops.in_expression(part)
    assert 3 == flops.in_expression(part * (part + 1))


def test_a_buffer_lives_from_its_first_writer_to_its_last_reader() -> None:
    plan = plan_of(Sequential(Linear(8, 8), Softmax(-1), Linear(8, 8)), "float32[b, 8]")
    lives = {life.name: life for life in buffer_lives(plan)}
    assert set(plan.buffers) == set(lives)
    assert (-1, 0) == (lives["x"].first, lives["x"].last)
    assert len(plan.steps) == lives[plan.outputs[0]].last
    for at, step in enumerate(plan.steps):
        for name in {*step.inputs, step.output} & set(lives):
            assert lives[name].first <= at <= lives[name].last


def test_bytes_are_those_of_the_buffers_and_the_packed_parameters() -> None:
    plan = plan_of(Linear(10, 7), "float32[b, 10]")
    (cost,) = step_costs(plan, {"b": 3})
    assert 4 * 3 * 7 == cost.written
    assert sum(tensor.size for tensor in plan.tensors.values()) == cost.weights
    assert (3, 7) == cost.shape
    assert cost.written == math.prod(cost.shape) * np.dtype(np.float32).itemsize
