"""Takes values of parsed JSON by type: whatever is anything else is refused with what it is."""

from __future__ import annotations

from typing import Any

from neurenix import dims as dm
from neurenix.dims import Shape, Size
from neurenix.errors import BundleError

# Limits that no real model meets: sizes are polynomials, and small texts of them can be large ones.
LARGEST_EXPRESSION = 64
MOST_AXES = 16


def as_list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise BundleError(f"{str(value)[:80]!r} should be a list")
    return value


def as_text(value: Any) -> str:
    if not isinstance(value, str):
        raise BundleError(f"{str(value)[:80]!r} should be a text")
    return value


def as_texts(value: Any) -> tuple[str, ...]:
    return tuple(map(as_text, as_list(value)))


def as_count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 1 << 53:
        raise BundleError(f"{str(value)[:80]!r} is no size")
    return value


def as_size(value: Any) -> Size:
    if _parts(value) > LARGEST_EXPRESSION:
        raise BundleError(f"a size has more than {LARGEST_EXPRESSION} parts")
    return dm.from_json(value)


def _parts(value: Any) -> int:
    return sum(map(_parts, value)) if isinstance(value, list) else 1


def as_shape(value: Any) -> Shape:
    shape = tuple(map(as_size, as_list(value)))
    if len(shape) > MOST_AXES:
        raise BundleError(f"a shape has {len(shape)} axes; {MOST_AXES} are the most")
    return shape
