"""The launch of attention: a workgroup for 32 queries, which keeps no more scores than those of 32 keys."""

from __future__ import annotations

import numpy as np

from neurenix.compiler.wgsl.expressions import literal
from neurenix.compiler.wgsl.launch import Launch, epilogue, groups_of, lanes_of, most, reads, writes
from neurenix.graph.plan import Plan, Step

QUERIES = 32
COLUMNS = 128  # of v, that one workgroup sums up: 16 vectors an invocation


def launch_attention(step: Step, plan: Plan) -> Launch:
    sizes, attrs, (text, more) = step.sizes, step.attrs, epilogue(step, plan)
    # All steps of an operand are multiples of its rows' length, or 0.
    lanes, lanes_v, widest = lanes_of(sizes["E"]), lanes_of(sizes["V"]), most(sizes["V"], plan)
    mask = "" if attrs["mask"] == "none" else attrs["mask"]
    words = {
        "lanes": lanes, "lanes_v": lanes_v, "mask": mask, "scale": literal(float(attrs["scale"])),
        "hidden": literal(float(attrs["hidden"])), "lowest": literal(float(np.finfo(np.float32).min)),
        "blocks": widest > COLUMNS, "even": sizes["V"] == widest and widest % 32 == 0,
        "vectors": (min(widest, COLUMNS) + 31) // 32,
    }  # fmt: skip
    wide = {"q": lanes, "k": lanes, "v": lanes_v}
    operands = [
        reads(name, tensor, plan, wide.get(name, 1)) for name, tensor in zip(("q", "k", "v", "mask"), step.inputs)
    ]
    entries = sizes["D0"] * sizes["D1"] * sizes["D2"]
    groups = entries * groups_of(sizes["L"], QUERIES) * (groups_of(sizes["V"], COLUMNS) if words["blocks"] else 1)
    return Launch("attention", (*operands, *more, writes(step, plan)), dict(sizes), groups, words, (text,))
