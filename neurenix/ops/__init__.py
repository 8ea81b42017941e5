"""The op table: one row per operator, read by everything else; `custom` holds the ops that users register beside it."""

from __future__ import annotations

import difflib

from neurenix.errors import GraphError
from neurenix.ops import (
    activations,
    adaptive_pool,
    arithmetic,
    avg_pool,
    batch_norm,
    comparisons,
    contraction,
    cross_entropy,
    custom,
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
    selecting,
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
        selecting,
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
        batch_norm,
        cross_entropy,
        recurrent,
    )
    for row in family.ROWS
}

__all__ = ["OPS", "Family", "Kernel", "Op", "custom", "get"]


def get(name: str) -> Op:
    """Return the row of an op, a custom one included. Raises GraphError, with the nearest name, when there is none."""
    row = OPS.get(name) or custom.by_name(name)
    if row is not None:
        return row
    near = difflib.get_close_matches(name, [*OPS, *custom.registered()], 1)
    hint = "; if it is a custom op, import the module that registers it" if "." in name else ""
    raise GraphError(f"there is no op '{name}'" + (f"; did you mean '{near[0]}'?" if near else hint))
