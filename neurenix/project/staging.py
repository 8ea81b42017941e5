"""Replaces a folder at once, and only one that we made: nobody sees half of it, nothing else is lost."""

from __future__ import annotations

import errno
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from neurenix.cache import cache_directory, cache_key
from neurenix.errors import CacheError, ConfigError, OutputError
from neurenix.file_lock import locked

MARKER = ".made-by-hatch-neurenix"


@contextmanager
def replacing(destination: Path) -> Iterator[Path]:
    """Yield an empty folder beside `destination`, which takes its place when the block ends well.

    A folder without our marker in it is somebody else's: ConfigError, and it stays as it is. So does an earlier one
    of ours when its successor cannot be written: OutputError.
    """
    with _explained(destination), _replacing(destination) as staged:
        yield staged


@contextmanager
def _replacing(destination: Path) -> Iterator[Path]:
    locks = cache_directory() / "v1" / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    with locked(locks / f"{cache_key({'folder': str(destination.absolute())})}.lock"):
        refuse_foreign(destination)
        destination.parent.mkdir(parents=True, exist_ok=True)
        for leftover in destination.parent.glob(f".{destination.name}.new-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        staged = _beside(destination)
        staged.mkdir()
        try:
            (staged / MARKER).write_bytes(b"Made by hatch-neurenix, which may replace this folder and all in it.\n")
            yield staged
            _swap(staged, destination)
        finally:
            shutil.rmtree(staged, ignore_errors=True)


@contextmanager
def _explained(destination: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        place = Path(str(error.filename2 or error.filename or destination))
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        if place.is_relative_to(cache_directory()):
            raise CacheError(
                f"the build cache in {cache_directory()} cannot be used ({error.strerror}: {place}) "
                "-- set NEURENIX_CACHE_DIR to a folder that can be written"
            ) from error
        if not (full or place.is_relative_to(destination.parent)):
            raise
        raise OutputError(
            f"{destination} cannot be written ({error.strerror}: {place}): make room, or choose another folder; "
            "what was there is as it was"
        ) from error


def is_ours(folder: Path) -> bool:
    """Tell whether we made a folder. A link is never ours."""
    return not folder.is_symlink() and (folder / MARKER).is_file()


def refuse_foreign(destination: Path) -> None:
    """Raise ConfigError if `destination` is there and was not made by us."""
    if (destination.is_symlink() or destination.exists()) and not is_ours(destination):
        raise ConfigError([f"{destination}: not made by hatch-neurenix; refusing to replace it -- move it away"])


def remove_ours(folder: Path) -> bool:
    """Remove a folder that we made, and tell whether there was one. Anybody else's stays."""
    if not is_ours(folder):
        return False
    doomed = _beside(folder)
    folder.rename(doomed)
    shutil.rmtree(doomed)
    return True


def _beside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.new-{secrets.token_hex(4)}")


def _swap(staged: Path, destination: Path) -> None:
    if not destination.exists():
        staged.rename(destination)
        return
    old = _beside(destination)
    destination.rename(old)
    try:
        staged.rename(destination)
    except OSError:
        old.rename(destination)
        raise
    shutil.rmtree(old, ignore_errors=True)
