"""Proves that whole numbers fit 32 bits: the range of every value of a plan, from its inputs to its outputs.

Indices, positions and counts are int64 in a graph, and a GPU's integers have 32 bits. What a constant, an iota or an
argmax holds is known, and sums of few of them are; an input of a wide dtype is checked when it is given. Arithmetic
that may leave 32 bits keeps the model on wasm: the error names the node.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np

from neurenix.compiler.wgsl.launch import most
from neurenix.compiler.wgsl.types import LEAST, MOST, is_wide, own_range
from neurenix.dims import product
from neurenix.errors import UnsupportedError
from neurenix.expr import Expr
from neurenix.expr.printing import kinds_of
from neurenix.graph.packing import unpack
from neurenix.graph.plan import Plan, Step

Range = tuple[float, float]
ANY: Range = (-math.inf, math.inf)


def check_ranges(plan: Plan, weights: bytes, where: Callable[[Step], str]) -> None:
    """Raise UnsupportedError, naming the step, where a whole number may not fit 32 bits."""
    known: dict[str, Range] = {name: _constant(plan, name, weights) for name in plan.tensors}
    known |= {name: own_range(plan.dtype(name)) for name in plan.inputs if plan.dtype(name).name != "float32"}
    for step in plan.steps:
        of = plan.dtype(step.output)
        found = _RULES.get(step.op, _union)(step, plan, [known.get(name, ANY) for name in step.inputs])
        if of.name == "float32":
            continue
        if is_wide(of) and not _fits(found, own_range(of)):
            raise UnsupportedError(
                f"{where(step)} makes {of} from {found[0]:.6g} to {found[1]:.6g} as far as can be shown; a GPU's whole "
                "numbers have 32 bits: use int32, or clip it"
            )
        low, high = own_range(of)
        known[step.output] = found if low <= found[0] and found[1] <= high else (low, high)


def _fits(found: Range, within: Range) -> bool:
    return within[0] <= found[0] and found[1] <= within[1]


def _constant(plan: Plan, name: str, weights: bytes) -> Range:
    tensor = plan.tensors[name]
    if tensor.dtype.name == "float32":
        return ANY
    data = memoryview(weights)[tensor.offset : tensor.offset + tensor.size]
    values = unpack(data, tensor.dtype.numpy, tensor.layout, tensor.shape)
    if not values.size:
        return 0, 0
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


def _count(step: Step, plan: Plan) -> int:
    return most(step.sizes["n"], plan)


def _positions(step: Step, plan: Plan, ins: Sequence[Range]) -> Range:
    return 0, max(0, _count(step, plan) - 1)


def _sum(step: Step, plan: Plan, ins: Sequence[Range]) -> Range:
    """However the elements are grouped, no partial sum is further out than all that are below or above 0."""
    (low, high), n = ins[0], _count(step, plan)
    return _times(min(low, 0), n), _times(max(high, 0), n)


def _magnitudes(power: int) -> Callable[[Step, Plan, Sequence[Range]], Range]:
    return lambda step, plan, ins: (0, _times(max(map(abs, ins[0])) ** power, _count(step, plan)))


def _prod(step: Step, plan: Plan, ins: Sequence[Range]) -> Range:
    largest = max(map(abs, ins[0]))
    power = 1.0 if largest <= 1 else largest ** min(_count(step, plan), 64)
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
    """Return the range of an expression. Below the root, whole numbers that leave 32 bits make the root unknown."""
    kinds = ["float" if plan.dtype(name).name == "float32" else "integer" for name in step.inputs]
    return expression_range(step.attrs["expr"], ins, kinds)


def expression_range(expr: Expr, operands: Sequence[Range], kinds: Sequence[str]) -> Range:
    """Return a range that an expression's values are in, given those of its operands and their kinds.

    Where some part of it is a whole number that may not fit 32 bits on the way, the answer is everything.
    """
    kind = kinds_of(expr, kinds)
    done: dict[Expr, Range] = {}

    def visit(e: Expr) -> Range:
        if e.op == "x":
            return operands[int(e.value)]
        if e.op == "const":
            return (float(e.value), float(e.value)) if not math.isnan(e.value) else ANY
        if e not in done:
            args = [visit(a) for a in e.args]
            done[e] = _clean(_PRIMITIVES.get(e.op, _unknown)(*args))
            if e is not expr and kind[e] in ("integer", "unsigned") and not _fits(done[e], (LEAST, MOST)):
                raise _LeavesError
        return done[e]

    try:
        return visit(expr)
    except _LeavesError:
        return ANY


class _LeavesError(Exception):
    """Some part of an expression leaves 32 bits."""


def _clean(found: Range) -> Range:
    return ANY if any(map(math.isnan, found)) else found


def _corners(f: Callable[[float, float], float]) -> Callable[[Range, Range], Range]:
    """The range of a function that is monotonic in each of its arguments."""

    def of(a: Range, b: Range) -> Range:
        with np.errstate(all="ignore"):
            ends = [f(x, y) for x, y in itertools.product(a, b)]
        return min(ends), max(ends)

    return of


def _product(x: float, y: float) -> float:
    return 0.0 if x == 0 or y == 0 else x * y


def _floordiv(a: Range, b: Range) -> Range:
    if b[0] <= 0:  # with 0 and -1 among them: as far as a division by 1 or -1 goes
        far = max(map(abs, a))
        return -far, far
    return _corners(lambda x, y: 0.0 if math.isinf(y) else x if math.isinf(x) else float(x // y))(a, b)


def _remainder(a: Range, b: Range) -> Range:
    far = max(map(abs, b))
    return min(-far if a[0] < 0 or b[0] < 0 else 0, 0), far


def _bits(a: Range, b: Range) -> Range:
    """Of numbers that are not negative no bit is set above the highest; of others, 32 bits hold them all."""
    high = max(a[1], b[1])
    if a[0] >= 0 and b[0] >= 0 and high < MOST:
        return 0, float((1 << int(high).bit_length()) - 1)
    return (LEAST, MOST) if _fits(a, (LEAST, MOST)) and _fits(b, (LEAST, MOST)) else ANY


def _shifted(a: Range, b: Range) -> Range:
    if b[1] > 31:
        return ANY
    return _corners(lambda x, y: x * 2.0 ** max(y, 0))(a, b)


def _power(a: Range, b: Range) -> Range:
    far, n = max(map(abs, a)), b[1]
    if far <= 1:
        return -1, 1
    if math.isinf(far) or n > 64:
        return ANY
    return (0.0 if a[0] >= 0 else -(far ** max(n, 0))), far ** max(n, 0)


def _choice(condition: Range, a: Range, b: Range) -> Range:
    return min(a[0], b[0]), max(a[1], b[1])


def _magnitude(a: Range) -> Range:
    return 0 if a[0] <= 0 <= a[1] else min(map(abs, a)), max(map(abs, a))


def _whole(f: Callable[[float], float]) -> Callable[[Range], Range]:
    return lambda a: (a[0] if math.isinf(a[0]) else f(a[0]), a[1] if math.isinf(a[1]) else f(a[1]))


def _unknown(*_: Range) -> Range:
    return ANY


def _truth(*_: Range) -> Range:
    return 0, 1


_PRIMITIVES: dict[str, Callable[..., Range]] = {
    "add": lambda a, b: (a[0] + b[0], a[1] + b[1]),
    "sub": lambda a, b: (a[0] - b[1], a[1] - b[0]),
    "mul": _corners(_product),
    "neg": lambda a: (-a[1], -a[0]),
    "abs": _magnitude,
    "max": lambda a, b: (max(a[0], b[0]), max(a[1], b[1])),
    "min": lambda a, b: (min(a[0], b[0]), min(a[1], b[1])),
    "floordiv": _floordiv,
    "mod": _remainder,
    "fmod": _remainder,
    "pow": _power,
    "bitand": _bits,
    "bitor": _bits,
    "bitxor": _bits,
    "bitnot": lambda a: (-a[1] - 1, -a[0] - 1),
    "shl": _shifted,
    "shr": lambda a, b: (min(a[0], 0), max(a[1], 0)),
    "select": _choice,
    "to_float": lambda a: a,
    "to_integer": _whole(math.trunc),
    "to_unsigned": _whole(math.trunc),
    "trunc": _whole(math.trunc),
    "floor": _whole(math.floor),
    "ceil": _whole(math.ceil),
    "round": _whole(round),
    "sigmoid": _truth,
    "tanh": lambda a: (-1, 1),
    **dict.fromkeys(("lt", "le", "eq", "and", "or", "xor", "not", "isnan", "isinf"), _truth),
}

_RULES: dict[str, Callable[[Step, Plan, Sequence[Range]], Range]] = {
    "map": _map,
    "iota": _positions,
    "dimension": lambda step, plan, ins: (0, most(step.sizes["size"], plan)),
    "argmax": _positions,
    "argmin": _positions,
    "argsort": _positions,
    "argsort_rows": _positions,
    "nonzero": lambda step, plan, ins: (-1, max(0, most(product(step.shapes[0]), plan) - 1)),
    "sum": _sum,
    "cumsum": _sum,
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
