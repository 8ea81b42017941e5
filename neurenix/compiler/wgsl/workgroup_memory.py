"""Counts the bytes of a shader's `var<workgroup>`: compilers here do not, and a browser's refuse what is too much."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping

_SHARED = re.compile(r"\bvar\s*<\s*workgroup\s*>\s*\w+\s*:\s*([^;]+);")
_NAMED = re.compile(r"\b(?:const|override)\s+(\w+)\s*(?::\s*\w+\s*)?=\s*([^;]+);")
_VECTOR = re.compile(r"vec([234])(?:<(f32|i32|u32|f16)>|([fiuh]))")
_OPERATIONS: Mapping[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
}  # fmt: skip
_FAR = 1 << 40  # where counting ends: more than any device has


def workgroup_bytes(text: str) -> int:
    """Return the bytes of all variables of a workgroup in a text without comments.

    A variable of a type that is not of scalars, vectors, atomics and arrays of them, or whose length is not written in
    numbers and constants, counts nothing.
    """
    names: dict[str, int] = {}
    for name, value in _NAMED.findall(text):
        found = _number(value, names)
        if found is not None:
            names[name] = found
    return sum(_bytes(re.sub(r"\s", "", kind), names) or 0 for kind in _SHARED.findall(text))


def _bytes(kind: str, names: Mapping[str, int]) -> int | None:
    if re.fullmatch(r"[fiu]32|bool|atomic<[iu]32>|f16", kind):
        return 2 if kind == "f16" else 4
    vector = _VECTOR.fullmatch(kind)
    if vector:
        width = 2 if vector[2] == "f16" or vector[3] == "h" else 4
        return width * (4 if vector[1] == "3" else int(vector[1]))
    if not kind.startswith("array<") or not kind.endswith(">"):
        return None
    element, _, length = kind[6:-1].rstrip(",").rpartition(",")
    each, count = _bytes(element, names), _number(length, names)
    return None if each is None or count is None else each * count


def _number(text: str, names: Mapping[str, int]) -> int | None:
    """Return the value of an expression of whole numbers and names; None for any other."""
    plain = re.sub(r"\b(\d{1,9})[iu]\b", r"\1", text.strip())
    if not re.fullmatch(r"[\w\s()+*-]{1,200}", plain):
        return None
    try:
        return _value(ast.parse(plain, mode="eval").body, names)
    except SyntaxError:
        return None


def _value(node: ast.expr, names: Mapping[str, int]) -> int | None:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        left, right = _value(node.left, names), _value(node.right, names)
        if left is not None and right is not None:
            made = _OPERATIONS[type(node.op)](left, right)
            return made if abs(made) < _FAR else None
    return None
