"""Launches of what multiplies and adds up: matrix products, convolutions, and the windows of pools."""

from __future__ import annotations

from neurenix.compiler.wgsl.launch import Launch, epilogue, groups_of, lanes_of, most, named, reads, writes
from neurenix.dims import Size
from neurenix.graph.plan import Plan, Step

MOST_ROWS = 4  # of a matvec

_WINDOW = "stride_h stride_w pad_h pad_w dilation_h dilation_w"


def _tile(columns: Size) -> dict[str, int]:
    """Return how many invocations lie along a tile's columns and rows, and its depth: fewer columns, more rows."""
    panels = (columns + 7) // 8 if isinstance(columns, int) else 8
    tx = next(w for w in (1, 2, 4, 8) if w >= panels or w == 8)
    return {"tx": tx, "ty": 64 // tx, "kt": {1: 4, 2: 8, 4: 8, 8: 16}[tx]}


def _tiles(rows: Size, columns: Size, tile: dict[str, int]) -> Size:
    return groups_of(rows, 4 * tile["ty"]) * groups_of(columns, 8 * tile["tx"])


def _product(step: Step, plan: Plan, rows: Size, columns: Size, depth: Size) -> Launch:
    """Return the launch of a times a constant in panels."""
    text, more = epilogue(step, plan)
    a, b = step.inputs
    params: dict[str, Size] = {"M": rows, "N": columns, "K": depth}
    if most(rows, plan) <= MOST_ROWS:
        bound = (reads("a", a, plan), reads("b", b, plan, 4), *more, writes(step, plan))
        return Launch("matvec", bound, params, groups_of(columns, 16), {"rows": most(rows, plan)}, (text,))
    tile, lanes = _tile(columns), lanes_of(columns)
    bound = (reads("a", a, plan), reads("b", b, plan, 4), *more, writes(step, plan, lanes))
    words = {**tile, "a": "rows", "b": "panels", "lanes": lanes}
    return Launch("matmul", bound, params, _tiles(rows, columns, tile), words, (text,))


def launch_matmul(step: Step, plan: Plan) -> Launch:
    return _product(step, plan, step.sizes["M"], step.sizes["N"], step.sizes["K"])


def launch_batch_matmul(step: Step, plan: Plan) -> Launch:
    sizes, (text, more) = step.sizes, epilogue(step, plan)
    tile, lanes = _tile(sizes["N"]), lanes_of(sizes["N"])
    words = {**tile, "a": "rows", "b": "turned" if step.attrs["transposed"] else "rows", "lanes": lanes}
    a, b = step.inputs
    bound = (reads("a", a, plan), reads("b", b, plan), *more, writes(step, plan, lanes))
    batch = sizes["D0"] * sizes["D1"] * sizes["D2"]
    params = named(sizes, "D0 D1 D2 A0 A1 A2 B0 B1 B2 M N K")
    return Launch("matmul", bound, params, batch * _tiles(sizes["M"], sizes["N"], tile), words, (text,))


def launch_conv2d(step: Step, plan: Plan) -> Launch:
    """Return the launch of a convolution: the product of its windows, gathered on the way, and its weights."""
    sizes = step.sizes
    rows = sizes["N"] * sizes["OH"] * sizes["OW"]
    pointwise = (sizes["KH"], sizes["KW"], sizes["stride_h"], sizes["stride_w"], sizes["pad_h"], sizes["pad_w"])
    if pointwise == (1, 1, 1, 1, 0, 0) and sizes["groups"] == 1:
        return _product(step, plan, rows, sizes["O"], sizes["C"])  # the windows are the image itself
    text, more = epilogue(step, plan)
    made = sizes["O"] // sizes["groups"]
    tile, lanes = _tile(made), lanes_of(made)
    a, b = step.inputs
    bound = (reads("a", a, plan), reads("b", b, plan, 4), *more, writes(step, plan, lanes))
    words = {**tile, "a": "windows", "b": "panels", "lanes": lanes}
    params = named(sizes, f"N H W C OH OW O KH KW {_WINDOW} groups")
    return Launch("matmul", bound, params, sizes["groups"] * _tiles(rows, made, tile), words, (text,))


def launch_depthwise2d(step: Step, plan: Plan) -> Launch:
    sizes, (text, more) = step.sizes, epilogue(step, plan)
    lanes = lanes_of(sizes["C"])
    x, taps = step.inputs
    bound = (reads("x", x, plan, lanes), reads("taps", taps, plan, lanes), *more, writes(step, plan, lanes))
    items = sizes["N"] * sizes["OH"] * sizes["OW"] * (sizes["C"] // lanes)
    params = named(sizes, f"N H W C OH OW KH KW {_WINDOW}")
    return Launch("depthwise2d", bound, params, groups_of(items), {"lanes": lanes}, (text,))


def launch_pool2d(step: Step, plan: Plan) -> Launch:
    sizes, lanes = step.sizes, lanes_of(step.sizes["C"])
    divisor = None
    if "avg" in step.op:
        own = step.attrs.get("divisor_override")
        divisor = ("whole" if step.attrs.get("count_include_pad", True) else "taken") if own is None else str(int(own))
    words = {"lanes": lanes, "largest": divisor is None, "divisor": divisor, "adaptive": "KH" not in sizes}
    bound = (reads("x", step.inputs[0], plan, lanes), writes(step, plan, lanes))
    items = sizes["N"] * sizes["OH"] * sizes["OW"] * (sizes["C"] // lanes)
    return Launch("pool2d", bound, dict(sizes), groups_of(items), words)


def launch_im2col(step: Step, plan: Plan) -> Launch:
    sizes = step.sizes
    items = sizes["C"] * sizes["KH"] * sizes["KW"] * sizes["N"] * sizes["OH"] * sizes["OW"]
    return Launch("im2col", (reads("x", step.inputs[0], plan), writes(step, plan)), dict(sizes), groups_of(items))


def launch_col2im(step: Step, plan: Plan) -> Launch:
    sizes = step.sizes
    items = sizes["N"] * sizes["C"] * sizes["H"] * sizes["W"]
    return Launch("col2im", (reads("x", step.inputs[0], plan), writes(step, plan)), dict(sizes), groups_of(items))
