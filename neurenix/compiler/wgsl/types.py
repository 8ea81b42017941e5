"""The element types that dtypes have on a GPU: WGSL's storage knows float, and 32-bit integers."""

from __future__ import annotations

from neurenix.dtypes import DType

# Whole numbers are signed and 32 bits wide whatever their dtype. A narrower one is cut to its width when it is made; a
# value of a wider one must be proved to fit (ranges.py). A float16 is a float32 that has been rounded to one, for which
# no adapter has to have the feature "shader-f16".
FLOAT, WHOLE = "f32", "i32"
LEAST, MOST = -(1 << 31), (1 << 31) - 1

_NARROW = ("int32", "int16", "int8", "uint16", "uint8", "bool")
_WIDE = ("int64", "uint64", "uint32")
_FLOATS = ("float32", "float16")


def storage(of: DType) -> str | None:
    """Return the WGSL type that holds a dtype's elements; None where there is none yet."""
    if of.name in _FLOATS:
        return FLOAT
    return WHOLE if of.name in (*_NARROW, *_WIDE) else None


def is_wide(of: DType) -> bool:
    """Say whether a dtype has values that 32-bit signed integers have not."""
    return of.name in _WIDE


def own_range(of: DType) -> tuple[float, float]:
    """Return the range that every value of a whole dtype is in on the GPU."""
    if of.name == "bool":
        return 0, 1
    if is_wide(of):
        return (LEAST if of.name == "int64" else 0), MOST
    bits = 8 * of.size
    return (0, (1 << bits) - 1) if of.name.startswith("u") else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def narrowed(of: DType, text: str) -> str:
    """Return WGSL that makes a number of `storage` one of the dtype, as a conversion in C does: cut, or rounded."""
    if of.name == "float16":
        return f"nx_to_half({text})"
    if of.name == "bool" or of.size >= 4:
        return text
    if of.name.startswith("u"):
        return f"(({text}) & {(1 << 8 * of.size) - 1})"
    shift = 32 - 8 * of.size
    return f"((({text}) << {shift}u) >> {shift}u)"
