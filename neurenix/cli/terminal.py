"""How commands speak: tables and bars for people, at any width and without a terminal, and JSON for programs.

A command makes a frozen dataclass of all that it found, and prints either that as JSON or tables of it.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from neurenix.cli.wording import plain

# A pipe has no edge: what programs read is not folded.
_NO_EDGE = 1000
_WIDEST = 100
_GAP = 2
# Names are folded to no less than this.
_LEAST_NAME = 16


def console(stderr: bool = False) -> Console:
    """Return where to print. Nothing is read as markup: names come from files."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or os.environ.get("COLUMNS") else _NO_EDGE
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def print_json(report: Any) -> None:
    """Print a dataclass as JSON. A number that is not finite becomes null."""
    click.echo(json.dumps(as_data(report), indent=2, allow_nan=False))


def as_data(value: Any) -> Any:
    """Return dataclasses, mappings, sequences and paths as what JSON has."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: as_data(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): as_data(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_data(entry) for entry in value]
    if isinstance(value, Path):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def show_line(text: str = "", style: str = "", stderr: bool = False) -> None:
    """Print a line of text that may hold names from files."""
    console(stderr).print(Text(plain(text), style=style), soft_wrap=True)


def show_title(text: str) -> None:
    """Print a heading, with a line above it."""
    show_line()
    show_line(text, style="bold")


def show_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], right: Sequence[str] = ()) -> None:
    """Print a table; where the terminal is too narrow for it, print each row as a block of lines.

    Columns named in `right` hold numbers, which are never folded; long names are.
    """
    cells = [[cell if isinstance(cell, Text) else Text(plain(str(cell))) for cell in row] for row in rows]
    screen = console()
    needed = [_needed(name, [row[at] for row in cells], name in right) for at, name in enumerate(columns)]
    if sum(needed) + _GAP * (len(columns) - 1) > screen.width:
        for row in cells:
            _show_block(columns, row, screen, numbered=columns[0] in right)
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for name, width in zip(columns, needed):
        number = name in right
        table.add_column(name, justify="right" if number else "left", overflow="fold", no_wrap=number, min_width=width)
    for row in cells:
        table.add_row(*row)
    screen.print(table)


def _needed(name: str, cells: Sequence[Text], number: bool) -> int:
    """Return the least width at which a column can be read."""
    longest = max((cell.cell_len for cell in cells), default=0)
    return max(len(name), longest if number else min(longest, _LEAST_NAME))


def _show_block(columns: Sequence[str], row: Sequence[Text], screen: Console, numbered: bool) -> None:
    screen.print(Text(f"{columns[0]} " if numbered else "").append_text(row[0]), overflow="fold")
    width = max(map(len, columns))
    for name, cell in zip(columns[1:], row[1:]):
        screen.print(Text(f"  {name:<{width}}  ").append_text(cell), overflow="fold")


def chart_width(taken: int) -> int:
    """Return how many characters a chart may have beside `taken` others."""
    return max(8, min(console().width, _WIDEST) - taken)


def bar(value: float, most: float, width: int) -> str:
    """Return a bar whose length stands for a value; the largest value fills the width."""
    share = value / most if most > 0 and math.isfinite(value) else 0.0
    return filled() * max(int(share > 0), round(share * width))


def filled() -> str:
    """Return a full block, or what stands for it where the encoding has none."""
    return "#" if console().options.ascii_only else "█"
