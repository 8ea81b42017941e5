"""The reference backend: runs a Graph with the op table's NumPy oracles; what all others are held to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from neurenix import ops
from neurenix.dims import Dim, evaluate
from neurenix.dtypes import dtype
from neurenix.graph.cutting import cut_outputs
from neurenix.graph.graph import Array, Graph, Node
from neurenix.graph.packing import unpack
from neurenix.graph.plan import Plan, Step
from neurenix.ops.op import pointwise


def run_graph(
    graph: Graph, feeds: Mapping[str, Array], dims: Mapping[str, int], precision: str | None = "float32"
) -> dict[str, Array]:
    """Return the outputs for the given inputs, computed with floats of one precision; None leaves each its own."""

    def cast(array: Array) -> Array:
        return array.astype(precision, copy=False) if precision is not None and array.dtype.kind == "f" else array

    values = {name: cast(np.asarray(a)) for name, a in feeds.items()}
    left = graph.uses()

    def value(name: str) -> Array:
        # A constant is cast where it is read: all of them in another precision would be the model once or twice more.
        return cast(graph.constants[name]) if name in graph.constants else values[name]

    for node in graph.nodes:
        # Cast, since an attribute may ask for float32 where everything else is wider.
        values[node.output] = cast(run_node(node, [value(i) for i in node.reads], dims))
        for name in node.reads:
            left[name] -= 1
            if not left[name] and name not in graph.constants:
                del values[name]
    return cut_outputs(values, graph.outputs, graph.lengths)


def run_plan(
    plan: Plan, tensors: Mapping[str, Array], feeds: Mapping[str, Array], dims: Mapping[str, int]
) -> dict[str, Array]:
    """Execute a compiled plan step by step with NumPy: what the C does, without any C. `tensors` are unpacked.

    Raises UnsupportedError for a custom op that is not registered here: nobody else knows what it computes.
    """
    ops.custom.require(plan.custom)
    values: dict[str, Array] = {**tensors, **feeds}
    left = Counter(name for step in plan.steps for name in _reads(step))
    for step in plan.steps:
        names = _reads(step)
        arrays = [values[n].reshape([evaluate(s, dims) for s in shape]) for n, shape in zip(names, step.shapes)]
        values[step.output] = run_node(step, arrays, dims)
        left.subtract(names)
        for name in {n for n in names if not left[n]} - {step.output, *plan.results}:
            del values[name]
    # A step may take its output for another shape than the buffer's own, as a copying reshape does.
    shapes = {name: tuple(evaluate(s, dims) for s in plan.buffers[name].shape) for name in plan.results}
    results = {name: np.array(values[name]).reshape(shape) for name, shape in shapes.items()}
    return cut_outputs(results, plan.outputs, plan.lengths)


def _reads(step: Step) -> tuple[str, ...]:
    return (*step.inputs, *(step.epilogue.inputs if step.epilogue else ()))


def unpack_tensors(plan: Plan, weights: bytes) -> dict[str, Array]:
    """Return the parameters of a weights file by name, in their own shapes."""
    view = memoryview(weights)
    return {
        t.name: unpack(view[t.offset : t.offset + t.size], t.dtype.numpy, t.layout, t.shape)
        for t in plan.tensors.values()
    }


def run_node(node: Node | Step, arrays: list[Array], dims: Mapping[str, int]) -> Array:
    """Compute one node, its epilogue included. `arrays` are its inputs and then its epilogue's."""
    row = ops.get(node.op)
    count = len(node.inputs)
    with np.errstate(all="ignore"):
        result = row.oracle(*arrays[:count], **concrete(node.attrs, dims))
        if node.epilogue:
            result = pointwise(node.epilogue.expr, [result, *arrays[count:]], result.dtype)
    made = row.infer_dtype([dtype(a.dtype) for a in arrays[:count]], row.bind(node.attrs))
    return np.asarray(result, dtype=made.numpy)


def concrete(attrs: Mapping[str, Any], dims: Mapping[str, int]) -> dict[str, Any]:
    """Replace symbolic sizes in attributes, such as a reshape's target, by their values."""

    def value(item: Any) -> Any:
        if isinstance(item, Dim):
            return evaluate(item, dims)
        return tuple(map(value, item)) if isinstance(item, tuple) else item

    return {key: value(item) for key, item in attrs.items()}
