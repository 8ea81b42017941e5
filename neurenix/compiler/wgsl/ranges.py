"""Proves that whole numbers fit 32 bits: the range of every value of a plan, from its inputs to its outputs.

Indices, positions and counts are int64 in a graph, and a GPU's integers have 32 bits. What a constant, an iota or an
argmax holds is known, and sums of few of them are; an input of a wide dtype is checked when it is given, and may be
asked to be narrower (input_ranges.py). Other arithmetic that may leave 32 bits keeps the model on wasm: the error names
the node.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from neurenix import ops
from neurenix.compiler.wgsl.intervals import ANY, LeavesError, Range, expression_range, fits, raised
from neurenix.compiler.wgsl.launch import most
from neurenix.compiler.wgsl.types import LEAST, MOST, is_wide, own_range
from neurenix.dims import product
from neurenix.dtypes import DType
from neurenix.errors import UnsupportedError
from neurenix.expr import operand
from neurenix.graph.packing import unpack
from neurenix.graph.plan import Plan, Step

# Kernels that make no new numbers.
_MOVES = {"view.c", "pad.c", "place.c", "gather.c", "gather_elements.c", "gather_nd.c"}
# Bytes of a parameter beyond which nobody looks at its floats.
_LARGEST_FLOATS = 1 << 16


def constant_ranges(plan: Plan, weights: bytes) -> dict[str, Range]:
    """Return what the parameters hold. Raises UnsupportedError, naming the one, for a whole number beyond 32 bits."""
    return {name: _constant(plan, name, weights) for name in plan.tensors}


def check_ranges(
    plan: Plan, constants: Mapping[str, Range], inputs: Mapping[str, Range], where: Callable[[Step], str]
) -> None:
    """Raise UnsupportedError, naming the step, where a whole number may not fit 32 bits.

    `inputs` gives the ends of some inputs; others have those of their dtype.
    """
    own = {name: own_range(plan.dtype(name)) for name in plan.inputs if not _is_float(plan, name)}
    known: dict[str, Range] = {**constants, **own, **inputs}
    for step in plan.steps:
        rule = _unknown_op if step.op in plan.custom else _RULES.get(step.op, _union)
        if _is_float(plan, step.output) and not _is_followed(step):
            continue
        of = plan.dtype(step.output)
        try:
            found = rule(step, plan, [known.get(name, ANY) for name in step.inputs])
        except LeavesError as error:
            raise UnsupportedError(_refused(where(step), "computes whole numbers", error.found)) from None
        if is_wide(of) and not fits(found, own_range(of)):
            raise UnsupportedError(_refused(where(step), f"makes {of}", found))
        if _is_float(plan, step.output):
            known[step.output] = _rounded(found, of)
        else:
            known[step.output] = found if fits(found, own_range(of)) else own_range(of)


def _rounded(found: Range, of: DType) -> Range:
    """Return what floats of a range become in their dtype: rounding keeps their order, float16 ends at 65504."""
    with np.errstate(over="ignore"):
        low, high = np.asarray(found).astype(of.numpy)
    return float(low), float(high)


def _refused(step: str, does: str, found: Range) -> str:
    return (
        f"{step} {does} from {found[0]:.6g} to {found[1]:.6g} as far as can be shown; a GPU's whole numbers have 32 "
        "bits: use int32, or clip it"
    )


def _is_float(plan: Plan, name: str) -> bool:
    return plan.dtype(name).numpy.kind == "f"


def _is_followed(step: Step) -> bool:
    """Say whether the range of the floats that a step makes is known: indices are floats before they are cast."""
    kernel = None if step.op == "map" else ops.get(step.op).kernel
    return step.op == "map" or (kernel is not None and kernel.source in _MOVES and step.epilogue is None)


def _constant(plan: Plan, name: str, weights: bytes) -> Range:
    tensor = plan.tensors[name]
    whole = not _is_float(plan, name)
    if not whole and tensor.size > _LARGEST_FLOATS:
        return ANY
    data = memoryview(weights)[tensor.offset : tensor.offset + tensor.size]
    values = unpack(data, tensor.dtype.numpy, tensor.layout, tensor.shape)
    if not values.size:
        return 0, 0
    if not whole:
        return (float(values.min()), float(values.max())) if np.isfinite(values).all() else ANY
    low, high = int(values.min()), int(values.max())
    if low < LEAST or high > MOST:
        raise UnsupportedError(
            f"the constant '{name}' holds {low if low < LEAST else high}; a GPU's integers end at 2**31"
        )
    return low, high


def _union(step: Step, plan: Plan, ins: Sequence[Range]) -> Range:
    """What moves elements: nothing new. An index input has a range too, and widens it at worst."""
    same = [r for r, name in zip(ins, step.inputs) if plan.dtype(name) == plan.dtype(step.output)]
    return min(r[0] for r in same), max(r[1] for r in same)


def _unknown_op(step: Step, plan: Plan, ins: Sequence[Range]) -> Range:
    """What a user's op makes, nobody has shown."""
    return ANY


