"""Writes docs/cli.md: every command with its options, and the JSON that it prints, as the code defines them."""

from __future__ import annotations

import dataclasses
import inspect
import sys
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from neurenix.cli.bench import BenchReport
from neurenix.cli.build import BuildReport
from neurenix.cli.cache import CachePath, CacheReport
from neurenix.cli.command_line import COMMANDS, command_line
from neurenix.cli.init import InitReport
from neurenix.cli.inspect import BundleReport
from neurenix.cli.onnx_report import OnnxReport
from neurenix.cli.serve import ServeReport
from neurenix.cli.verify import VerifyReport

# What each command prints with --json.
REPORTS: Mapping[str, tuple[type[Any], ...]] = {
    "init": (InitReport,),
    "build": (BuildReport,),
    "serve": (ServeReport,),
    "inspect": (BundleReport, OnnxReport),
    "verify": (VerifyReport,),
    "bench": (BenchReport,),
    "cache list": (CacheReport,),
    "cache prune": (CacheReport,),
    "cache clear": (CacheReport,),
    "cache path": (CachePath,),
}

# Said once, above all commands.
_COMMON = frozenset(["--json", "--verbose", "--help"])

INTRODUCTION = """\
# The command line

<!-- Written by `python -m neurenix.cli.reference` from the commands themselves. -->

`pip install 'hatch-neurenix[cli]'` brings the command `neurenix`; `python -m neurenix` is the same. `neurenix COMMAND
--help` says what is said here.

**Exit codes.** 0: done. 1: it failed, and one line on stderr says why: `neurenix: CODE: message`, where the code is
stable, such as `bad_config`. 2: it was called wrongly. With `-v` an error shows its traceback too.

**Output.** What a command found goes to stdout, what it says meanwhile to stderr. Without a terminal the output is
plain text that is not folded; on a narrow one, rows become blocks of lines. `NO_COLOR` is respected, `COLUMNS` sets the
width. Control characters in names are written out.

**JSON.** Every command has `--json`, and prints one object of the shape given below; new keys may be added, none is
removed or changes its meaning. A number that is not finite is `null`. A command that fails before it has found
anything prints `{"error": {"code": "…", "message": "…"}}` and the line on stderr; wrong usage prints no JSON.
"""


def reference_page() -> str:
    """Return the page."""
    root = click.Context(command_line, info_name="neurenix")
    shown: dict[type[Any], str] = {}
    parts = [_section(name, command, ctx, shown) for name, command, ctx in _commands(command_line, root)]
    return "\n".join([INTRODUCTION, *parts])


def _commands(group: click.Group, ctx: click.Context) -> Iterator[tuple[str, click.Command, click.Context]]:
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None, name
        below = click.Context(command, info_name=name, parent=ctx)
        yield below.command_path.partition(" ")[2], command, below
        if isinstance(command, click.Group):
            yield from _commands(command, below)


def _section(name: str, command: click.Command, ctx: click.Context, shown: dict[type[Any], str]) -> str:
    """Return what there is to say about a command. `shown` says where each dataclass has been written out."""
    lines = [f"{'###' if ' ' in name else '##'} neurenix {name}", ""]
    lines += [inspect.cleandoc(command.help or COMMANDS[name]), ""]
    lines += ["```console", f"$ {ctx.command_path} {' '.join(command.collect_usage_pieces(ctx))}", "```", ""]
    options = [p for p in command.params if isinstance(p, click.Option) and not _COMMON & {*p.opts}]
    if options:
        lines += ["| option | |", "|---|---|", *map(_option, options), ""]
    for report in REPORTS.get(name, ()):
        if report in shown:
            lines += [f"JSON: as that of `neurenix {shown[report]}`.", ""]
        else:
            about = " ".join(inspect.cleandoc(report.__doc__ or "").split())
            lines += [f"JSON: {about[0].lower()}{about[1:]}", "", "```jsonc", *_shape(report, name, shown), "```", ""]
    return "\n".join(lines)


def _option(option: click.Option) -> str:
    names = " / ".join(", ".join(group) for group in (option.opts, option.secondary_opts) if group)
    choices = option.type.choices if isinstance(option.type, click.Choice) else ()
    value = "" if option.is_flag else " " + (option.metavar or "\\|".join(choices) or option.type.name.upper())
    default = option.default if option.show_default and not option.is_flag else None
    fixed = f" [default: {option.show_default if isinstance(option.show_default, str) else default}]"
    return f"| `{names}{value}` | {' '.join((option.help or '').split())}{fixed if default is not None else ''} |"


def _shape(kind: Any, command: str, shown: dict[type[Any], str], indent: str = "", name: str = "") -> list[str]:
    """Return the lines that show what JSON a type becomes, each dataclass written out once."""
    key = f'"{name}": ' if name else ""
    below, opening, closing = _unwrapped(kind)
    if not dataclasses.is_dataclass(below):
        return [f"{indent}{key}{opening}{_word(below)}{closing}"]
    assert isinstance(below, type)
    if below in shown:
        return [f"{indent}{key}{opening}{{as above}}{closing}"]
    shown[below] = command
    lines = [f"{indent}{key}{opening}{{"]
    if name:
        about = " ".join(inspect.cleandoc(below.__doc__ or "").split())
        lines = [*textwrap.wrap(about, 110, initial_indent=f"{indent}// ", subsequent_indent=f"{indent}// "), *lines]
    hints = typing.get_type_hints(below)
    fields = dataclasses.fields(below)
    for at, field in enumerate(fields):
        inside = _shape(hints[field.name], command, shown, f"{indent}  ", field.name)
        lines += [*inside[:-1], inside[-1] + ("," if at < len(fields) - 1 else "")]
    return [*lines, f"{indent}}}{closing}"]


def _unwrapped(kind: Any) -> tuple[Any, str, str]:
    """Return the type inside a list, a table or an optional one, and what is to be written around it."""
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType) and type(None) in inside:
        below, opening, closing = _unwrapped(next(k for k in inside if k is not type(None)))
        return below, opening, f"{closing} or null"
    if origin is tuple:
        return inside[0], "[", ", …]"
    if origin in (dict, Mapping):
        return inside[1], "{NAME: ", ", …}"
    return kind, "", ""


def _word(kind: Any) -> str:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return " or ".join(map(_word, typing.get_args(kind)))
    return {str: "text", int: "integer", float: "number", bool: "true or false", Path: "path"}[kind]


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "docs")
    target.mkdir(parents=True, exist_ok=True)
    (target / "cli.md").write_text(reference_page(), encoding="utf-8")
