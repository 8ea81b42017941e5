"""`neurenix cache`: what the build cache holds, and how to make room in it."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

import click

from neurenix.cache import Cache, CacheEntry, cache_directory
from neurenix.cli.options import common
from neurenix.cli.terminal import print_json, show_line, show_table
from neurenix.cli.wording import seconds_text, size_text
from neurenix.config.rules import a_byte_count, parse_bytes

_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True)
class Entry:
    """One entry: `age` is in seconds since its last use."""

    key: str
    label: str
    bytes: int
    age: float


@dataclass(frozen=True)
class CacheReport:
    """What is there, or what was removed, with its bytes."""

    directory: Path
    entries: tuple[Entry, ...]
    bytes: int


@dataclass(frozen=True)
class CachePath:
    """Where the cache is."""

    directory: Path


def _age(ctx: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    """Return a duration such as 30d in seconds."""
    found = _AGE.fullmatch(text.strip()) if text is not None else None
    if text is not None and found is None:
        raise click.BadParameter(f"{text!r} is no duration: write 12h, 30d or 4w", ctx, parameter)
    return None if found is None else float(found[1]) * _SECONDS[found[2]]


def _bytes(ctx: click.Context, parameter: click.Parameter, text: str | None) -> int | None:
    """Return a size such as 2GB in bytes."""
    problem = a_byte_count(text) if text is not None else None
    if problem is not None:
        raise click.BadParameter(str(problem), ctx, parameter)
    return None if text is None else parse_bytes(text)


@click.group("cache")
def command() -> None:
    """Look into the build cache, or make room in it.

    NEURENIX_CACHE_DIR moves the cache. Deleting any of it is safe: what a build needs, it makes again.
    """


@command.command("list")
@common
def list_(as_json: bool) -> None:
    """List the entries, the one used last first."""
    report = _report(Cache().entries())
    if as_json:
        print_json(report)
        return
    if report.entries:
        rows = [(e.key[:12], e.label or "-", size_text(e.bytes), _age_text(e.age)) for e in report.entries]
        show_table(("key", "what", "size", "used"), rows, right=("key", "size", "used"))
    show_line(f"{_count(report)}, {size_text(report.bytes)} in {report.directory}")


@command.command("prune")
@click.option(
    "--max-size",
    metavar="SIZE",
    callback=_bytes,
    help="Remove the oldest until no more than this is left, such as 2GB.",
)
@click.option("--older-than", metavar="AGE", callback=_age, help="Remove what was not used for so long, such as 30d.")
@common
def prune(max_size: int | None, older_than: float | None, as_json: bool) -> None:
    """Remove entries that are old, or too many. What was used in the last minute stays."""
    if max_size is None and older_than is None:
        raise click.UsageError("say what to remove: --max-size 2GB, --older-than 30d, or both")
    _show_removed(_report(Cache().prune(max_size, older_than)), as_json)


@command.command("clear")
@common
def clear(as_json: bool) -> None:
    """Remove every entry that no build is making just now."""
    always = float("-inf")
    _show_removed(_report(Cache().prune(older_than=always, spare=always)), as_json)


@command.command("path")
@common
def path(as_json: bool) -> None:
    """Print where the cache is."""
    if as_json:
        print_json(CachePath(cache_directory()))
    else:
        click.echo(str(cache_directory()))


def _report(entries: tuple[CacheEntry, ...]) -> CacheReport:
    now = time.time()
    found = tuple(Entry(e.key, e.label, e.size, max(0.0, now - e.used)) for e in entries)
    return CacheReport(cache_directory(), found, sum(e.bytes for e in found))


def _show_removed(report: CacheReport, as_json: bool) -> None:
    if as_json:
        print_json(report)
    else:
        show_line(f"removed {_count(report)}, {size_text(report.bytes)}, from {report.directory}")


def _count(report: CacheReport) -> str:
    return f"{len(report.entries)} {'entry' if len(report.entries) == 1 else 'entries'}"


def _age_text(seconds: float) -> str:
    for unit, factor in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= factor:
            return f"{seconds / factor:.0f} {unit} ago"
    return f"{seconds_text(round(seconds))} ago" if seconds >= 1 else "now"
