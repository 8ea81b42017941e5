"""Replaces a folder at once, and only one that we made: nobody sees half of it, nothing else is lost."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from neurenix.cache import cache_directory, cache_key
from neurenix.errors import ConfigError
from neurenix.file_lock import locked

MARKER = ".made-by-hatch-neurenix"


@contextmanager
def replacing(destination: Path) -> Iterator[Path]:
    """Yield an empty folder beside `destination`, which takes its place when the block ends well.

    A folder without our marker in it is somebody else's: ConfigError, and it stays as it is.
    """
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
