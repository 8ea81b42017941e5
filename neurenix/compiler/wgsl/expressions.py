"""Prints scalar expressions as WGSL functions of single values, floats and whole numbers apart as WGSL keeps them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from neurenix import expr as ex
from neurenix.compiler.wgsl.types import FLOAT, narrowed, storage
from neurenix.dtypes import DType
from neurenix.expr import Expr
from neurenix.expr.algebra import walk
from neurenix.expr.printing import kinds_of

# Whether a number is a condition that holds.
_TRUE = {"float": "nx_nonzero({})", "integer": "(({}) != 0)"}
# Kinds of expressions that are an i32 here.
_INTEGERS = {"integer", "unsigned"}


def function(name: str, expr: Expr, operands: Sequence[str], types: Sequence[str], out: DType, more: str = "") -> str:
    """Return a WGSL function of operands of WGSL types, `more` parameters behind them, whose result is stored as `out`.

    A result of a dtype narrower than 32 bits is cut to its width, or rounded.
    """
    lines, result, kind = _print(expr, operands, ["float" if t == FLOAT else "integer" for t in types])
    params = ", ".join(f"{o}: {t}" for o, t in zip(operands, types)) + more
    body = "".join(f"  {line}\n" for line in lines)
    return f"fn {name}({params}) -> {storage(out)} {{\n{body}  return {_stored(result, kind, out)};\n}}"


def _stored(text: str, kind: str, out: DType) -> str:
    if storage(out) == FLOAT:
        number = {"float": text, "integer": f"f32({text})", "bool": f"select(0.0, 1.0, {text})"}[_plain(kind)]
        return narrowed(out, number)
    if out.name == "bool":
        return f"select(0, 1, {text if kind == 'bool' else _TRUE[_plain(kind)].format(text)})"
    if kind == "bool":
        return f"select(0, 1, {text})"
    return narrowed(out, f"nx_to_integer({text})" if kind == "float" else text)


def _plain(kind: str) -> str:
    return "integer" if kind in _INTEGERS else kind


def _print(expr: Expr, operands: Sequence[str], kinds: Sequence[str]) -> tuple[list[str], str, str]:
    """Return statements that name shared parts, the result, and its kind: "float", "integer" or "bool"."""
    known = kinds_of(expr, kinds)
    uses, lines, done = Counter(walk(expr)), list[str](), dict[Expr, str]()

    def visit(e: Expr, wanted: str) -> str:
        if e.op == "const":
            if wanted == "bool":
                return "true" if e.value else "false"
            return f"i32({int(e.value)})" if wanted == "integer" else literal(float(e.value))
        text = operands[int(e.value)] if e.op == "x" else part(e)
        return f"f32({text})" if wanted == "float" and known[e] in _INTEGERS else text

    def part(e: Expr) -> str:
        if e not in done:
            kind = computed_in(e, kinds_of_arguments(e))
            texts = [visit(a, "bool" if e.op == "select" and i == 0 else kind) for i, a in enumerate(e.args)]
            row = ex.PRIMITIVES[e.op]
            text = (row.wgsl if kind == "float" else row.wgsl_integer or row.wgsl).format(*texts)
            if uses[e] > 1:
                lines.append(f"let t{len(lines)} = {text};")
                text = f"t{len(lines) - 1}"
            done[e] = text
        return done[e]

    def kinds_of_arguments(e: Expr) -> list[str]:
        return ["const" if a.op == "const" else known[a] for a in e.args]

    return lines, visit(expr, known.get(expr, "float")), known.get(expr, "float")


def computed_in(e: Expr, kinds: Sequence[str]) -> str:
    """Return what an operation computes in: "bool" for conditions, else the wider of its arguments' kinds."""
    pairs = list(zip(e.args, kinds))[1 if e.op == "select" else 0 :]
    found = {kind for _, kind in pairs} - {"const"}
    fractions = any(a.op == "const" and not float(a.value).is_integer() for a, _ in pairs)
    if fractions or not found or ex.PRIMITIVES[e.op].kind == "float" or "float" in found:
        return "float"
    return "integer" if found & _INTEGERS else "bool"


def literal(value: float) -> str:
    """Return a float32 as WGSL, which has no literal for what is not finite."""
    with np.errstate(over="ignore"):  # beyond float32's range it is infinite
        value = float(np.float32(value))
    if math.isfinite(value):
        return f"f32({value!r})"
    return "nx_nan()" if math.isnan(value) else "(-nx_inf())" if value < 0 else "nx_inf()"
