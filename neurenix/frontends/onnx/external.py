"""Reads tensors that an ONNX model keeps in files beside it: from the model's own folder alone, and no byte too many.

The location comes from a file that nobody here wrote. Every step of the path is opened relative to the one before
without following links, so that nothing can be exchanged between the check and the reading; a file with a second name
(a hard link) may belong to somebody else and is refused too. See CVE-2022-25882, CVE-2024-27318, CVE-2026-27489 and
CVE-2026-34446 for what happens otherwise.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from neurenix.errors import ModelError

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_DIRECTORY = getattr(os, "O_DIRECTORY", 0)
_BINARY = getattr(os, "O_BINARY", 0)


def read_external(tensor: Any, folder: Path | None, size: int) -> bytes:
    """Return the `size` bytes of a tensor's external data. Raises ModelError for a location outside the folder."""
    entries = {e.key: e.value for e in tensor.external_data}
    whose = f"the data of the tensor '{tensor.name}'"
    if folder is None:
        raise ModelError(f"{whose} lies in another file, and the model was not read from a folder")
    location = entries.get("location", "")
    offset, length = _number(entries, "offset", 0, whose), _number(entries, "length", size, whose)
    if length != size:
        raise ModelError(f"{whose} has {length} bytes in '{location}', and its shape needs {size}")
    with _opened(folder, _parts(location, whose), whose) as file:
        held = os.fstat(file).st_size
        if offset + length > held:
            raise ModelError(f"{whose} ends at {offset + length} in '{location}', which has {held} bytes")
        with os.fdopen(os.dup(file), "rb") as stream:
            stream.seek(offset)
            return stream.read(length)


def _parts(location: str, whose: str) -> tuple[str, ...]:
    """Return the path's steps. Raises ModelError for an absolute path, `..`, or what another system takes for one."""
    path = PurePosixPath(location)
    bad = not path.parts or path.is_absolute() or any(p == ".." or p != p.strip() for p in path.parts)
    if bad or any(c in location for c in "\\:\0"):
        raise ModelError(f"{whose} lies at {location[:80]!r}: only plain paths inside the model's folder are read")
    return path.parts


@contextmanager
def _opened(folder: Path, parts: tuple[str, ...], whose: str) -> Iterator[int]:
    """Open a file step by step below the folder, following no link."""
    held: list[int] = []
    try:
        if os.open in os.supports_dir_fd and _NO_FOLLOW:
            held.append(os.open(folder, os.O_RDONLY | _DIRECTORY))
            for part in parts[:-1]:
                held.append(os.open(part, os.O_RDONLY | _DIRECTORY | _NO_FOLLOW, dir_fd=held[-1]))
            held.append(os.open(parts[-1], os.O_RDONLY | _NO_FOLLOW | os.O_NONBLOCK, dir_fd=held[-1]))
        else:
            held.append(os.open(_without_links(folder, parts, whose), os.O_RDONLY | _BINARY))
        found = os.fstat(held[-1])
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            raise ModelError(f"{whose} lies in '{'/'.join(parts)}', which is no plain file of its own")
        yield held[-1]
    except OSError as error:
        raise ModelError(f"{whose} cannot be read from '{'/'.join(parts)}': {error.strerror}") from None
    finally:
        for descriptor in held:
            os.close(descriptor)


def _without_links(folder: Path, parts: tuple[str, ...], whose: str) -> Path:
    """Return the path where no step is a link: for systems that cannot open relative to a folder."""
    path = folder
    for part in parts:
        path = path / part
        if path.is_symlink():
            raise ModelError(f"{whose} lies behind the link '{path.name}', and links are not followed")
    return path


def _number(entries: dict[str, str], key: str, default: int, whose: str) -> int:
    text = entries.get(key)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise ModelError(f"{whose} has the {key} {text[:40]!r}, which is no number of bytes")
    return int(text)
