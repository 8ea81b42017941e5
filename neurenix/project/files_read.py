"""Notices which files of the project the making of a model reads, and tells those that no key of the cache knows.

A change in such a file would not make the model anew. It hears what Python opens; what a library in C opens by itself
it does not.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from neurenix.errors import TrainingError

# Code that ships: a stale one is no matter of taste.
_KERNELS = (".c", ".h", ".zig", ".wgsl")
_WRITING = os.O_WRONLY | os.O_RDWR
_NAMED = 5  # files in one message


class FilesRead:
    """Hears every file that this process opens from now on."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._read: dict[str, None] = {}
        self._written: set[str] = set()
        sys.addaudithook(self._hear)

    def unknown(self, known: Collection[str]) -> list[str]:
        """Return the project's files that were read, or imported, and are not in `known`, relative to the root."""
        imported = (getattr(module, "__file__", None) for module in tuple(sys.modules.values()))
        paths = dict.fromkeys([*self._read, *(file for file in imported if isinstance(file, str))])
        names = (self._name(path) for path in paths if path not in self._written)
        return sorted({name for name in names if name is not None} - set(known))

    def _name(self, path: str) -> str | None:
        """Return the path of a file below the root, unless it belongs to an environment or a tool there."""
        try:
            found = Path(path).resolve()
            name = found.relative_to(self._root)
        except (OSError, ValueError):
            return None
        foreign = found.is_relative_to(sys.prefix) or "__pycache__" in name.parts or "site-packages" in name.parts
        if foreign or any(part.startswith(".") for part in name.parts) or not found.is_file():
            return None
        return name.as_posix()

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], (str, bytes)):
            path = os.path.abspath(os.fsdecode(arguments[0]))  # noqa: PTH100 - for every file there is: no objects
            if arguments[2] & _WRITING:
                self._written.add(path)
            else:
                self._read[path] = None


def tell_unknown(unknown: Collection[str], name: str) -> None:
    """Print which files nothing watches. Raises TrainingError where one of them is the source of a kernel."""
    if not unknown:
        return
    kernels = [file for file in unknown if file.endswith(_KERNELS)]
    if kernels:
        raise TrainingError(
            f"{_listed(kernels)} was read and is not watched: a change in it would not reach the model "
            f"-- add it to 'watch'"
        )
    print(f"{_listed(unknown)} was read and is not watched: add it to 'watch', or a change in it makes no new {name!r}")


def _listed(files: Collection[str]) -> str:
    shown = list(files)[:_NAMED]
    more = f" (and {len(files) - _NAMED} more)" if len(files) > _NAMED else ""
    return ", ".join(map(repr, shown)) + more
