"""The op table: one row per operator, read by everything else."""

from __future__ import annotations

import difflib

from neurenix.errors import GraphError
from neurenix.ops import (
    activations,
    adaptive_pool,
    arithmetic,
    avg_pool,
    comparisons,
    contraction,
    elementwise,
    functions,
    gathering,
    max_pool,
    movement,
    normalization,
    recurrent,
    reduce,
    scan,
    scattering,
    slicing,
    sort,
    statistics,
)
from neurenix.ops.op import Family, Kernel, Op

OPS: dict[str, Op] = {
    row.name: row
    for family in (
        arithmetic,
        functions,
        activations,
        comparisons,
        elementwise,
        reduce,
        scan,
        sort,
        movement,
        slicing,
        gathering,
        scattering,
        contraction,
        max_pool,
        avg_pool,
        adaptive_pool,
        normalization,
        statistics,
        recurrent,
    )
    for row in family.ROWS
}

__all__ = ["OPS", "Family", "Kernel", "Op", "get"]


def get(name: str) -> Op:
    """Return the row of an op. Raises GraphError, with the nearest name, when there is none."""
    if name in OPS:
        return OPS[name]
    near = difflib.get_close_matches(name, OPS, 1)
    raise GraphError(f"there is no op '{name}'" + (f"; did you mean '{near[0]}'?" if near else ""))
