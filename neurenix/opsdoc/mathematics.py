"""Prints a scalar expression as a person would write it."""

from __future__ import annotations

from collections.abc import Sequence

from neurenix.expr import Expr

# Each operator with how tightly it binds; what is not here is written as a function.
_INFIX = {
    "or": ("or", 1), "xor": ("xor", 1), "and": ("and", 2), "lt": ("<", 4), "le": ("<=", 4), "eq": ("=", 4),
    "bitor": ("|", 5), "bitxor": ("^", 5), "bitand": ("&", 5), "shl": ("<<", 6), "shr": (">>", 6),
    "add": ("+", 7), "sub": ("-", 7), "mul": ("*", 8), "div": ("/", 8), "pow": ("**", 10),
}  # fmt: skip
_PREFIX = {"neg": ("-", 9), "not": ("not ", 3), "bitnot": ("~", 9)}
_NAMES = {"mod": "mod", "floordiv": "floor_divide", "to_float": "float", "to_integer": "trunc"}
_ATOM = 11


def mathematics(expr: Expr, names: Sequence[str]) -> str:
    """Return an expression as text, its operands by name."""
    return _text(expr, names)[0]


def _text(e: Expr, names: Sequence[str]) -> tuple[str, int]:
    if e.op == "x":
        return names[int(e.value)], _ATOM
    if e.op == "const":
        return f"{e.value:.9g}", _ATOM if e.value >= 0 else 9
    if e.op in _INFIX:
        sign, level = _INFIX[e.op]
        left, right = (_text(a, names) for a in e.args)
        return f"{_inside(left, level)} {sign} {_inside(right, level + 1)}", level
    if e.op in _PREFIX:
        sign, level = _PREFIX[e.op]
        return sign + _inside(_text(e.args[0], names), level), level
    if e.op == "select":
        condition, a, b = (_text(x, names) for x in e.args)
        return f"{_inside(a, 1)} if {condition[0]} else {b[0]}", 0
    arguments = ", ".join(_text(a, names)[0] for a in e.args)
    return f"{_NAMES.get(e.op, e.op)}({arguments})", _ATOM


def _inside(part: tuple[str, int], level: int) -> str:
    return part[0] if part[1] >= level else f"({part[0]})"
