"""Waits for changes below a folder: by looking again and again, or with watchfiles, if it is there, for projects."""

from __future__ import annotations

import importlib.util
import itertools
import os
import threading
from collections.abc import Iterator
from pathlib import Path

# What a build or a tool writes into a project, and nobody edits.
IGNORED = frozenset(["__pycache__", "_neurenix", "build", "dist", "node_modules", "site-packages", "venv"])
_PAUSE = 0.4

Snapshot = dict[str, tuple[int, int]]


def folder_changes(folder: Path, stop: threading.Event, pause: float = _PAUSE) -> Iterator[None]:
    """Yield after each change of a folder, once its files have come to rest. It may be replaced as a whole.

    The watch has begun when this returns: what changes before the first result is asked for is not missed.
    """
    return _polled(folder, _snapshot(folder, frozenset()), stop, frozenset(), pause)


def project_changes(folder: Path, stop: threading.Event, pause: float = _PAUSE) -> Iterator[None]:
    """Yield after each change of a project's own files: nothing hidden, and nothing that a build has made."""
    if importlib.util.find_spec("watchfiles") is None:
        return _polled(folder, _snapshot(folder, IGNORED), stop, IGNORED, pause)
    import watchfiles

    root = folder.resolve()

    def is_own(change: watchfiles.Change, path: str) -> bool:
        parts = Path(path).relative_to(root).parts
        return not any(part.startswith(".") or part in IGNORED for part in parts)

    found = watchfiles.watch(
        root, watch_filter=is_own, stop_event=stop, raise_interrupt=False, yield_on_timeout=True, rust_timeout=100
    )
    early = next(found, set())  # it begins to watch with the first question, which waits for 0.1 s at most
    return (None for changes in itertools.chain([early], found) if changes)


def _polled(
    folder: Path, known: Snapshot, stop: threading.Event, ignored: frozenset[str], pause: float
) -> Iterator[None]:
    while not stop.wait(pause):
        now = _snapshot(folder, ignored)
        if now == known or not now:  # an empty one is being replaced
            continue
        while not stop.wait(pause) and (later := _snapshot(folder, ignored)) != now:
            now = later
        known = now
        yield


def _snapshot(folder: Path, ignored: frozenset[str]) -> Snapshot:
    """Return the time and size of every file."""
    found: Snapshot = {}
    for where, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in ignored and not (ignored and name.startswith("."))]
        for name in files:
            if ignored and name.startswith("."):
                continue
            try:
                status = (Path(where) / name).stat()
            except OSError:
                continue  # removed while we look, which the next look will see
            found[f"{where}/{name}"] = (status.st_mtime_ns, status.st_size)
    return found
