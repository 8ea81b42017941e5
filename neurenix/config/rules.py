"""The rules that one value or name in `[tool.neurenix]` must keep: each returns what is wrong, or None."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, time
from pathlib import PurePosixPath
from typing import Any, Union

from neurenix.dtypes import DTYPES
from neurenix.toolchain import TARGETS

Problem = Union[str, tuple[str, str], None]
"""What is wrong, a pair (path below the value, what is wrong), or None."""


@dataclass(frozen=True)
class Rule:
    """A rule for a value: `problem` judges it; `schema` is as much of the rule as JSON Schema can say."""

    problem: Callable[[Any], Problem]
    schema: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, value: Any) -> Problem:
        return self.problem(value)


def says(**schema: Any) -> Callable[[Callable[[Any], Problem]], Rule]:
    """Make a rule of a function, with its JSON Schema: `@says(pattern="…")`."""
    return lambda problem: Rule(problem, schema)


WINDOWS_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", *(f"com{i}" for i in range(1, 10)), *(f"lpt{i}" for i in range(1, 10))]
)

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_MODEL_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_IO_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_REFERENCE = re.compile(r"([^\W\d]\w*)(\.[^\W\d]\w*)*:([^\W\d]\w*)(\.[^\W\d]\w*)*")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_VERSION = re.compile(r"\d+(\.\d+){0,3}")
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


def join(path: str, key: str) -> str:
    """Add a key or `[index]` to a dotted path, in quotes when TOML would need them."""
    if key.startswith("[") or not key:
        return path + key
    bare = key if _BARE_KEY.fullmatch(key) else json.dumps(key, ensure_ascii=True)
    return f"{path}.{bare}" if path else bare


def dotted(key: str) -> str:
    """Return a key as what follows a path: `.name`, or `."a name"`."""
    return join("x", key)[1:]


def suggestion(wrong: str, known: Iterable[str]) -> str:
    """Return ` -- did you mean 'x'?` for the closest known name, or nothing."""
    close = difflib.get_close_matches(wrong, list(known), n=1, cutoff=0.6)
    return f" -- did you mean {quote(close[0])}?" if close else ""


def filled(message: str, **schema: Any) -> Rule:
    """Make the rule that a text, array or table is not empty; `schema` says what else JSON Schema should check."""
    return Rule(lambda value: None if value else message, {"minLength": 1, "minItems": 1, "minProperties": 1, **schema})


def at_least(low: float, high: float = math.inf) -> Rule:
    """Make the rule that a number lies between two bounds, both included, and is finite."""

    def problem(value: float) -> str | None:
        if math.isfinite(value) and low <= value <= high:
            return None
        if not math.isfinite(low):
            return f"{value} is not a finite number"
        return f"{value} is not " + (f"between {low} and {high}" if math.isfinite(high) else f"{low} or more")

    bounds = {"minimum": low, "maximum": high}
    return Rule(problem, {name: bound for name, bound in bounds.items() if math.isfinite(bound)})


def one_of(names: tuple[str, ...]) -> Rule:
    """Make the rule that a text is one of some names."""

    def problem(name: str) -> str | None:
        known = ", ".join(map(quote, names))
        return None if name in names else f"{quote(name)} is not one of {known}{suggestion(name, names)}"

    return Rule(problem, {"enum": list(names)})


def each(rule: Rule) -> Rule:
    """Make the rule that every entry of an array keeps `rule`; the first that does not is reported."""

    def over_all(values: Iterable[Any]) -> tuple[str, str] | None:
        for index, value in enumerate(values):
            problem = rule(value)
            if isinstance(problem, str):
                return f"[{index}]", problem
        return None

    return Rule(over_all, {"items": rule.schema})


def each_value(rule: Rule) -> Rule:
    """Make the rule that every value of a table keeps `rule`; the first that does not is reported."""

    def over_all(table: Mapping[str, Any]) -> tuple[str, str] | None:
        for name, value in table.items():
            problem = rule(value)
            if isinstance(problem, str):
                return dotted(name), problem
        return None

    return Rule(over_all, {"additionalProperties": rule.schema})


@says(pattern=f"^{_MODEL_NAME.pattern}$")
def model_name(name: str) -> str | None:
    if not _MODEL_NAME.fullmatch(name):
        return f"{quote(name)} must match [a-z][a-z0-9_-]{{0,63}}"
    return f"{quote(name)} is a device name on Windows -- use another name" if name in WINDOWS_DEVICES else None


@says(pattern=f"^{_IO_NAME.pattern}$")
def an_io_name(name: str) -> str | None:
    return None if _IO_NAME.fullmatch(name) else f"{quote(name)} must match [a-z][a-z0-9_]{{0,63}}"


a_symbol_name = an_io_name


@says(pattern=r"^[^\W\d]\w*$")
def a_parameter_name(name: str) -> str | None:
    return None if name.isidentifier() else f"{quote(name)} is not the name of a Python parameter"


@says()
def a_plain_value(value: Any) -> str | tuple[str, str] | None:
    """Refuse dates and times at any depth: a parameter travels as JSON."""
    entries: Iterable[tuple[str, Any]] = ()
    if isinstance(value, (date, time)):
        return f"{value} is a date or time, which no parameter can be -- write it as a string"
    if isinstance(value, Mapping):
        entries = ((dotted(name), entry) for name, entry in value.items())
    elif isinstance(value, list):
        entries = ((f"[{index}]", entry) for index, entry in enumerate(value))
    for path, entry in entries:
        problem = a_plain_value(entry)
        if problem is not None:
            below, text = ("", problem) if isinstance(problem, str) else problem
            return path + below, text
    return None


@says(pattern=r"^[\w.]+:[\w.]+$")
def a_module_function(reference: str) -> str | None:
    return None if _REFERENCE.fullmatch(reference) else f"{quote(reference)} is not 'module:function'"


@says(minLength=1, pattern=r"^[^\\]+$")
def a_watch_pattern(pattern: str) -> str | None:
    return _leaves(pattern) if pattern.strip() else "is empty -- name a file or a pattern such as 'data/*.csv'"


def _leaves(path: str) -> str | None:
    if "\\" in path:
        return f"{quote(path)} has a backslash -- separate folders with '/'"
    if path.startswith(("/", "~")) or re.match(r"[A-Za-z]:", path) or ".." in path.split("/"):
        return f"{quote(path)} leaves the project -- write it relative to pyproject.toml, without '..'"
    return f"{quote(path)} has a control character" if not path.isprintable() else None


# Formats of weights alone, which say nothing of what is computed with them.
WEIGHTS = (".safetensors", ".pt", ".pth")
MODEL_FILES = (".onnx", ".pt2", *WEIGHTS)
_PICKLES = (".pkl", ".pickle", ".joblib", ".npy", ".ckpt")


def is_function(reference: str) -> bool:
    """Say whether this names a function, 'module:function', rather than a file."""
    return _REFERENCE.fullmatch(reference) is not None


@says(minLength=1, pattern=r"^[^\\]+[.:][A-Za-z0-9_.]+$")
def a_model_source(path: str) -> str | tuple[str, str] | None:
    return None if is_function(path) else a_model_file(path)


@says(minLength=1, pattern=r"^[^\\]+\.[A-Za-z0-9]+$")
def a_model_file(path: str) -> str | None:
    suffix = PurePosixPath(path).suffix.lower()
    if suffix in _PICKLES:
        return f"{quote(path)} needs pickle, which can run code -- convert it to .safetensors or .onnx"
    if suffix not in MODEL_FILES:
        return f"{quote(suffix or path)} is unsupported -- use one of {', '.join(MODEL_FILES)}"
    return _leaves(path)


@says(minLength=1, pattern=r"^[^\\]+$")
def a_data_file(path: str) -> str | None:
    if PurePosixPath(path).suffix.lower() != ".csv":
        return f"{quote(path)} is no .csv file -- a model without Python reads a table with a header, in UTF-8"
    return _leaves(path)


@says(pattern=f"^{_SHA256.pattern}$")
def a_sha256(text: str) -> str | None:
    return None if _SHA256.fullmatch(text) else f"{quote(text)} is not a SHA-256, 64 hexadecimal digits"


def parse_version(text: str) -> tuple[int, ...]:
    """Return the numbers of '0.1.2', without what a development version adds to them."""
    match = _VERSION.match(text)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


@says(pattern=f"^{_VERSION.pattern}$")
def a_version(text: str) -> str | None:
    return None if _VERSION.fullmatch(text) else f"{quote(text)} is not a version such as '0.1'"


def parse_input(text: str) -> tuple[str, tuple[int | str, ...]]:
    """Split 'float32[batch, 10]' into its dtype and sizes. The text must keep `an_input_shape`."""
    match = _INPUT.fullmatch(text)
    assert match, text
    sizes = [part.strip() for part in match[2].split(",")] if match[2].strip() else []
    return match[1], tuple(int(size) if size.isdecimal() else size for size in sizes)


@says()
def overlays(tables: Mapping[str, Mapping[str, Any]]) -> tuple[str, str] | None:
    """Refuse in an overlay what decides which overlays there are."""
    for name, table in tables.items():
        for key in ("targets", "profiles", "minimum-version"):
            if key in table:
                return (
                    f"{dotted(name)}.{key}",
                    "a table that is laid over cannot hold this -- move it to [tool.neurenix]",
                )
    return None


@says(pattern=r"^\s*\w+\s*\[[^\[\]]*\]\s*$")
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


@says(pattern=r"^\s*\d+(\.\d+)?\s*(B|kB|KB|MB|GB|KiB|MiB|GiB)\s*$")
def a_byte_count(text: str) -> str | None:
    if _BYTES.fullmatch(text.strip()):
        return None
    return f"{quote(text)} is not a size -- write a number and a unit, such as '5 MB' or '512 KiB'"


@says(enum=["host", *TARGETS])
def native_target(name: str) -> str | None:
    known = ("host", *TARGETS)
    return None if name in known else f"{quote(name)} is not one of {', '.join(known)}" + suggestion(name, known)
