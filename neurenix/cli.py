"""The command `neurenix`. It needs click, from the extra `cli`; nothing else in the package does."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from neurenix import __version__
from neurenix.errors import MissingExtraError, NeurenixError
from neurenix.server import serve

if TYPE_CHECKING:
    import click


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit status: 0, 1 for a NeurenixError, 2 for wrong usage."""
    try:
        commands = _commands()
    except NeurenixError as error:
        print(f"neurenix: {error}", file=sys.stderr)
        return 1
    import click

    try:
        status = commands.main(arguments, prog_name="neurenix", standalone_mode=False)
    except NeurenixError as error:
        print(f"neurenix: {error}", file=sys.stderr)
        return 1
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return 1
    return status if isinstance(status, int) else 0


def _commands() -> click.Group:
    try:
        import click
    except ModuleNotFoundError:
        raise MissingExtraError("click", "cli", "the command line") from None

    @click.group(context_settings={"help_option_names": ["-h", "--help"]})
    @click.version_option(__version__, prog_name="neurenix")
    def neurenix() -> None:
        """Train, compile, prove and ship neural networks from pyproject.toml."""

    @neurenix.command("serve")
    @click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
    @click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
    @click.option("--quiet", is_flag=True, help="Print no line for each request.")
    def serve_(directory: Path, port: int, quiet: bool) -> None:
        """Serve a bundle or a static site on this machine until Ctrl-C."""
        log = (lambda line: None) if quiet else (lambda line: click.echo(line, err=True))
        try:
            with serve(directory, port, log=log) as server:
                click.echo(f"{server.url} serves {directory}; Ctrl-C ends it.")
                while True:
                    time.sleep(3600)
        except OSError as error:
            raise click.ClickException(f"port {port} cannot be used: {error.strerror} -- try --port 0") from error
        except KeyboardInterrupt:
            click.echo("")

    return neurenix
