"""Chooses golden inputs: like the data where somebody knows what that was like, and such that faults show."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from neurenix import ops
from neurenix.bundle.golden import Formula, Golden, Stored, golden_dims
from neurenix.dims import evaluate
from neurenix.graph.graph import Graph
from neurenix.graph.index_ranges import index_limit
from neurenix.graph.plan import Plan
from neurenix.graph.spread import Spread
from neurenix.graph.standardising import standardised_inputs
from neurenix.phynexus.reference import run_graph

Array = np.ndarray[Any, Any]

# Whole numbers name rows, classes and lengths, conditions are both: by the kind of their dtype, where neither the data
# nor the graph says which numbers an input takes. Ends that an input may reach.
WHOLE = {"i": (0.0, 7.0), "u": (0.0, 7.0), "b": (0.0, 1.0)}

# What a model that computes in float16 may be off by, whatever it declares: 16 roundings to 11 bits.
HALF = 16 * 2.0**-12

# Inputs of up to so many bytes are carried as they are; for larger ones a formula stands, with one range for all.
STORED = 4096

# A change of every number of a part by this much, up or down, stands for a fault in it.
FAULT = 2.0**-10

# Parts of a model that are looked at apart, and how visible each must be for a recipe to be taken without a look at
# the others: an answer moves by a quarter of what the part does. A probability hardly moves by more.
PARTS = 4
VISIBLE = 0.25
# A model of more numbers than this is looked at as a whole, with fewer recipes: each look is a pass in NumPy.
LARGE = 2_000_000

# What float32's rounding explains: forms sum in other orders than the reference, and are at times unlucky.
ROUNDINGS = 64


@dataclass(frozen=True)
class Recipe:
    """One way to draw inputs: `scale` narrows `spreads`, and `span` is the range of floats that have none."""

    seed: int
    span: tuple[float, float] = (0.0, 1.0)
    scale: float = 1.0
    spreads: Mapping[str, Spread] = field(default_factory=dict)


# A classifier is often so sure of noise of full strength that its answer, a bare 0 or 1, would hide an error; weaker
# noise leaves it in doubt. Pictures may be bytes; other measures are anywhere.
SPANS = ((0.0, 1.0), (-1.0, 1.0), (0.0, 0.1), (-0.1, 0.1), (-4.0, 4.0), (0.0, 16.0), (0.0, 255.0), (-0.01, 0.01))
# The whole width of the data, and its middle, where a classifier is in doubt.
NARROWED = (1.0, 0.5, 0.25)


def golden_cases(graph: Graph, plan: Plan, tolerance: float) -> list[Golden]:
    """Return inputs and the answers of the traced graph, computed in float64 by the op table's oracles.

    Neither a pass, nor the plan, nor any kernel has touched that graph: it stands for the model as it was written.
    """
    *small, largest = golden_dims(plan)
    if _is_half(graph):
        tolerance = max(tolerance, HALF)
    best, case = _best(graph, plan, largest, tolerance)
    others = [replace(best, seed=best.seed + i) for i in range(1, len(small) + 1)]
    return [*(_case(graph, plan, dims, recipe, tolerance) for dims, recipe in zip(small, others)), case]


def _recipes(graph: Graph) -> tuple[Recipe, ...]:
    """Return the ways to draw inputs, the best ones to all that is known first."""
    if graph.spreads:
        return tuple(Recipe(seed, scale=s, spreads=graph.spreads) for seed in (1, 11, 21) for s in NARROWED)
    if not any(graph.values[name].dtype.numpy.kind == "f" for name in graph.inputs):
        return tuple(Recipe(seed) for seed in (1, 11, 21, 31))
    said = standardised_inputs(graph)
    return (*(Recipe(1, scale=s, spreads=said) for s in NARROWED if said), *(Recipe(1, span) for span in SPANS))


def explained_error(graph: Graph, plan: Plan, cases: Sequence[Golden]) -> float:
    """Return the largest error of these answers that a form in float32 can have without a fault.

    That is 64 times the error of the graph run in float32, or what the op table allows its least exact kernel.
    """
    rounding = max(_rounding(graph, plan, case) for case in cases)
    return max(ROUNDINGS * rounding, _least(graph))


def visibility(graph: Graph, plan: Plan, case: Golden) -> float:
    """Return how far a fault anywhere in the model moves these answers, from 0, not at all, to 1, as far as the part.

    Each of up to four parts of the model's numbers is changed in turn by a thousandth, every number up or down. What
    the error of the answers is then, in the proof's own measure and for each unit of change, is the part's gain; it is
    worth less where float32's own rounding moves the answers so far that the limit must be wider. The geometric mean
    of the gains, none counted as more than 1, is the visibility. So a part that saturation or a dead ReLU hides counts
    as much as one that shows. The inputs stand in where the model has no numbers.
    """
    limit = explained_error(graph, plan, [case])
    if not sum(answer.size for answer in case.outputs.values()) or math.isinf(limit):
        return 0.0  # nothing is answered, or rounding decides what
    parts = _parts(graph)
    sharpness = _least(graph) / limit if limit else 1.0
    gains = [sharpness * _gain(graph, plan, case, part) for part in parts]
    tiny = 2.0**-60
    return math.exp(sum(math.log(max(tiny, min(1.0, g))) for g in gains) / len(gains)) - tiny


def _best(graph: Graph, plan: Plan, dims: Mapping[str, int], tolerance: float) -> tuple[Recipe, Golden]:
    """Return the first recipe that shows faults well, or else the one that shows them best, with its case."""
    tried: list[tuple[float, Recipe, Golden]] = []
    for recipe in _recipes(graph)[: 4 if _is_large(graph) else None]:
        case = _case(graph, plan, dims, recipe, tolerance)
        tried.append((visibility(graph, plan, case), recipe, case))
        if tried[-1][0] >= VISIBLE:
            break
    return max(tried, key=lambda one: one[0])[1:]


def _case(graph: Graph, plan: Plan, dims: Mapping[str, int], recipe: Recipe, tolerance: float) -> Golden:
    inputs = {}
    for i, name in enumerate(plan.inputs):
        shape = tuple(evaluate(size, dims) for size in plan.buffers[name].shape)
        dtype = plan.buffers[name].dtype.numpy
        inputs[name] = _source(_spread(graph, name, recipe, shape), shape, dtype, recipe.seed * 100 + i)
    case = Golden(dims, inputs, {}, tolerance)
    answers = run_graph(graph, case.feeds(plan), dims, precision="float64")
    return replace(case, outputs={n: a.astype(graph.values[n].dtype.numpy) for n, a in answers.items()})


def _spread(graph: Graph, name: str, recipe: Recipe, shape: tuple[int, ...]) -> Spread:
    """Return the ranges of an input's values: of numbers that what reads them can take."""
    kind = graph.values[name].dtype.numpy.kind
    limit = index_limit(graph, name) if kind in "iu" else None
    known = recipe.spreads.get(name)
    if known is None:
        ends = recipe.span if kind == "f" else WHOLE[kind] if limit is None else (0.0, limit - 1.0)
        return Spread(ends[:1], ends[1:], (kind != "f",))
    spread = known.fitted(shape)
    ranges = zip(spread.low, spread.high, spread.whole)
    low, high, whole = zip(*(_narrowed(*ends, recipe.scale, kind, limit) for ends in ranges))
    return Spread(low, high, whole)


