"""The build cache: folders found by the hash of everything they were made from.

    DIR/v1/entries/KEY/manifest.json   size and SHA-256 of every file, checked on every hit; its time is the last use
    DIR/v1/entries/KEY/files/…         what the writer made
    DIR/v1/making/KEY.RANDOM/          an entry on its way, renamed into place when it is whole
    DIR/v1/locks/KEY.lock              held while an entry is made or removed

A process may be killed at any moment: what it leaves in `making` is swept by the next one, and an entry is
there whole or not at all. DIR may be moved, and deleted whenever no build runs. Behind it there may be a remote
cache: what is not here is taken from there, once its content is what its manifest says.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from neurenix.cache.archive import pack_entry, unpack_entry
from neurenix.cache.entry import CacheEntry, describe, flush, flush_all, is_whole, seal
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


class Remote(Protocol):
    """A cache that several machines share. It never raises: what it cannot do, it says in its own way."""

    @property
    def writes(self) -> bool: ...

    def fetch(self, key: str, archive: Path) -> bool: ...

    def store(self, key: str, archive: Path) -> None: ...

    def refuse(self, key: str, reason: str) -> None: ...


class Cache:
    """One cache folder. Safe for any number of processes and threads at once."""

    def __init__(self, directory: Path | None = None, remote: Remote | None = None) -> None:
        self.directory = (directory or cache_directory()) / "v1"
        self._remote = remote
        self._entries = self.directory / "entries"
        self._making = self.directory / "making"
        self._locks = self.directory / "locks"

    def get(self, key: str) -> Path | None:
        """Return the folder of a whole and unchanged entry, or None. A damaged entry is removed."""
        entry = self._entries / key
        with self._explained():
            if is_whole(entry):
                # Of a cache that cannot be written nothing is pruned either.
                with suppress(OSError):
                    os.utime(entry / "manifest.json")
                return entry / "files"
            if entry.exists():
                self._remove_damaged(key)
            return None if self._remote is None else self._fetch(key, self._remote)

    def put(
        self, key: str, write: Callable[[Path], None], waiting: Callable[[], None] = lambda: None, label: str = ""
    ) -> Path:
        """Return the folder of an entry, made by `write(empty folder)` unless another process was first.

        `waiting` is called when another process is making it; `label` says to people what it is. What `write`
        raises leaves no entry behind.
        """
        with self._explained():
            self._make_folders()
            with locked(self._locks / f"{key}.lock", waiting):
                entry = self._entries / key
                if is_whole(entry):
                    return entry / "files"
                with self._made(entry) as making:
                    (making / "files").mkdir(parents=True)
                    write(making / "files")
                    seal(making, label)
                if self._remote is not None and self._remote.writes:
                    archive = making.with_suffix(".zip")
                    try:
                        pack_entry(entry, archive)
                        self._remote.store(key, archive)
                    finally:
                        archive.unlink(missing_ok=True)
                return entry / "files"

    def export(self, key: str, archive: Path) -> None:
        """Write an entry that is there as one file, for another cache to `adopt`."""
        with self._explained():
            pack_entry(self._entries / key, archive)

    def adopt(self, key: str, archive: Path) -> Path:
        """Return the folder of an entry that another cache has exported. Raises ValueError unless it is whole."""
        with self._explained():
            self._make_folders()
            with locked(self._locks / f"{key}.lock"):
                entry = self._entries / key
                if not is_whole(entry):
                    with self._made(entry) as making:
                        unpack_entry(archive, making)
                        if not is_whole(making):
                            raise ValueError("its files are not what its manifest says")
                        flush_all(making)
                return entry / "files"

    def entries(self) -> tuple[CacheEntry, ...]:
        """Return all entries, the one used last first."""
        found = []
        for folder in sorted(self._entries.iterdir()) if self._entries.is_dir() else ():
            with suppress(FileNotFoundError):  # Somebody else is pruning.
                found.append(describe(folder))
        return tuple(sorted(found, key=lambda entry: -entry.used))

    def prune(
        self, max_bytes: int | None = None, older_than: float | None = None, spare: float = 60.0
    ) -> tuple[CacheEntry, ...]:
        """Remove what was not used for `older_than` seconds, and then the oldest until `max_bytes` are left.

        Returns what was removed. What was used in the last `spare` seconds stays, as does what is being made:
        a build may be reading it.
        """
        self.sweep()
        removed = []
        now = time.time()
        entries = self.entries()
        left = sum(entry.size for entry in entries)
        for entry in reversed(entries):
            age = now - entry.used
            old = older_than is not None and age > older_than
            too_many = max_bytes is not None and left > max_bytes
            if (old or too_many) and age >= spare and self._removed(entry.key):
                removed.append(entry)
                left -= entry.size
        return tuple(removed)

    def _removed(self, key: str) -> bool:
        with self._explained():
            self._make_folders()
            with locked_if_free(self._locks / f"{key}.lock") as free:
                if free:
                    self._remove(self._entries / key)
                return free

    def _fetch(self, key: str, remote: Remote) -> Path | None:
        self._make_folders()
        archive = self._making / f"{key}.{secrets.token_hex(4)}.zip"
        try:
            return self.adopt(key, archive) if remote.fetch(key, archive) else None
        except ValueError as error:
            remote.refuse(key, str(error))
            return None
        finally:
            archive.unlink(missing_ok=True)

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
                    if not free:
                        continue
                    if leftover.is_dir():
                        shutil.rmtree(leftover, ignore_errors=True)
                    else:
                        leftover.unlink(missing_ok=True)

    @contextmanager
    def _made(self, entry: Path) -> Iterator[Path]:
        """A folder to make an entry in, which takes the entry's place once it is whole and on the disk."""
        self._remove(entry)
        making = self._making / f"{entry.name}.{secrets.token_hex(4)}"
        try:
            yield making
            making.rename(entry)
            flush(self._entries)
        finally:
            shutil.rmtree(making, ignore_errors=True)

    def _make_folders(self) -> None:
        for directory in (self._entries, self._making, self._locks):
            directory.mkdir(parents=True, exist_ok=True)

    def _remove_damaged(self, key: str) -> None:
        self._make_folders()
        with locked(self._locks / f"{key}.lock"):
            # Somebody may have made it again while we waited.
            if not is_whole(self._entries / key):
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
            place = error.filename2 or error.filename
            ours = str(place or "").startswith(str(self.directory.parent))
            if not (full or ours):
                raise  # From inside a writer, and about something else.
            if place and not ours:
                # What is made for an entry may be made elsewhere first, such as in the folder for temporary files.
                raise CacheError(
                    f"{place} cannot be written ({error.strerror}) -- make room there, or set TMPDIR to a folder "
                    "that has some"
                ) from error
            reason = f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")
            raise CacheError(
                f"the build cache in {self.directory.parent} cannot be used ({reason}) "
                "-- make room or set NEURENIX_CACHE_DIR to a folder that can be written"
            ) from error
