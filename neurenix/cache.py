"""The build cache: folders found by the hash of everything they were made from.

    DIR/v1/entries/KEY/manifest.json   size and SHA-256 of every file, checked on every hit
    DIR/v1/entries/KEY/files/…         what the writer made
    DIR/v1/making/KEY.RANDOM/          an entry on its way, renamed into place when it is whole
    DIR/v1/locks/KEY.lock              held while an entry is made or removed

A process may be killed at any moment: what it leaves in `making` is swept by the next one, and an entry is
there whole or not at all. DIR may be moved, and deleted whenever no build runs.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neurenix.errors import CacheError
from neurenix.file_lock import locked, locked_if_free


def cache_directory() -> Path:
    """Return the cache folder: NEURENIX_CACHE_DIR, or the platform's place for a user's caches."""
    chosen = os.environ.get("NEURENIX_CACHE_DIR")
    if chosen:
        return Path(chosen).expanduser().absolute()
    try:
        home = Path.home()
    except RuntimeError:
        raise CacheError("no home folder to keep the build cache in -- set NEURENIX_CACHE_DIR") from None
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "hatch-neurenix" / "cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "hatch-neurenix"
    # The XDG specification has a relative path ignored.
    xdg = Path(os.environ.get("XDG_CACHE_HOME") or "")
    return (xdg if xdg.is_absolute() else home / ".cache") / "hatch-neurenix"


def cache_key(fields: Mapping[str, Any]) -> str:
    """Return the SHA-256, in hex, of JSON-like data. The order of a table's keys does not matter."""
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


class Cache:
    """One cache folder. Safe for any number of processes and threads at once."""

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = (directory or cache_directory()) / "v1"
        self._entries = self.directory / "entries"
        self._making = self.directory / "making"
        self._locks = self.directory / "locks"

    def get(self, key: str) -> Path | None:
        """Return the folder of a whole and unchanged entry, or None. A damaged entry is removed."""
        entry = self._entries / key
        with self._explained():
            if _is_whole(entry):
                return entry / "files"
            if entry.exists():
                self._remove_damaged(key)
        return None

    def put(self, key: str, write: Callable[[Path], None], waiting: Callable[[], None] = lambda: None) -> Path:
        """Return the folder of an entry, made by `write(empty folder)` unless another process was first.

        `waiting` is called when another process is making it. What `write` raises leaves no entry behind.
        """
        with self._explained():
            self._make_folders()
            with locked(self._locks / f"{key}.lock", waiting):
                entry = self._entries / key
                if _is_whole(entry):
                    return entry / "files"
                self._remove(entry)
                making = self._making / f"{key}.{secrets.token_hex(4)}"
                try:
                    (making / "files").mkdir(parents=True)
                    write(making / "files")
                    _seal(making)
                    making.rename(entry)
                    _flush(self._entries)
                finally:
                    shutil.rmtree(making, ignore_errors=True)
                return entry / "files"

    def sweep(self) -> None:
        """Remove what killed processes left half made."""
        if not self._making.is_dir():
            return
        with self._explained():
            self._make_folders()
            for leftover in sorted(self._making.iterdir()):
                key = leftover.name.partition(".")[0]
                # Its maker holds the lock for as long as it lives.
                with locked_if_free(self._locks / f"{key}.lock") as free:
                    if free:
                        shutil.rmtree(leftover, ignore_errors=True)

    def _make_folders(self) -> None:
        for directory in (self._entries, self._making, self._locks):
            directory.mkdir(parents=True, exist_ok=True)

    def _remove_damaged(self, key: str) -> None:
        self._make_folders()
        with locked(self._locks / f"{key}.lock"):
            # Somebody may have made it again while we waited.
            if not _is_whole(self._entries / key):
                self._remove(self._entries / key)

    def _remove(self, entry: Path) -> None:
        if entry.is_symlink() or entry.exists():
            # Renamed first, so that nobody ever sees half an entry.
            doomed = self._making / f"{entry.name}.{secrets.token_hex(4)}"
            entry.rename(doomed)
            if doomed.is_dir() and not doomed.is_symlink():
                shutil.rmtree(doomed)
            else:
                doomed.unlink()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
            ours = str(error.filename or "").startswith(str(self.directory.parent))
            if not (full or ours):
                raise  # From inside a writer, and about something else.
            reason = f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")
            raise CacheError(
                f"the build cache in {self.directory.parent} cannot be used ({reason}) "
                "-- make room or set NEURENIX_CACHE_DIR to a folder that can be written"
            ) from error


def _listing(folder: Path) -> dict[str, Path]:
    """Return every file below a folder by its relative path. A link or a special file is a damaged entry."""
    files: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ValueError(path)
        if path.is_file():
            files[path.relative_to(folder).as_posix()] = path
    return files


def _seal(entry: Path) -> None:
    manifest = {}
    for name, path in _listing(entry / "files").items():
        manifest[name] = {"size": path.stat().st_size, "sha256": file_digest(path)}
        _flush(path)
        _flush(path.parent)
    with (entry / "manifest.json").open("w", encoding="utf-8", newline="\n") as file:
        json.dump({"format": 1, "files": manifest}, file, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    _flush(entry)


def _is_whole(entry: Path) -> bool:
    try:
        manifest = json.loads((entry / "manifest.json").read_text(encoding="utf-8"))["files"]
        files = _listing(entry / "files")
        return manifest.keys() == files.keys() and all(
            path.stat().st_size == manifest[name]["size"] and file_digest(path) == manifest[name]["sha256"]
            for name, path in files.items()
        )
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _flush(path: Path) -> None:
    if path.is_dir() and sys.platform == "win32":
        return  # Windows cannot flush a folder.
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