def _narrowed(low: float, high: float, whole: bool, scale: float, kind: str, limit: int | None) -> tuple[Any, ...]:
    """Return a range of the data, narrowed about its middle; whole numbers keep theirs, within what an index may be."""
    if kind == "f" and not whole:
        middle = (low + high) / 2
        return middle + (low - middle) * scale, middle + (high - middle) * scale, False
    least, most = (0.0, 1.0) if kind == "b" else (0.0 if kind == "u" else -math.inf, math.inf)
    most = most if limit is None else min(most, limit - 1.0)
    least = least if limit is None else max(least, -float(limit))
    return max(least, min(math.ceil(low), most)), min(most, max(math.floor(high), least)), True


def _source(spread: Spread, shape: tuple[int, ...], dtype: np.dtype[Any], seed: int) -> Formula | Stored:
    """Return a formula for one range of a large input, or all the bytes that even draws from the ranges are."""
    if len(spread.low) == 1 and (dtype.kind != "f" or not spread.whole[0]):
        return Formula(seed, spread.low[0], spread.high[0] + (dtype.kind != "f"))
    if math.prod(shape) * dtype.itemsize > STORED:
        one = spread.joined()
        return Formula(seed, one.low[0], one.high[0] + (dtype.kind != "f"))
    low, high, whole = (np.array(x) for x in (spread.low, spread.high, spread.whole))
    even = Formula(seed, 0.0, 1.0).values(shape, np.dtype(np.float64))
    values = np.where(whole, np.floor(low + (high - low + 1) * even), low + (high - low) * even)
    return Stored(values.astype(dtype.newbyteorder("<")).tobytes())


def _rounding(graph: Graph, plan: Plan, case: Golden) -> float:
    """Return the error of the answers in float32; infinite where rounding decides what kind of answer there is."""
    return case.error(run_graph(graph, case.feeds(plan), case.dims))


def _parts(graph: Graph) -> list[tuple[str, ...]]:
    """Return the names of the model's float numbers in the order of use, in up to four parts; the inputs for none."""
    used = dict.fromkeys(name for node in graph.nodes for name in node.reads if name in graph.constants)
    names = [name for name in used if graph.constants[name].dtype.kind == "f" and graph.constants[name].size]
    if not names:
        return [graph.inputs]
    count = 1 if _is_large(graph) else min(PARTS, len(names))
    ends = [len(names) * i // count for i in range(count + 1)]
    return [tuple(names[a:b]) for a, b in itertools.pairwise(ends)]


def _gain(graph: Graph, plan: Plan, case: Golden, part: Sequence[str]) -> float:
    """Return the error of the answers for each unit of change, when this part of the model or its inputs changes."""
    changed = {name: _changed(graph.constants[name], i) for i, name in enumerate(part) if name in graph.constants}
    feeds = {name: _changed(a, 0) if name in part else a for name, a in case.feeds(plan).items()}
    faulty = replace(graph, constants={**graph.constants, **changed})
    return case.error(run_graph(faulty, feeds, case.dims, precision="float64")) / FAULT


def _changed(values: Array, seed: int) -> Array:
    """Return floats, each made larger or smaller by FAULT, by a formula as the inputs are; others as they are."""
    if values.dtype.kind != "f":
        return values
    signs = np.sign(Formula(seed + 7, -1.0, 1.0).values(values.shape, np.dtype(np.float64)) + 2.0**-30)
    return values.astype(np.float64) * (1 + FAULT * signs)


def _least(graph: Graph) -> float:
    """Return what the op table allows the least exact kernel of the model, however little rounding there is."""
    return max([HALF * _is_half(graph), *(ops.get(node.op).tolerance for node in graph.nodes)])


def _is_large(graph: Graph) -> bool:
    return sum(constant.size for constant in graph.constants.values()) > LARGE


def _is_half(graph: Graph) -> bool:
    return any(graph.values[node.output].dtype.name == "float16" for node in graph.nodes)
