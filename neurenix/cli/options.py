"""The options that every command has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

# Where the context of a call remembers them.
JSON = "neurenix.json"
VERBOSE = "neurenix.verbose"

_F = TypeVar("_F", bound=Callable[..., Any])


def common(function: _F) -> _F:
    """Give a command the options that every command has: --json, as `as_json`, and -v."""
    for option in (
        click.option("-v", "--verbose", is_flag=True, expose_value=False, callback=_remember(VERBOSE),
                     help="Show the traceback of an error."),
        click.option("--json", "as_json", is_flag=True, callback=_remember(JSON), is_eager=True,
                     help="Print JSON; docs/cli.md has its shape."),
    ):  # fmt: skip
        function = option(function)
    return function


def _remember(key: str) -> Callable[[click.Context, click.Parameter, bool], bool]:
    def callback(ctx: click.Context, parameter: click.Parameter, value: bool) -> bool:
        ctx.meta[key] = value
        return value

    return callback
