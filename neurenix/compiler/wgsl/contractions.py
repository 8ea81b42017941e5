"""Launches of what multiplies and adds up: matrix products, convolutions, and the windows of pools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from neurenix.compiler.wgsl.launch import Launch, element, epilogue, groups_of, lanes_of, most, named, reads, writes
from neurenix.compiler.wgsl.types import FLOAT, narrowed
from neurenix.dims import Size
from neurenix.graph.plan import Plan, Step

# Of a matvec: how many rows at most, and from how many k on 8 strands share them instead of 4.
MOST_ROWS, LONG = 4, 512
# From how many multiplications on a product is made in tiles that a workgroup shares. Smaller ones, whose operands a
# cache holds, are quicker without barriers, and their shaders compile in a fraction of the time.
TILED, LEAST_SIDE = 1 << 28, 64
# How many pixels side by side an invocation of a depthwise convolution makes, of windows up to so wide.
SPAN, WIDEST = 4, 7

# The words of a product that computes in float32, which half_products.py changes.
SINGLE: Mapping[str, Any] = {"raw": (), "runs": False, "scaled": False}

_WINDOW = "stride_h stride_w pad_h pad_w dilation_h dilation_w"


@dataclass(frozen=True)
class _Product:
    """`batch` products of matrices, and how their operands lie: `a` and `b` as the templates call it.

    `together` is how many elements of A that lie side by side, 1 or 4, are values of k that follow each other.
    """

    rows: Size
    columns: Size
    depth: Size
    a: str
    b: str
    together: int
    params: Mapping[str, Size]
    batch: Size = 1

    def launch(self, step: Step, plan: Plan) -> Launch:
        sides = most(self.rows, plan), most(self.columns, plan)
        tiled = min(sides) >= LEAST_SIDE and sides[0] * sides[1] * most(self.depth, plan) >= TILED
        return self._tiled(step, plan) if tiled else self._direct(step, plan)

    def _tiled(self, step: Step, plan: Plan) -> Launch:
        lanes, (text, more), (a, b) = lanes_of(self.columns), epilogue(step, plan), step.inputs
        bound = (reads("a", a, plan), reads("b", b, plan, 4 if self.b == "panels" else 1), *more)
        tile = _tile(self.columns)
        groups = groups_of(self.rows, 4 * tile["ty"]) * groups_of(self.columns, 8 * tile["tx"])
        words = {**SINGLE, **tile, "a": self.a, "b": self.b, "lanes": lanes}
        return Launch("matmul", (*bound, writes(step, plan, lanes)), self.params, self.batch * groups, words, (text,))

    def _direct(self, step: Step, plan: Plan) -> Launch:
        lanes, (a, b) = lanes_of(self.columns), step.inputs
        text, more = epilogue(step, plan, lanes)
        wide = {"panels": 4, "rows": lanes, "turned": self.together}[self.b]
        bound = (reads("a", a, plan, self.together), reads("b", b, plan, wide), *more, writes(step, plan, lanes))
        along = _along(most(self.rows, plan), most(self.columns, plan))
        groups = groups_of(self.rows, 4 * (64 // along)) * groups_of(self.columns, 4 * along)
        words = {**SINGLE, "a": self.a, "b": self.b, "lanes": lanes, "depth": self.together}
        return Launch("matmul_direct", bound, {**self.params, "TX": along}, self.batch * groups, words, (text,))


def _tile(columns: Size) -> dict[str, int]:
    """Return how many invocations lie along a tile's columns and rows, and its depth: fewer columns, more rows."""
    panels = (columns + 7) // 8 if isinstance(columns, int) else 8
    tx = next(w for w in (1, 2, 4, 8) if w >= panels or w == 8)
    return {"tx": tx, "ty": 64 // tx, "kt": {1: 4, 2: 8, 4: 8, 8: 16}[tx]}


def _along(rows: int, columns: int) -> int:
    """Return how many of 64 invocations, each 4 rows by 4 columns, lie along the rows of a product: few are idle."""
    below = next(w for w in (1, 2, 4, 8) if 4 * w >= rows or w == 8)
    across = next(w for w in (1, 2, 4, 8, 16, 32, 64) if 4 * w >= columns or w == 64)
    return min(across, 64 // below)


def _product(step: Step, plan: Plan, rows: Size, columns: Size, depth: Size) -> Launch:
    """Return the launch of a times a constant in panels."""
    params: dict[str, Size] = {"M": rows, "N": columns, "K": depth}
    if most(rows, plan) > MOST_ROWS:
        return _Product(rows, columns, depth, "rows", "panels", lanes_of(depth), params).launch(step, plan)
    lanes, together, (a, b) = lanes_of(columns), lanes_of(depth), step.inputs
    text, more = epilogue(step, plan, lanes)
    bound = (reads("a", a, plan, together), reads("b", b, plan, 4), *more, writes(step, plan, lanes))
    across = 8 if most(depth, plan) >= LONG else 16
    words = {"rows": most(rows, plan), "lanes": lanes, "depth": together}
    return Launch("matvec", bound, {**params, "TX": across}, groups_of(columns, 4 * across), words, (text,))


def launch_matmul(step: Step, plan: Plan) -> Launch:
    return _product(step, plan, step.sizes["M"], step.sizes["N"], step.sizes["K"])


def launch_batch_matmul(step: Step, plan: Plan) -> Launch:
    if element(step.output, plan) != FLOAT:
        return _whole_matmul(step, plan)
    sizes = step.sizes
    batch, b = sizes["D0"] * sizes["D1"] * sizes["D2"], "turned" if step.attrs["transposed"] else "rows"
    params = named(sizes, "D0 D1 D2 A0 A1 A2 B0 B1 B2 M N K")
    made = _Product(sizes["M"], sizes["N"], sizes["K"], "rows", b, lanes_of(sizes["K"]), params, batch)
    return made.launch(step, plan)


def _whole_matmul(step: Step, plan: Plan) -> Launch:
    """Return the launch of a product of whole numbers, whose sums have no epilogue."""
    sizes, (a, b) = step.sizes, step.inputs
    params = named(sizes, "D0 D1 D2 A0 A1 A2 B0 B1 B2 M N K")
    words = {"turned": bool(step.attrs["transposed"]), "sum": narrowed(plan.dtype(step.output), "sum")}
    bound = (reads("a", a, plan), reads("b", b, plan), writes(step, plan))
    items = sizes["D0"] * sizes["D1"] * sizes["D2"] * sizes["M"] * sizes["N"]
    return Launch("matmul_whole", bound, params, groups_of(items), words)


def launch_conv2d(step: Step, plan: Plan) -> Launch:
    """Return the launch of a convolution: the product of its windows, gathered on the way, and its weights."""
    sizes, groups = step.sizes, step.sizes["groups"]
    rows = sizes["N"] * sizes["OH"] * sizes["OW"]
    one = ("KH", "KW", "stride_h", "stride_w", "groups")
    if all(sizes[name] == 1 for name in one) and (sizes["OH"], sizes["OW"]) == (sizes["H"], sizes["W"]):
        return _product(step, plan, rows, sizes["O"], sizes["C"])  # the windows are the image itself
    inner = sizes["C"] // groups
    depth, params = sizes["KH"] * sizes["KW"] * inner, named(sizes, f"N H W C OH OW O KH KW {_WINDOW} groups")
    made = _Product(rows, sizes["O"] // groups, depth, "windows", "panels", lanes_of(inner), params, groups)
    return made.launch(step, plan)


def launch_depthwise2d(step: Step, plan: Plan) -> Launch:
    """Return the launch of a depthwise convolution: of narrow windows that overlap, several pixels an invocation."""
    sizes, lanes = step.sizes, lanes_of(step.sizes["C"])
    text, more = epilogue(step, plan, lanes)
    x, taps = step.inputs
    bound = (reads("x", x, plan, lanes), reads("taps", taps, plan, lanes), *more, writes(step, plan, lanes))
    taken, stride = sizes["KW"], sizes["stride_w"]
    assert isinstance(taken, int)
    shares = sizes["dilation_w"] == 1 and stride in (1, 2) and stride < taken <= WIDEST
    span = SPAN if shares else 1
    words = {"lanes": lanes, "span": span, "stride": stride, "taken": taken}
    items = sizes["N"] * sizes["OH"] * groups_of(sizes["OW"], span) * (sizes["C"] // lanes)
    params = named(sizes, f"N H W C OH OW KH KW {_WINDOW}")
    return Launch("depthwise2d", bound, params, groups_of(items), words, (text,))


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
    bound = (reads("x", step.inputs[0], plan), writes(step, plan))
    return Launch("im2col", bound, dict(sizes), groups_of(items), {"type": element(step.output, plan)})


def launch_col2im(step: Step, plan: Plan) -> Launch:
    sizes = step.sizes
    items = sizes["N"] * sizes["C"] * sizes["H"] * sizes["W"]
    bound = (reads("x", step.inputs[0], plan), writes(step, plan))
    words = {"type": element(step.output, plan), "sum": narrowed(plan.dtype(step.output), "sum")}
    return Launch("col2im", bound, dict(sizes), groups_of(items), words)
