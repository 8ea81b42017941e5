"""The launch of attention: a workgroup for some queries, which keeps no more scores than those of a few keys."""

from __future__ import annotations

import numpy as np

from neurenix.compiler.wgsl.expressions import literal
from neurenix.compiler.wgsl.launch import THREADS, Launch, epilogue, groups_of, lanes_of, most, reads, writes
from neurenix.graph.plan import Plan, Step

# Of 64 invocations, how many quads of queries they share at most; the others take keys and columns.
QUADS = 8
# From how many multiplications of queries and keys on both go through tiles that a workgroup shares, as in a product.
TILED = 1 << 28


def launch_attention(step: Step, plan: Plan) -> Launch:
    sizes, attrs = step.sizes, step.attrs
    # All steps of an operand are multiples of its rows' length, or 0.
    lanes, lanes_v = lanes_of(sizes["E"]), lanes_of(sizes["V"])
    text, more = epilogue(step, plan, lanes_v)
    own = _quads(most(sizes["L"], plan))
    parts = THREADS // own
    columns = 16 * parts  # of v, that one workgroup sums up: 16 vectors an invocation
    entries = sizes["D0"] * sizes["D1"] * sizes["D2"]
    work = most(entries * sizes["L"] * sizes["S"] * sizes["E"], plan)
    mask, widest = "" if attrs["mask"] == "none" else attrs["mask"], most(sizes["V"], plan)
    words = {
        "own": own, "parts": parts, "lanes": lanes, "lanes_v": lanes_v, "mask": mask,
        "tiled": own == QUADS and lanes == 4 and work >= TILED, "blocks": widest > columns,
        "vectors": groups_of(min(widest, columns), 4 * parts), "scale": literal(float(attrs["scale"])),
        "hidden": literal(float(attrs["hidden"])), "lowest": literal(float(np.finfo(np.float32).min)),
    }  # fmt: skip
    wide = {"q": lanes, "k": lanes, "v": lanes_v}
    operands = [
        reads(name, tensor, plan, wide.get(name, 1)) for name, tensor in zip(("q", "k", "v", "mask"), step.inputs)
    ]
    groups = entries * groups_of(sizes["L"], 4 * own) * (groups_of(sizes["V"], columns) if words["blocks"] else 1)
    return Launch("attention", (*operands, *more, writes(step, plan, lanes_v)), dict(sizes), groups, words, (text,))


def _quads(queries: int) -> int:
    """Return how many quads of queries a workgroup takes, of so many at most: few are idle."""
    return next(n for n in (1, 2, 4, QUADS) if 4 * n >= queries or n == QUADS)
