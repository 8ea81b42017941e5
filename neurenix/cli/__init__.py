"""The command `neurenix`. It needs click and rich, from the extra `cli`; nothing else in the package does."""

from __future__ import annotations

import importlib.util
import sys
from io import TextIOWrapper

from neurenix.errors import MissingExtraError


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit status: 0, 1 when it failed, 2 for wrong usage."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # names may hold what the terminal's encoding does not
            stream.reconfigure(errors="backslashreplace")
    for package in ("click", "rich"):
        if importlib.util.find_spec(package) is None:
            error = MissingExtraError(package, "cli", "the command line")
            print(f"neurenix: {error.code}: {error}", file=sys.stderr)
            return 1
    # Here and not above: without click this module must still be there to say so.
    from neurenix.cli.command_line import command_line

    try:
        command_line.main(arguments, prog_name="neurenix")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
