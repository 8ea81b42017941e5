"""`neurenix serve`: a folder, or the site of a project, on this machine, with pages that reload on changes."""

from __future__ import annotations

import signal
import sys
import tempfile
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from neurenix.cli.options import common
from neurenix.cli.site_build import build_site, is_project
from neurenix.cli.terminal import print_json, show_line
from neurenix.cli.watching import folder_changes, project_changes
from neurenix.errors import NeurenixError
from neurenix.server import ISOLATION_HEADERS, SITE_HEADERS, Changes, serve


@dataclass(frozen=True)
class ServeReport:
    """What is served, where. `project` is the one whose site it is, null for a plain folder."""

    url: str
    port: int
    directory: Path
    project: Path | None
    reload: bool
    isolated: bool


@click.command("serve")
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path())
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The IPv4 address or name to listen on.")
@click.option("--isolated/--no-isolated", default=True, show_default=True,
              help="Send COOP and COEP, with which a page may use threads.")  # fmt: skip
@click.option("--reload/--no-reload", default=True, show_default=True, help="Load open pages again on changes.")
@click.option("--open", "open_", is_flag=True, help="Open the page in the browser.")
@click.option("--quiet", is_flag=True, help="Print no line for each request.")
@common
def command(
    directory: Path, port: int, host: str, isolated: bool, reload: bool, open_: bool, quiet: bool, as_json: bool
) -> None:
    """Serve a folder, or this project's site, and reload the page on changes.

    A DIRECTORY with a pyproject.toml is a project: its static site is built, served, and built again when a file of
    the project changes. Any other is served as it is. Ctrl-C ends it.
    """
    changes = Changes() if reload else None
    with ExitStack() as stack:
        stack.enter_context(_ended_like_ctrl_c())
        project = directory if is_project(directory) else None
        builds = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="neurenix-"))) if project else None
        site = build_site(project, builds, quiet) if project and builds else directory
        headers = {**SITE_HEADERS, **(ISOLATION_HEADERS if isolated else {})}
        try:
            server = stack.enter_context(serve(site, port, headers, _log(quiet), host, changes))
        except OSError as error:
            reason = error.strerror or error
            raise NeurenixError(f"port {port} of {host} cannot be used: {reason} -- try --port 0") from error
        # Watched before anybody is told of the page: an edit right after that is not missed.
        events = _events(site, project, changes)
        _announce(ServeReport(server.url, server.port, site, project, reload, isolated), host, as_json)
        if open_:
            webbrowser.open(server.url)
        try:
            for _ in events:
                if project and builds and not _is_rebuilt(project, builds, quiet):
                    continue
                if changes is not None:
                    changes.notify()
        except KeyboardInterrupt:
            show_line(stderr=True)


def _announce(report: ServeReport, host: str, as_json: bool) -> None:
    if as_json:
        print_json(report)
    else:
        show_line(f"{report.url} serves {report.project or report.directory}; Ctrl-C ends it.")
    sys.stdout.flush()
    if host not in ("127.0.0.1", "localhost"):
        show_line(f"everyone who reaches {host} can read it", stderr=True)


def _events(site: Path, project: Path | None, changes: Changes | None) -> Iterator[None]:
    """Return what yields whenever pages should load again; without reload it only waits."""
    if changes is None:
        return _nothing()
    stop = threading.Event()
    return project_changes(project, stop) if project else folder_changes(site, stop)


def _nothing() -> Iterator[None]:
    while True:
        time.sleep(3600)
        yield from ()


def _is_rebuilt(project: Path, builds: Path, quiet: bool) -> bool:
    try:
        build_site(project, builds, quiet)
    except NeurenixError as error:
        show_line(f"neurenix: {error.code}: {error}; the last one that could be is served", stderr=True)
        return False
    show_line(f"built {project.resolve().name} again", stderr=True)
    return True


@contextmanager
def _ended_like_ctrl_c() -> Iterator[None]:
    """Let a polite request to end also remove what was built for serving."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may say what a signal does
        return

    def end(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _log(quiet: bool) -> Callable[[str], None]:
    return (lambda line: None) if quiet else (lambda line: show_line(line, stderr=True))
