"""Finds where a plan needs NaN or infinities, which WGSL lets a GPU ignore: what `strict` keeps off it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from neurenix.expr import Expr
from neurenix.expr.algebra import walk
from neurenix.graph.packing import unpack
from neurenix.graph.plan import Plan, Step

# Primitives whose answer is about nothing else.
_TESTS = {"isnan", "isinf"}


def special_values(plan: Plan, weights: bytes, where: Callable[[Step], str]) -> str:
    """Return why a plan needs NaN or infinities, naming the place; an empty text where nothing in it shows that.

    It does where an op asks for them, or a constant holds one: a mask of -inf before a softmax, a pad of -inf. What a
    call's own inputs hold is not known here.
    """
    for step in plan.steps:
        for expr in [step.attrs.get("expr"), step.epilogue.expr if step.epilogue else None]:
            found = _in_expression(expr) if isinstance(expr, Expr) else ""
            if found:
                return f"{where(step)} {found}"
        for name, value in step.attrs.items():
            if isinstance(value, float) and not math.isfinite(value):
                return f"{where(step)} has {name} = {value}"
    for tensor in plan.tensors.values():
        if tensor.dtype.numpy.kind == "f":
            data = memoryview(weights)[tensor.offset : tensor.offset + tensor.size]
            if not np.isfinite(unpack(data, tensor.dtype.numpy, tensor.layout, tensor.shape)).all():
                return f"the parameter '{tensor.name}' holds NaN or an infinity"
    return ""


def _in_expression(expr: Expr) -> str:
    for part in walk(expr):
        if part.op in _TESTS:
            return f"asks for {part.op}"
        value: Any = part.value
        if part.op == "const" and isinstance(value, float) and not math.isfinite(value):
            return f"uses the constant {value}"
    return ""
