"""An entry of the cache as one file, to be sent to another machine: a zip archive of its manifest and its files.

The archive comes from outside: nothing is written that the manifest does not list by a plain relative name, and
no more of it than the manifest says. Whether the content is right is for the cache to check.
"""

from __future__ import annotations

import json
import shutil
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any

LARGEST_MANIFEST = 16 << 20
_MANIFEST = "manifest.json"


def pack_entry(entry: Path, archive: Path) -> None:
    """Write the manifest and the files of an entry into `archive`."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as packed:
        packed.write(entry / _MANIFEST, _MANIFEST)
        for path in sorted((entry / "files").rglob("*")):
            if path.is_file():
                packed.write(path, path.relative_to(entry).as_posix())


def unpack_entry(archive: Path, entry: Path) -> None:
    """Write the content of an archive into the new folder `entry`. Raises ValueError for what is no archive of ours."""
    try:
        with zipfile.ZipFile(archive) as packed:
            if packed.getinfo(_MANIFEST).file_size > LARGEST_MANIFEST:
                raise ValueError(f"its manifest is larger than {LARGEST_MANIFEST} bytes")
            manifest = packed.read(_MANIFEST)
            files = json.loads(manifest)["files"]
            (entry / "files").mkdir(parents=True)
            (entry / _MANIFEST).write_bytes(manifest)
            for name, file in files.items():
                _unpack(packed, name, file["size"], entry / "files")
    except (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError, KeyError, TypeError, AttributeError,
            RuntimeError, NotImplementedError, FileExistsError, NotADirectoryError) as error:  # fmt: skip
        raise ValueError(f"it is no archive of an entry: {error}") from error


def _unpack(packed: zipfile.ZipFile, name: str, size: Any, files: Path) -> None:
    parts = PurePosixPath(name).parts
    if not parts or name != "/".join(parts) or ".." in parts or any(c in name for c in "\\:\0"):
        raise ValueError(f"{name!r} is no plain relative name")
    found = packed.getinfo(f"files/{name}").file_size
    if found != size:
        raise ValueError(f"{name} has {found} bytes, its manifest says {size}")
    target = files.joinpath(*parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    # zipfile reads no more than the size that was just compared.
    with packed.open(f"files/{name}") as source, target.open("xb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
