"""Dtype rules: from the dtypes of the inputs to the dtype of the output, or a GraphError."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from neurenix.dtypes import DTYPES, DType, dtype
from neurenix.errors import GraphError

Rule = Callable[[Sequence[DType], Mapping[str, Any]], DType]

_ORDER = {"b": 0, "u": 1, "i": 1, "f": 2}


def kind(of: DType) -> str:
    """Return NumPy's letter for a dtype's kind: "f", "i", "u" or "b"."""
    return of.numpy.kind


def same(dtypes: Sequence[DType], attrs: Mapping[str, Any]) -> DType:
    """All inputs have one dtype, and so has the output."""
    if any(d is not dtypes[0] and d != dtypes[0] for d in dtypes):
        raise GraphError(f"the inputs have different dtypes, {', '.join(map(str, dtypes))}: cast them to one")
    return dtypes[0]


def floating(dtypes: Sequence[DType], attrs: Mapping[str, Any]) -> DType:
    """As `same`, for floats only."""
    return _limited(dtypes, attrs, "f", "floats")


def number(dtypes: Sequence[DType], attrs: Mapping[str, Any]) -> DType:
    """As `same`, for anything but bool."""
    return _limited(dtypes, attrs, "fiu", "numbers")


def integer(dtypes: Sequence[DType], attrs: Mapping[str, Any]) -> DType:
    """As `same`, for integers and bool."""
    return _limited(dtypes, attrs, "iub", "integers")


def whole(dtypes: Sequence[DType], attrs: Mapping[str, Any]) -> DType:
    """As `same`, for integers only."""
    return _limited(dtypes, attrs, "iu", "integers")


def logical(dtypes: Sequence[DType], attrs: Mapping[str, Any]) -> DType:
    """As `same`, for bool only."""
    return _limited(dtypes, attrs, "b", "bool")


def boolean(dtypes: Sequence[DType], attrs: Mapping[str, Any]) -> DType:
    """All inputs have one dtype; the output is bool."""
    same(dtypes, attrs)
    return DTYPES["bool"]


def int64(dtypes: Sequence[DType], attrs: Mapping[str, Any]) -> DType:
    """The output is int64 whatever the input: positions and counts."""
    return DTYPES["int64"]


def attribute(dtypes: Sequence[DType], attrs: Mapping[str, Any]) -> DType:
    """The output has the dtype that the attribute `dtype` names."""
    return dtype(attrs["dtype"])


def first(dtypes: Sequence[DType], attrs: Mapping[str, Any]) -> DType:
    """The output has the first input's dtype; the others are indices."""
    for position, other in enumerate(dtypes[1:], start=1):
        if other.name not in ("int64", "int32"):
            raise GraphError(f"input {position} holds indices and must be int64 or int32, got {other}")
    return dtypes[0]


def chosen(dtypes: Sequence[DType], attrs: Mapping[str, Any]) -> DType:
    """A bool condition, then values of one dtype."""
    if dtypes[0].name != "bool":
        raise GraphError(f"the condition must be bool, got {dtypes[0]}")
    return same(dtypes[1:], attrs)


def mapped(dtypes: Sequence[DType], attrs: Mapping[str, Any]) -> DType:
    """What the attribute `dtype` names, or the first input's when it is None."""
    return dtypes[0] if attrs["dtype"] is None else dtype(attrs["dtype"])


def promoted(dtypes: Sequence[DType]) -> DType:
    """Return the dtype that holds all of these as PyTorch promotes: float over integer over bool, then the wider.

    Where integers with and without a sign meet it is the narrowest with one that holds both; int64 beside uint64.
    """
    widest = max(dtypes, key=lambda d: (_ORDER[kind(d)], d.size))
    unsigned = max((d.size for d in dtypes if kind(d) == "u"), default=0)
    signed = max((d.size for d in dtypes if kind(d) == "i"), default=0)
    if kind(widest) in "iu" and signed and unsigned:
        return DTYPES[f"int{8 * min(8, max(signed, 2 * unsigned))}"]
    return widest


def _limited(dtypes: Sequence[DType], attrs: Mapping[str, Any], kinds: str, name: str) -> DType:
    found = same(dtypes, attrs)
    if kind(found) not in kinds:
        raise GraphError(f"the inputs must be {name}, got {found}")
    return found


# Rules whose inputs have one dtype: where they have several, the tensor library casts.
PROMOTING: tuple[Rule, ...] = (same, floating, number, integer, whole, boolean, chosen, mapped)
