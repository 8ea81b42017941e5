"""Launches of non-maximum suppression: every class by itself, and then what was kept, side by side."""

from __future__ import annotations

from neurenix.compiler.wgsl.launch import SCRATCH, THREADS, Launch, joining, named, reads, writes
from neurenix.compiler.wgsl.source import Binding
from neurenix.compiler.wgsl.types import WHOLE
from neurenix.graph.plan import Plan, Step


def launch_non_max_suppression(step: Step, plan: Plan) -> tuple[Launch, ...]:
    sizes = step.sizes
    classes = sizes["batch"] * sizes["classes"]
    operands = zip(("boxes", "scores", "limit", "overlap", "least"), step.inputs)
    left = Binding(SCRATCH, SCRATCH, WHOLE, writes=True)
    bound = (*(reads(variable, name, plan) for variable, name in operands), left, writes(step, plan))
    kept = Launch(
        "non_max_suppression", bound, named(sizes, "batch classes n most"), classes,
        {"centred": bool(step.attrs["center_point_box"]), **joining(THREADS)}, scratch={SCRATCH: classes * sizes["n"]},
    )  # fmt: skip
    if classes == 1:
        return (kept,)
    return kept, Launch("pack", (writes(step, plan),), {"rows": classes * sizes["most"]}, 1)
