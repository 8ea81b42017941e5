"""Launches of what moves elements: views, padding, placing, gathering, scattering, and counting places."""

from __future__ import annotations

from collections.abc import Mapping

from neurenix.compiler.wgsl.launch import THREADS, Launch, element, groups_of, lanes_of, most, reads, writes
from neurenix.compiler.wgsl.types import FLOAT, narrowed
from neurenix.dims import Size
from neurenix.graph.plan import Plan, Step

# Fewer columns of a scatter than this leave a GPU idle if each has one invocation.
FEW_COLUMNS = 4096
_COMBINE = {"none": "b", "add": "a + b", "mul": "a * b", "max": "{0}max(a, b)", "min": "{0}min(a, b)"}


def _extent(sizes: Mapping[str, Size], letter: str, last: int) -> Size:
    total: Size = 1
    for i in range(last):
        total = total * sizes[f"{letter}{i}"]
    return total


def launch_view(step: Step, plan: Plan) -> Launch:
    """Return the launch of a view: by vectors where both sides run along them, by squares where it transposes."""
    sizes, x = step.sizes, step.inputs[0]
    turned = sizes["s4"] == 1 and sizes["s5"] != 1 and sizes["s5"] != 0
    narrow = any(isinstance(s, int) and s < 8 for s in (sizes["d4"], sizes["d5"]))
    if turned and not narrow:
        squares = groups_of(sizes["d4"], 16) * groups_of(sizes["d5"], 16)
        bound = (reads("x", x, plan), writes(step, plan))
        params = {name: size for name, size in sizes.items() if name != "s4"}
        return Launch(
            "transpose", bound, params, _extent(sizes, "d", 4) * squares, {"type": element(step.output, plan)}
        )
    starts = (sizes["offset"], *(sizes[f"s{i}"] for i in range(5)), sizes["d5"])
    lanes = lanes_of(*starts) if sizes["s5"] == 1 else 1
    bound = (reads("x", x, plan, lanes), writes(step, plan, lanes))
    items = _extent(sizes, "d", 5) * (sizes["d5"] // lanes)
    return Launch("view", bound, dict(sizes), groups_of(items), {"lanes": lanes})


def launch_pad(step: Step, plan: Plan) -> Launch:
    fill = bool(step.attrs["fill"])
    bound = [reads("x", step.inputs[0], plan), *([reads("value", step.inputs[1], plan)] if fill else [])]
    return Launch(
        "pad", (*bound, writes(step, plan)), dict(step.sizes), groups_of(_extent(step.sizes, "d", 4)), {"fill": fill}
    )


def launch_place(step: Step, plan: Plan) -> Launch:
    """Return the launch of a place; what it is put into is the output already."""
    bound = (reads("x", step.inputs[1], plan), writes(step, plan))
    return Launch("place", bound, dict(step.sizes), groups_of(_extent(step.sizes, "d", 6)))


def launch_iota(step: Step, plan: Plan) -> Launch:
    return Launch(
        "iota", (writes(step, plan),), dict(step.sizes), groups_of(step.sizes["n"]), _counted(step, plan, "item")
    )


def launch_dimension(step: Step, plan: Plan) -> Launch:
    return Launch("dimension", (writes(step, plan),), dict(step.sizes), 1, _counted(step, plan, "p.size"))


def _counted(step: Step, plan: Plan, text: str) -> dict[str, str]:
    of = plan.dtype(step.output)
    if of.name == "bool":
        return {"place": f"select(0, 1, {text} != 0)"}
    return {"place": narrowed(of, f"f32({text})" if element(step.output, plan) == FLOAT else text)}


def launch_nonzero(step: Step, plan: Plan) -> Launch:
    """Return the launch of a nonzero: one workgroup, which counts shares and then writes behind those before."""
    bound = (reads("x", step.inputs[0], plan), writes(step, plan))
    return Launch("nonzero", bound, dict(step.sizes), 1, {"type_in": element(step.inputs[0], plan)})


def launch_gather(step: Step, plan: Plan) -> Launch:
    sizes = step.sizes
    bound = (reads("x", step.inputs[0], plan), reads("indices", step.inputs[1], plan), writes(step, plan))
    before = sizes["batches"] if step.op == "gather_nd" else sizes["outer"]
    return Launch(step.op, bound, dict(sizes), groups_of(before * sizes["count"] * sizes["inner"]))


def launch_scatter(step: Step, plan: Plan) -> Launch:
    """Return the launch of a scatter; what it starts from is the output already."""
    sizes, of = step.sizes, plan.dtype(step.output)
    made = element(step.output, plan)
    combine = _COMBINE[step.attrs["reduction"]].format("nx_" if made == FLOAT else "")
    words = {
        "type": made, "combine": narrowed(of, combine), "elements": step.op == "scatter_elements",
    }  # fmt: skip
    bound = (reads("indices", step.inputs[1], plan), reads("x", step.inputs[2], plan), writes(step, plan))
    nd = step.op == "scatter_nd"
    columns = sizes["batches" if nd else "outer"] * sizes["inner"]
    shared = words["shared"] = most(columns, plan) < FEW_COLUMNS and most(sizes["count"], plan) >= THREADS
    return Launch(
        "scatter_nd" if nd else "scatter", bound, dict(sizes), columns if shared else groups_of(columns), words
    )
