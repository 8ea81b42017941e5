"""A lock on a file, between processes and between threads. The system releases it when its holder dies."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    def _take(handle: int) -> bool:
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _wait(handle: int) -> None:
        while not _take(handle):
            time.sleep(0.1)

    def _release(handle: int) -> None:
        os.lseek(handle, 0, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)

elif sys.platform == "emscripten":
    # Python in a browser has no other process or thread to keep out, and not always a module for locks.

    def _take(handle: int) -> bool:
        return True

    def _wait(handle: int) -> None:
        raise AssertionError("nobody else holds a lock here")

    def _release(handle: int) -> None:
        return None

else:
    import fcntl

    def _take(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _wait(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX)

    def _release(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_UN)


@contextmanager
def locked(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock on `path` for the length of the block. `waiting` is called once if another has it."""
    with _opened(path) as handle:
        if not _take(handle):
            waiting()
            _wait(handle)
        try:
            yield
        finally:
            _release(handle)


@contextmanager
def locked_if_free(path: Path) -> Iterator[bool]:
    """Hold the lock on `path` for the length of the block, or yield False at once when another has it."""
    with _opened(path) as handle:
        taken = _take(handle)
        try:
            yield taken
        finally:
            if taken:
                _release(handle)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    # The file is never deleted: a process that waits for it must wait for the same file as the next one.
    handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
    try:
        yield handle
    finally:
        os.close(handle)
