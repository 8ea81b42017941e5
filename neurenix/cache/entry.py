"""One entry of the build cache as a folder: its manifest, whether it is whole, and that it is on the disk.

ENTRY/manifest.json   size and SHA-256 of every file; its time is the last use
ENTRY/files/…         what the writer made
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class CacheEntry:
    """One entry: what its maker called it, the bytes of its files, and when it was last used, as `time.time()`."""

    key: str
    label: str
    size: int
    used: float


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def is_whole(entry: Path) -> bool:
    """Tell whether a folder with a manifest holds exactly the files that the manifest lists, unchanged."""
    try:
        manifest = json.loads((entry / "manifest.json").read_text(encoding="utf-8"))["files"]
        files = _listing(entry / "files")
        return manifest.keys() == files.keys() and all(
            path.stat().st_size == manifest[name]["size"] and file_digest(path) == manifest[name]["sha256"]
            for name, path in files.items()
        )
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError, AttributeError):
        return False


def seal(entry: Path, label: str) -> None:
    """Write the manifest of what lies in `files`, and have all of it on the disk."""
    manifest = {
        name: {"size": path.stat().st_size, "sha256": file_digest(path)}
        for name, path in _listing(entry / "files").items()
    }
    with (entry / "manifest.json").open("w", encoding="utf-8", newline="\n") as file:
        json.dump({"format": 1, "label": label, "files": manifest}, file, sort_keys=True)
    flush_all(entry)


def describe(entry: Path) -> CacheEntry:
    """Return what there is to say of an entry, damaged or not. Raises FileNotFoundError where it is gone."""
    manifest = entry / "manifest.json"
    used = (manifest if manifest.is_file() else entry).stat().st_mtime
    label = ""
    with suppress(ValueError, KeyError, TypeError, OSError):  # A damaged entry has a size and an age too.
        label = str(json.loads(manifest.read_text(encoding="utf-8"))["label"])
    size = sum(path.stat().st_size for path in entry.rglob("*") if path.is_file())
    return CacheEntry(entry.name, label, size, used)


def _listing(folder: Path) -> dict[str, Path]:
    """Return every file below a folder by its relative path. A link or a special file is a damaged entry."""
    files: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ValueError(path)
        if path.is_file():
            files[path.relative_to(folder).as_posix()] = path
    return files


def flush_all(entry: Path) -> None:
    """Have all of an entry on the disk before it gets its name: a crash must not leave half of it under it."""
    for path in entry.rglob("*"):
        flush(path)
    flush(entry)


def flush(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk."""
    if path.is_dir() and sys.platform == "win32":
        return  # Windows cannot flush a folder.
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
