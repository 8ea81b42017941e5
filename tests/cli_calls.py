"""Calls a command in this process, and holds the JSON that it prints to the dataclass that documents it."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from neurenix.cli.command_line import command_line


def call(*arguments: object, status: int = 0, columns: int | None = None, **more: Any) -> Result:
    """Run `neurenix ARGUMENTS`; `columns` is the terminal's width, and None a pipe."""
    variables = {"COLUMNS": None if columns is None else str(columns), "NEURENIX_PROFILE": None}
    runner = CliRunner(env=variables)
    result = runner.invoke(command_line, [str(a) for a in arguments], prog_name="neurenix", **more)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert status == result.exit_code, result.output
    return result


def call_json(report: type[Any], *arguments: object, status: int = 0) -> dict[str, Any]:
    """Run a command with --json and return what it prints, which must be of the documented shape."""
    data = json.loads(call(*arguments, "--json", status=status).stdout)
    assert [] == list(differences(report, data, report.__name__))
    assert isinstance(data, dict)
    return data


def differences(kind: Any, data: Any, where: str) -> typing.Iterator[str]:
    """Yield every place at which JSON is not what a type becomes."""
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        if not isinstance(data, dict) or list(hints) != list(data):
            yield f"{where}: {data!r} has not the keys {list(hints)}"
            return
        for name, below in hints.items():
            yield from differences(below, data[name], f"{where}.{name}")
    elif origin in (typing.Union, types.UnionType):
        if all(list(differences(k, data, where)) for k in inside):
            yield f"{where}: {data!r} is none of {inside}"
    elif origin is tuple:
        for at, entry in enumerate(data if isinstance(data, list) else [None]):
            yield from differences(inside[0], entry, f"{where}[{at}]")
    elif origin in (dict, Mapping):
        for name, entry in data.items():
            yield from differences(inside[1], entry, f"{where}.{name}")
    else:
        wanted = {Path: str, float: (float, int)}.get(kind, kind)
        if not isinstance(data, wanted) or (isinstance(data, bool) and kind is not bool):
            yield f"{where}: {data!r} is no {kind}"