def _count(step: Step, plan: Plan) -> int:
    return most(step.sizes["n"], plan)


def _positions(step: Step, plan: Plan, ins: Sequence[Range]) -> Range:
    return 0, max(0, _count(step, plan) - 1)


def _kept(step: Step, plan: Plan, ins: Sequence[Range]) -> Range:
    """Batch, class and box, and -1 behind them."""
    return -1, max(0, *(most(step.sizes[axis], plan) - 1 for axis in ("batch", "classes", "n")))


def _sum(step: Step, plan: Plan, ins: Sequence[Range]) -> Range:
    """However the elements are grouped, no partial sum is further out than all that are below or above 0."""
    (low, high), n = ins[0], _count(step, plan)
    return _times(min(low, 0), n), _times(max(high, 0), n)


def _matmul(step: Step, plan: Plan, ins: Sequence[Range]) -> Range:
    low, high = expression_range(operand(0) * operand(1), ins, ("integer", "integer"))
    depth = most(step.sizes["K"], plan)
    return _times(min(low, 0), depth), _times(max(high, 0), depth)


def _windows(step: Step, plan: Plan, ins: Sequence[Range]) -> Range:
    """What moves, and the 0 of a padding."""
    return min(ins[0][0], 0), max(ins[0][1], 0)


def _overlaid(step: Step, plan: Plan, ins: Sequence[Range]) -> Range:
    """No more windows than a kernel has places take from one pixel."""
    (low, high), count = ins[0], most(step.sizes["KH"] * step.sizes["KW"], plan)
    return _times(min(low, 0), count), _times(max(high, 0), count)


def _magnitudes(power: int) -> Callable[[Step, Plan, Sequence[Range]], Range]:
    return lambda step, plan, ins: (0, _times(max(map(abs, ins[0])) ** power, _count(step, plan)))


def _prod(step: Step, plan: Plan, ins: Sequence[Range]) -> Range:
    largest = max(map(abs, ins[0]))
    power = 1.0 if largest <= 1 else raised(largest, _count(step, plan))
    return -power, power


def _scatter(step: Step, plan: Plan, ins: Sequence[Range]) -> Range:
    """Every element may be combined with as many as there are."""
    reduction, (y, _, x) = step.attrs["reduction"], ins
    if reduction in ("none", "max", "min"):
        return min(y[0], x[0]), max(y[1], x[1])
    if reduction == "add":
        count = most(product(step.shapes[2]), plan)
        return y[0] + _times(min(x[0], 0), count), y[1] + _times(max(x[1], 0), count)
    return ANY if max(map(abs, (*y, *x))) > 1 else (-1, 1)


def _times(bound: float, count: int) -> float:
    return 0 if bound == 0 or count == 0 else bound * count


def _map(step: Step, plan: Plan, ins: Sequence[Range]) -> Range:
    kinds = ["float" if _is_float(plan, name) else "integer" for name in step.inputs]
    return expression_range(step.attrs["expr"], ins, kinds)


_RULES: dict[str, Callable[[Step, Plan, Sequence[Range]], Range]] = {
    "map": _map,
    "iota": _positions,
    "dimension": lambda step, plan, ins: (0, most(step.sizes["size"], plan)),
    "argmax": _positions,
    "argmin": _positions,
    "argsort": _positions,
    "argsort_rows": _positions,
    "nonzero": lambda step, plan, ins: (-1, max(0, most(product(step.shapes[0]), plan) - 1)),
    "non_max_suppression": _kept,
    "sum": _sum,
    "cumsum": _sum,
    "batch_matmul": _matmul,
    "im2col": _windows,
    "col2im": _overlaid,
    "prod": _prod,
    "cumprod": _prod,
    "l1_norm": _magnitudes(1),
    "sum_square": _magnitudes(2),
    "any": lambda step, plan, ins: (0, 1),
    "all": lambda step, plan, ins: (0, 1),
    "scatter": _scatter,
    "scatter_elements": _scatter,
    "scatter_nd": _scatter,
}
