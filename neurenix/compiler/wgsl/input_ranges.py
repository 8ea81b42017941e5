"""Finds between which ends whole inputs may lie for all that a plan computes to fit 32 bits.

A model that adds 1 to an int64 input leaves 32 bits for one number of 2^32; it is no reason to keep all others off a
GPU. So where not every number that a GPU holds can be shown to do, inputs are given the widest powers of two that can:
what lies outside is for another backend to answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from neurenix.compiler.wgsl.intervals import Range
from neurenix.compiler.wgsl.ranges import check_ranges, constant_ranges
from neurenix.compiler.wgsl.types import is_wide, own_range
from neurenix.dtypes import DType
from neurenix.errors import UnsupportedError
from neurenix.graph.plan import Plan, Step

# Inputs of fewer bits would send nearly every call elsewhere: a shader for -8 to 7 is the least that is worth having.
LEAST_BITS, MOST_BITS = 3, 31


def input_ranges(plan: Plan, weights: bytes, where: Callable[[Step], str]) -> dict[str, tuple[int, int]]:
    """Return the ends of those inputs that must keep within narrower ones than a GPU's whole numbers have.

    Raises UnsupportedError, naming the step, where nothing that is asked of inputs makes all of it fit 32 bits.
    """
    constants = constant_ranges(plan, weights)
    bits = {name: MOST_BITS for name in plan.inputs if _is_narrowable(plan.dtype(name))}

    def problem(tried: Mapping[str, int]) -> UnsupportedError | None:
        ends = {name: _ends(plan.dtype(name), n) for name, n in {**bits, **tried}.items()}
        try:
            check_ranges(plan, constants, ends, where)
        except UnsupportedError as error:
            return error
        return None

    def alone(name: str, n: int) -> bool:
        return problem({name: n}) is None

    refused = problem({})
    if refused is None:
        return {}
    if not bits or problem(dict.fromkeys(bits, LEAST_BITS)) is not None:
        raise refused
    # All of them alike first, or the first one would take what the others need; then each as far as it goes.
    alike = _most(lambda n: problem(dict.fromkeys(bits, n)) is None)
    bits |= dict.fromkeys(bits, alike)
    for name in list(bits):
        bits[name] = _most(partial(alone, name), alike)
    narrow = {name: _ends(plan.dtype(name), n) for name, n in bits.items() if n < MOST_BITS}
    return {name: (int(low), int(high)) for name, (low, high) in narrow.items()}


def _is_narrowable(of: DType) -> bool:
    """Say whether inputs of a dtype are looked at before they are given to a GPU: bytes and the like are not."""
    return is_wide(of) or of.name == "int32"


def _ends(of: DType, bits: int) -> Range:
    low, high = own_range(of)
    return max(low, -(1 << bits)), min(high, (1 << bits) - 1)


def _most(fits: Callable[[int], bool], known: int = LEAST_BITS) -> int:
    """Return the most bits that fit, of which so many are known to."""
    beyond = MOST_BITS + 1
    while beyond - known > 1:
        middle = (known + beyond) // 2
        known, beyond = (middle, beyond) if fits(middle) else (known, middle)
    return known
