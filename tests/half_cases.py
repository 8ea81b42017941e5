"""Cases for shaders on float16: graphs compiled for it, and rows whose every float is stored so on its way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from exported_model import cnn
from op_cases import Array, Case

from neurenix.compiler import passes
from neurenix.compiler.schedule import schedule
from neurenix.compiler.wgsl import print_wgsl
from neurenix.dtypes import dtype
from neurenix.graph.builder import GraphBuilder
from neurenix.graph.graph import Graph
from neurenix.graph.plan import Plan
from neurenix.graph.shaders import HALF_TOLERANCE, ShaderPlan
from neurenix.nn import Linear, Sequential, TransformerEncoderLayer
from neurenix.ops.shapes import known
from neurenix.trace import trace


def half_printed(graph: Graph) -> tuple[Plan, bytes, ShaderPlan]:
    """Compile a graph for GPUs with and without float16."""
    plan, weights = schedule(passes.run(graph))
    half = replace(print_wgsl(plan, weights, half=True), tolerance=HALF_TOLERANCE)
    return plan, weights, replace(print_wgsl(plan, weights), half=half)


def between(cases: Sequence[Case]) -> tuple[Graph, dict[str, Array]]:
    """Return cases as one graph, whose every float passes a gather on its way in and out: ports stay float32."""
    builder, feeds = GraphBuilder("cases", {}), dict[str, Array]()

    def passed(name: str, value: Any, shape: tuple[int, ...]) -> Any:
        size = int(np.prod(shape))
        feeds[f"i{name}"] = np.arange(size)
        places = builder.input(f"i{name}", dtype("int64"), (size,))
        flat = builder.add("reshape", [value], {"shape": (size,)})
        return builder.add("reshape", [builder.add("gather", [flat, places], {"axis": 0})], {"shape": shape})

    results = {}
    for at, case in enumerate(cases):
        operands = []
        packing = (*(case.row.kernel.packing if case.row.kernel else ()), *[None] * len(case.arrays))
        for i, (array, layout) in enumerate(zip(case.arrays, packing)):
            name = f"x{at}_{i}"
            if array.dtype == np.float32:
                array = np.clip(array, -6e4, 6e4).astype(np.float16).astype(np.float32)
            if layout is not None:
                operands.append(builder.constant(array))
                continue
            feeds[name] = array
            value = builder.input(name, dtype(array.dtype), array.shape)
            operands.append(passed(name, value, array.shape) if array.dtype == np.float32 else value)
        found = builder.add(case.row.name, operands, case.attrs)
        shape = known(found.shape)
        results[f"y{at}"] = passed(f"y{at}", found, shape) if found.dtype.name == "float32" else found
    return builder.finish(results), feeds


MODELS: Mapping[str, Any] = {
    "cnn": lambda: (trace(cnn(), {"image": "float32[n, 1, 8, 8]"}, {"n": (1, 9)}), {"n": 9}),
    "perceptron": lambda: (trace(Sequential(Linear(300, 65), Linear(65, 3)).eval(), {"x": "float32[1, 300]"}), {}),
    "transformer": lambda: (
        trace(TransformerEncoderLayer(32, 4, 64, batch_first=True).eval(), {"x": "float32[n, t, 32]"},
              {"n": (1, 2), "t": (1, 40)}), {"n": 2, "t": 39}),
}  # fmt: skip
