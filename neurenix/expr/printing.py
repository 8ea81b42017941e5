"""Prints expressions as C, over float32 vectors or over single values of any kind."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from neurenix.expr.algebra import walk
from neurenix.expr.node import PRIMITIVES, Expr

# From the narrowest kind to the widest; each with the C type that computes it. Floats are doubles where a map has a
# float64 among its operands or makes one.
KINDS = {"bool": "int", "integer": "long long", "unsigned": "unsigned long long", "float": "float"}

_WHOLE = ("integer", "unsigned")

Number = Callable[[float, Expr | None], str]


def vectorises(expr: Expr) -> bool:
    """Say whether `print_c` can print an expression: float32 vectors hold no whole numbers for their bits."""
    return all(PRIMITIVES[e.op].c and PRIMITIVES[e.op].kind not in _WHOLE for e in walk(expr) if e.args)


def print_c(expr: Expr, operands: Sequence[str]) -> tuple[list[str], str]:
    """Print an expression as C over `nx_f32` vectors: statements that name shared parts, and the result."""

    def statement(e: Expr, name: str, text: str) -> str:
        return f"const {'nx_i32' if PRIMITIVES[e.op].kind == 'bool' else 'nx_f32'} {name} = {text};"

    return _print(expr, operands, lambda e: PRIMITIVES[e.op].c, lambda v, _: f"nx_set({_c_float(v)})", statement)


def print_c_scalar(
    expr: Expr, operands: Sequence[str], kinds: Sequence[str], width: str = "float"
) -> tuple[list[str], str]:
    """Print an expression as C over single values. `kinds` are the operands': "float", "integer", "unsigned" or "bool".

    Floats compute in `width`, float or double, everything else in 64-bit integers, which hold every integer exactly.
    """
    suffix = "_1" if width == "float" else "_d"
    known = kinds_of(expr, kinds)

    def template(e: Expr) -> str:
        row = PRIMITIVES[e.op]
        if _argument_kind(e, known) == "float":
            return re.sub(r"\bnx_(\w+)\(", rf"nx_\1{suffix}(", row.c)
        text = row.c_integer or re.sub(r"\bnx_(\w+)\(", r"nx_\1_i(", row.c)
        return text.replace("_i(", "_u(") if _argument_kind(e, known) == "unsigned" else text

    def number(value: float, user: Expr | None) -> str:
        integral = user is not None and _is_whole(value) and _argument_kind(user, known) != "float"
        return f"{int(value)}ll" if integral else _c_float(value) if width == "float" else _c_double(value)

    def statement(e: Expr, name: str, text: str) -> str:
        return f"const {width if known[e] == 'float' else KINDS[known[e]]} {name} = {text};"

    def passed(text: str, e: Expr, user: Expr) -> str:
        condition = user.op == "select" and e is user.args[0]
        widened = not condition and known[e] != "float" and _argument_kind(user, known) == "float"
        return f"({width})({text})" if widened else text

    return _print(expr, operands, template, number, statement, passed)


def kinds_of(expr: Expr, operands: Sequence[str]) -> dict[Expr, str]:
    """Return what each part of an expression is, a key of KINDS. Constants adapt to their users."""
    known: dict[Expr, str] = {}

    def visit(e: Expr) -> None:
        if e in known or e.op == "const":
            return
        for a in e.args:
            visit(a)
        if e.op == "x":
            known[e] = operands[int(e.value)]
        else:
            kind = PRIMITIVES[e.op].kind
            known[e] = _argument_kind(e, known) if kind == "same" else kind

    visit(expr)
    return known


def _argument_kind(e: Expr, known: dict[Expr, str]) -> str:
    """Return what an operation computes in: the widest of its arguments, the condition of a select aside."""
    arguments = e.args[1:] if e.op == "select" else e.args
    found = [known[a] for a in arguments if a.op != "const"]
    fractions = any(a.op == "const" and not _is_whole(float(a.value)) for a in arguments)
    if fractions or not found or PRIMITIVES[e.op].kind == "float":
        return "float"
    return max(found, key=list(KINDS).index)


def _print(
    expr: Expr,
    operands: Sequence[str],
    template: Callable[[Expr], str],
    number: Number,
    statement: Callable[[Expr, str, str], str],
    passed: Callable[[str, Expr, Expr], str] = lambda text, e, user: text,
) -> tuple[list[str], str]:
    uses = Counter(walk(expr))
    lines: list[str] = []
    done: dict[Expr, str] = {}

    def visit(e: Expr, user: Expr | None) -> str:
        if e.op == "x":
            return operands[int(e.value)]
        if e.op == "const":
            return number(float(e.value), user)
        if e not in done:
            texts = (visit(a, e) if a.op == "const" else passed(visit(a, e), a, e) for a in e.args)
            text = template(e).format(*texts)
            if uses[e] > 1:
                name = f"t{len(lines)}"
                lines.append(statement(e, name, text))
                text = name
            done[e] = text
        return done[e]

    return lines, visit(expr, None)


def _is_whole(value: float) -> bool:
    """Say whether 64 bits with a sign hold a number."""
    return value.is_integer() and abs(value) < 2**63


def _float32(value: float) -> float:
    with np.errstate(over="ignore"):  # beyond float32's range it is infinite
        return float(np.float32(value))


def _c_float(value: float) -> str:
    value = _float32(value)
    if math.isfinite(value):
        return f"{value!r}f"
    return '__builtin_nanf("")' if math.isnan(value) else ("-" if value < 0 else "") + "__builtin_inff()"


def _c_double(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    return '__builtin_nan("")' if math.isnan(value) else ("-" if value < 0 else "") + "__builtin_inf()"
