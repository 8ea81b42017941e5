"""The arithmetic of plans beside what PyTorch counts: its counter knows products and sums alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils import flop_counter as counting

from neurenix import nn, ops
from neurenix.compiler import passes
from neurenix.compiler.schedule import schedule
from neurenix.graph.cost import step_costs
from neurenix.trace import trace

pytestmark = pytest.mark.peers

NETS: list[tuple[str, tuple[Any, ...], dict[str, Any], tuple[int, ...]]] = [
    ("Linear", (10, 7), {}, (3, 10)),
    ("Linear", (1, 1), {}, (5, 1)),
    ("Conv2d", (3, 8, 3), {"padding": 1}, (2, 3, 9, 7)),
    ("Conv2d", (4, 8, 3), {"stride": 2, "groups": 2}, (1, 4, 11, 11)),
    ("Conv2d", (6, 6, 5), {"groups": 6, "dilation": 2}, (2, 6, 16, 16)),
    ("Conv2d", (8, 16, 1), {}, (1, 8, 4, 4)),
    ("Conv1d", (3, 5, 4), {"stride": 3}, (2, 3, 20)),
]


@pytest.mark.parametrize(("layer", "arguments", "options", "shape"), NETS)
def test_products_are_counted_as_pytorch_counts_them(
    layer: str, arguments: tuple[Any, ...], options: dict[str, Any], shape: tuple[int, ...]
) -> None:
    with counting.FlopCounterMode(display=False) as counter:
        getattr(torch.nn, layer)(*arguments, **options, bias=False)(torch.zeros(shape))
    graph = trace(getattr(nn, layer)(*arguments, **options, bias=False).eval(), {"x": shape}, {}, "m")
    plan, _ = schedule(passes.run(graph, True))
    costs = [cost for cost in step_costs(plan, {}) if cost.step.op != "map"]
    products = [c.flops for c in costs if ops.get(c.step.op).family is ops.Family.CONTRACTION]
    assert counter.get_total_flops() == sum(products)
