"""How numbers and names read: for people, and so that no name can steer a terminal."""

from __future__ import annotations


def plain(text: str) -> str:
    """Return a text in which nothing can steer the terminal: control characters are written out."""
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)


def size_text(count: float) -> str:
    """Return a number of bytes for people, in powers of 1000."""
    return f"{scaled(count)}B"


def scaled(count: float) -> str:
    """Return a count with three digits and the prefix of its power of 1000."""
    for prefix in ("", "k", "M", "G"):
        if abs(count) < 999.5:
            return f"{count:.0f} {prefix}" if not prefix or count >= 99.95 else f"{count:.1f} {prefix}"
        count /= 1000
    return f"{count:.1f} T"


def seconds_text(seconds: float) -> str:
    """Return a duration for people."""
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 1 or unit == "µs":
            return f"{seconds * factor:.3g} {unit}" if seconds * factor < 1000 else f"{seconds * factor:.0f} {unit}"
    raise AssertionError(seconds)
