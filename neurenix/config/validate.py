"""Turns a TOML table into a frozen dataclass, and collects every problem on the way with its dotted path."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from datetime import date, time
from typing import Any, TypeVar

from neurenix.config.components import Component
from neurenix.config.rules import Rule, join, quote, suggestion

Table = TypeVar("Table")

_UNREADABLE = object()
_NAMES: dict[Any, str] = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array"}


def read_table(kind: type[Table], data: Any, path: str, problems: list[str]) -> Table | None:
    """Read `data` as a `kind`. Appends a line to `problems` for each thing wrong and then returns None."""
    before = len(problems)
    value = _read_table(kind, data, path, problems)
    return value if len(problems) == before else None


def toml_key(name: str) -> str:
    """Return the name by which TOML knows a field: `max_error` is `max-error`."""
    return name.replace("_", "-")


def _read_table(kind: type[Any], data: Any, path: str, problems: list[str]) -> Any:
    if not isinstance(data, Mapping):
        return _wrong_type(data, "table", path, problems)
    fields = {toml_key(f.name): f for f in dataclasses.fields(kind)}
    for key in data:
        if key not in fields:
            problems.append(f"{join(path, key)}: unknown key" + suggestion(key, fields))
    hints = typing.get_type_hints(kind)
    values: dict[str, Any] = {}
    complete = True
    for key, field in fields.items():
        below = join(path, key)
        if key in data:
            value = _read(hints[field.name], data[key], below, problems, field.metadata.get("check_key"))
            if value is not _UNREADABLE and not _keeps(field.metadata.get("check"), value, below, problems):
                value = _UNREADABLE
        elif field.default is not dataclasses.MISSING:
            value = field.default
        elif field.default_factory is not dataclasses.MISSING:
            value = field.default_factory()
        else:
            problems.append(f"{below}: required key is missing")
            value = _UNREADABLE
        if value is _UNREADABLE:
            complete = False
        else:
            values[field.name] = value
    check_table = getattr(kind, "check_table", None)
    for key, problem in check_table(values) if check_table else ():
        complete = False
        where = path
        for part in filter(None, key.split(".") if isinstance(key, str) else key):
            where = join(where, part)
        problems.append(f"{where}: {problem}")
    return kind(**values) if complete else _UNREADABLE


def _read(kind: Any, value: Any, path: str, problems: list[str], check_key: Rule | None = None) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if origin in (types.UnionType, typing.Union):
        # TOML has no null: an optional key is either absent or of its one type.
        (kind,) = (argument for argument in arguments if argument is not type(None))
        return _read(kind, value, path, problems, check_key)
    if origin is typing.Literal:
        if any(value == choice and type(value) is type(choice) for choice in arguments):
            return value
        hint = suggestion(value, (c for c in arguments if isinstance(c, str))) if isinstance(value, str) else ""
        problems.append(f"{path}: {quote(value)} is not one of {', '.join(map(quote, arguments))}{hint}")
        return _UNREADABLE
    if origin is tuple:
        return _read_array(arguments[0], value, path, problems)
    if isinstance(kind, type) and issubclass(kind, Component):
        component = kind.read(value, path, problems)
        return _UNREADABLE if component is None else component
    if dataclasses.is_dataclass(kind):
        return _read_table(typing.cast("type[Any]", kind), value, path, problems)
    if origin is not None and issubclass(origin, Mapping):
        return _read_mapping(arguments[1], value, path, problems, check_key)
    if isinstance(value, bool) and kind is not bool:
        return _wrong_type(value, _NAMES[kind], path, problems)
    if isinstance(value, kind) or (kind is float and isinstance(value, int)):
        return value
    return _wrong_type(value, _NAMES[kind], path, problems)


def _read_array(kind: Any, value: Any, path: str, problems: list[str]) -> Any:
    if not isinstance(value, list):
        one = isinstance(value, (str, Mapping) if issubclass(kind, Component) else kind)
        hint = f" -- write [{quote(value)}]" if one and not isinstance(value, Mapping) else ""
        return _wrong_type(value, "array", path, problems, hint)
    entries = [_read(kind, entry, f"{path}[{index}]", problems) for index, entry in enumerate(value)]
    return _UNREADABLE if any(entry is _UNREADABLE for entry in entries) else tuple(entries)


def _read_mapping(kind: Any, value: Any, path: str, problems: list[str], check_key: Rule | None) -> Any:
    if not isinstance(value, Mapping):
        return _wrong_type(value, "table", path, problems)
    result: dict[str, Any] = {}
    readable = True
    for key, entry in value.items():
        below = join(path, key)
        readable &= _keeps(check_key, key, below, problems)
        result[key] = _read(kind, entry, below, problems)
        readable &= result[key] is not _UNREADABLE
    return result if readable else _UNREADABLE


def _keeps(rule: Rule | None, value: Any, path: str, problems: list[str]) -> bool:
    problem = rule(value) if rule else None
    if problem is None:
        return True
    below, text = ("", problem) if isinstance(problem, str) else problem
    problems.append(f"{path}{below}: {text}")
    return False


def _wrong_type(value: Any, expected: str, path: str, problems: list[str], hint: str = "") -> Any:
    if isinstance(value, Mapping):
        found = "a table"
    elif isinstance(value, list):
        found = "an array"
    elif isinstance(value, (date, time)):
        found = f"the date or time {value}"
    else:
        found = f"{_NAMES[type(value)]} {quote(value)}"
    problems.append(f"{path}: expected {expected}, got {found}{hint}")
    return _UNREADABLE
