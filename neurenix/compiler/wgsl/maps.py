"""Launches of maps: their expression as a function of single values, four of them an invocation where that may be."""

from __future__ import annotations

from neurenix.compiler.wgsl.expressions import function
from neurenix.compiler.wgsl.launch import Launch, element, groups_of, lanes_of, reads, writes
from neurenix.dims import Size
from neurenix.graph.plan import Plan, Step


def launch_map(step: Step, plan: Plan) -> Launch:
    """Return the launch of a map. Operands that are walked are read as vectors where all rows begin at one."""
    sizes, count = step.sizes, len(step.inputs)
    flat = all(sizes[d] == 1 for d in ("d0", "d1", "d2"))
    # A row of all elements may end inside a vector: regions are padded, and nobody reads what lies there.
    lanes = 4 if flat else lanes_of(sizes["n"])
    params: dict[str, Size] = {"n": sizes["n"]} if flat else dict(sizes)
    if not flat:
        params |= {f"x{i}_{axis}": s for i, o in enumerate(step.operands) for axis, s in enumerate(o.strides)}
    value = function(
        "value", step.attrs["expr"], [f"v{i}" for i in range(count)], [element(n, plan) for n in step.inputs],
        plan.dtype(step.output),
    )  # fmt: skip
    bound = [
        reads(f"x{i}", n, plan, lanes if o.walks else 1) for i, (n, o) in enumerate(zip(step.inputs, step.operands))
    ]
    rows = sizes["d0"] * sizes["d1"] * sizes["d2"]
    items = (sizes["n"] + 3) // 4 if flat else rows * (sizes["n"] // lanes)
    words = {"flat": flat, "lanes": lanes, "operands": step.operands, "out": element(step.output, plan)}
    return Launch("map", (*bound, writes(step, plan, lanes)), params, groups_of(items), words, (value,))
