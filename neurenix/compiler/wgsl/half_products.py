"""Chooses which products of a model stored as float16 compute in it too, by a proof that none of them overflows.

Float16 ends at 65504, and a sum beyond is infinite without a word. What is stored never is: it is cut to that where it
is written. So `|a| <= 65504` in every product `a * b` of a stored tensor, and where b is a parameter its numbers are
known: no sum of a run of products is beyond 65504 times the sum of the `|b|` of that run. `run_bound` is the largest of
these over all columns and all runs. A power of two, exact in either format, is multiplied into b on its way in to keep
that below 1, and out of each run's sum on its way out, which float32 adds up: whatever a model is given, nothing
overflows that would not in float32, in any order of additions, and the error does not grow with the count of runs.

That error is at most 2**-11 of the sum of a run's `|a * b|` for each of its products, and as much for each addition:
2**-6, and as a rule a tenth of that. What is closer to 0 than float16 goes is lost, 2**-14 on GPUs that flush and less
on others; the power of two lifts small weights as far as overflow allows. How far it moves a model's answers is not
proved but measured, with the golden cases: by the build, which computes in float32 where it is too far, and by a page.

Float32 remains where there is no such proof: in products of batches, whose operands are both computed as a rule; where
an operand is a model's input, which lies there as float32; for weights that are not finite or that need more scaling
than float16 has room for. It remains where a GPU waits for memory and not for arithmetic, too: in products of few rows,
depthwise convolutions, reductions, maps. Tiles that a workgroup shares are float16 wherever what they hold is stored
so: the same numbers in half the room.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from neurenix.compiler.wgsl.half import stored_as_half
from neurenix.compiler.wgsl.launch import Launch
from neurenix.graph.packing import unpack
from neurenix.graph.plan import Plan
from neurenix.graph.shaders import LARGEST_HALF

# How many products are added up in float16. Fewer, and joining them costs what they save; more, and the error grows.
RUN = 16
# What the sum of the |b| of a run may be once scaled: each product and each sum may be rounded up, by 2**-10 where a
# GPU does not round to the nearest.
HEADROOM = (1 + 2.0**-10) ** (-2 * RUN)
# The powers of two that weights are scaled by: beyond them their smaller ones are lost, or were.
LEAST_SCALE, MOST_SCALE = -8, 12

_SHARED = frozenset({"matmul"})  # the templates whose operands go through tiles
_PRODUCTS = frozenset({"matmul", "matmul_direct"})
_COLUMNS = 256  # looked at together


def with_half_products(
    launch: Launch, plan: Plan, weights: bytes, halves: frozenset[str], computed: bool = True
) -> Launch:
    """Return a launch of a plan whose tensors `halves` are float16, with what it can hold in that and, if it is to be
    `computed` too, compute."""
    if launch.template not in _PRODUCTS:
        return launch
    operands = {b.variable: b.tensor for b in launch.bindings if b.variable in ("a", "b")}
    raw = tuple(b.variable for b in launch.bindings if b.variable in operands and stored_as_half(b, halves))
    provable = computed and len(raw) == len(operands) and launch.words["b"] == "panels"
    scale = _scale(operands["b"], plan, weights) if provable else None
    if scale is None:
        return replace(launch, words={**launch.words, "raw": raw if launch.template in _SHARED else ()})
    words = {**launch.words, "raw": raw, "runs": RUN, "scaled": scale != 0}
    params = {**launch.params, "exponent": scale} if scale else launch.params
    return replace(launch, words=words, params=params)


def _scale(name: str, plan: Plan, weights: bytes) -> int | None:
    """Return the power of two that keeps every run of products with a matrix in panels, a parameter, from overflow;
    None without a proof."""
    tensor = plan.tensors[name]
    data = memoryview(weights)[tensor.offset : tensor.offset + tensor.size]
    values = unpack(data, tensor.dtype.numpy, tensor.layout, tensor.shape)
    bound = run_bound(values.reshape(-1, values.shape[-1]), RUN)
    if not math.isfinite(bound):
        return None
    if bound == 0:
        return 0
    scale = min(math.floor(math.log2(HEADROOM / bound)), MOST_SCALE)
    assert bound * 2.0**scale <= HEADROOM
    return scale if scale >= LEAST_SCALE else None


def run_bound(matrix: np.ndarray[Any, Any], run: int) -> float:
    """Return the largest sum of |b| over any `run` rows of a column that follow each other, b being rounded to float16.

    It is infinite for a matrix that holds NaN or infinities.
    """
    largest = 0.0
    for start in range(0, matrix.shape[1], _COLUMNS):
        part = matrix[:, start : start + _COLUMNS]
        if not np.isfinite(part).all():
            return math.inf
        held = np.abs(np.clip(part, -LARGEST_HALF, LARGEST_HALF).astype(np.float16).astype(np.float64))
        sums = np.concatenate([np.zeros((1, part.shape[1])), np.cumsum(held, axis=0)])
        run = min(run, part.shape[0])
        largest = max(largest, float((sums[run:] - sums[: len(sums) - run]).max(initial=0.0)))
    return largest
