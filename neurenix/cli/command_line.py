"""The group of all commands: it imports the one that is called, and ends it with one line when it fails."""

from __future__ import annotations

import difflib
import importlib
import json
import traceback

import click

from neurenix import __version__
from neurenix.cli.options import JSON, VERBOSE
from neurenix.cli.wording import plain
from neurenix.environment import misspelt
from neurenix.error_pages import explained_at
from neurenix.errors import NeurenixError

COMMANDS = {
    "init": "Write a working configuration into this project's pyproject.toml.",
    "build": "Train, compile and prove the models of this project.",
    "serve": "Serve a folder, or this project's site, and reload the page on changes.",
    "inspect": "Show what a bundle or an .onnx file computes and what that costs.",
    "verify": "Answer a bundle's golden inputs on every backend that is here.",
    "bench": "Time a bundle on every backend that is here.",
    "cache": "Look into the build cache, or make room in it.",
    "schema": "Print the JSON schema of [tool.neurenix].",
}


class CommandLine(click.Group):
    """The commands by name; none is imported before it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"neurenix.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        near = difflib.get_close_matches(args[0], COMMANDS, 1)
        if args[0] not in COMMANDS and near:
            ctx.fail(f"There is no command {args[0]!r}; did you mean '{near[0]}'?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> None:
        for warning in misspelt():
            click.echo(f"neurenix: warning: {plain(warning)}", err=True)
        try:
            super().invoke(ctx)
        except BrokenPipeError:
            raise  # click ends quietly when whoever read the output has gone
        except (NeurenixError, OSError) as error:
            if ctx.meta.get(VERBOSE):
                click.echo(plain(traceback.format_exc()), err=True, nl=False)
            code = error.code if isinstance(error, NeurenixError) else NeurenixError.code
            if ctx.meta.get(JSON):
                click.echo(json.dumps({"error": {"code": code, "message": str(error)}}))
            click.echo(f"neurenix: {code}: {plain(str(error))}", err=True)
            click.echo(f"More about it: {explained_at(error)}", err=True)
            ctx.exit(1)


@click.command(
    cls=CommandLine,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage. NO_COLOR is respected.",
)
@click.version_option(__version__, prog_name="neurenix")
def command_line() -> None:
    """Train, compile, prove and ship neural networks from pyproject.toml."""
