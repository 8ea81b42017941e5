"""The rules that one value or name in `[tool.neurenix]` must keep: each returns what is wrong, or None."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, time
from typing import Any

from neurenix.dtypes import DTYPES
from neurenix.toolchain import TARGETS

Rule = Callable[[Any], "str | tuple[str, str] | None"]
"""A problem, a pair (path below the value, problem), or None."""

WINDOWS_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", *(f"com{i}" for i in range(1, 10)), *(f"lpt{i}" for i in range(1, 10))]
)

_MODEL_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_IO_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_REFERENCE = re.compile(r"([^\W\d]\w*)(\.[^\W\d]\w*)*:([^\W\d]\w*)(\.[^\W\d]\w*)*")
_INPUT = re.compile(r"\s*(\w+)\s*\[([^\[\]]*)\]\s*")
_BYTES = re.compile(r"(\d+(?:\.\d+)?)\s*(B|kB|KB|MB|GB|KiB|MiB|GiB)")
_UNITS = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}


def quote(value: Any) -> str:
    """Write a value for a message: short, in single quotes when it is text, as TOML when it is a boolean."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def suggestion(wrong: str, known: Iterable[str]) -> str:
    """Return ` -- did you mean 'x'?` for the closest known name, or nothing."""
    close = difflib.get_close_matches(wrong, list(known), n=1, cutoff=0.6)
    return f" -- did you mean {quote(close[0])}?" if close else ""


def filled(message: str) -> Rule:
    """Make the rule that a text, array or table is not empty."""
    return lambda value: None if value else message


def at_least(low: float, high: float = math.inf) -> Rule:
    """Make the rule that a number lies between two bounds, both included, and is finite."""

    def rule(value: float) -> str | None:
        if math.isfinite(value) and low <= value <= high:
            return None
        return f"{value} is not " + (f"between {low} and {high}" if math.isfinite(high) else f"{low} or more")

    return rule


def each(rule: Rule) -> Rule:
    """Make the rule that every entry of an array keeps `rule`; the first that does not is reported."""

    def over_all(values: Iterable[Any]) -> tuple[str, str] | None:
        for index, value in enumerate(values):
            problem = rule(value)
            if isinstance(problem, str):
                return f"[{index}]", problem
        return None

    return over_all


def model_name(name: str) -> str | None:
    if not _MODEL_NAME.fullmatch(name):
        return f"{quote(name)} must match [a-z][a-z0-9_-]{{0,63}}"
    return f"{quote(name)} is a device name on Windows -- use another name" if name in WINDOWS_DEVICES else None


def an_io_name(name: str) -> str | None:
    return None if _IO_NAME.fullmatch(name) else f"{quote(name)} must match [a-z][a-z0-9_]{{0,63}}"


a_symbol_name = an_io_name


def a_parameter_name(name: str) -> str | None:
    return None if name.isidentifier() else f"{quote(name)} is not the name of a Python parameter"


def a_plain_value(value: Any) -> str | tuple[str, str] | None:
    """Refuse dates and times at any depth: a parameter travels as JSON."""
    entries: Iterable[tuple[str, Any]] = ()
    if isinstance(value, (date, time)):
        return f"{value} is a date or time, which no parameter can be -- write it as a string"
    if isinstance(value, Mapping):
        entries = ((f".{name}", entry) for name, entry in value.items())
    elif isinstance(value, list):
        entries = ((f"[{index}]", entry) for index, entry in enumerate(value))
    for path, entry in entries:
        problem = a_plain_value(entry)
        if problem is not None:
            below, text = ("", problem) if isinstance(problem, str) else problem
            return path + below, text
    return None


def a_module_function(reference: str) -> str | None:
    return None if _REFERENCE.fullmatch(reference) else f"{quote(reference)} is not 'module:function'"


def a_watch_pattern(pattern: str) -> str | None:
    if not pattern.strip():
        return "is empty -- name a file or a pattern such as 'data/*.csv'"
    if "\\" in pattern:
        return f"{quote(pattern)} has a backslash -- separate folders with '/'"
    if pattern.startswith(("/", "~")) or re.match(r"[A-Za-z]:", pattern) or ".." in pattern.split("/"):
        return f"{quote(pattern)} leaves the project -- write it relative to pyproject.toml, without '..'"
    return f"{quote(pattern)} has a control character" if not pattern.isprintable() else None


def parse_input(text: str) -> tuple[str, tuple[int | str, ...]]:
    """Split 'float32[batch, 10]' into its dtype and sizes. The text must keep `an_input_shape`."""
    match = _INPUT.fullmatch(text)
    assert match, text
    sizes = [part.strip() for part in match[2].split(",")] if match[2].strip() else []
    return match[1], tuple(int(size) if size.isdecimal() else size for size in sizes)


def an_input_shape(text: str) -> str | None:
    if not _INPUT.fullmatch(text):
        return f"{quote(text)} is not a dtype with a shape, such as 'float32[batch, 1, 28, 28]'"
    dtype, sizes = parse_input(text)
    if dtype not in DTYPES:
        return f"{quote(dtype)} is not one of {', '.join(map(quote, DTYPES))}" + suggestion(dtype, DTYPES)
    for size in sizes:
        if isinstance(size, int) and not 1 <= size < 2**31:
            return f"size {size} in {quote(text)} is not between 1 and {2**31 - 1}"
        if isinstance(size, str) and not _IO_NAME.fullmatch(size):
            return f"size {quote(size)} in {quote(text)} is neither a whole number nor a name"
    return None


def parse_bytes(text: str) -> int:
    """Return the bytes in '5 MB'. The text must keep `a_byte_count`."""
    match = _BYTES.fullmatch(text.strip())
    assert match, text
    return int(float(match[1]) * _UNITS[match[2]])


def a_byte_count(text: str) -> str | None:
    if _BYTES.fullmatch(text.strip()):
        return None
    return f"{quote(text)} is not a size -- write a number and a unit, such as '5 MB' or '512 KiB'"


def native_target(name: str) -> str | None:
    known = ("host", *TARGETS)
    return None if name in known else f"{quote(name)} is not one of {', '.join(known)}" + suggestion(name, known)
