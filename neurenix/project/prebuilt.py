"""What an sdist carries of finished models, so that a wheel is made from it without training or compiling.

    neurenix-prebuilt/KEY/      an entry as the cache has it: manifest.json and files/

KEY hashes what the project decides: its configuration, files and code. The versions of NumPy, zig and this project
are not in it, which somebody who installs an sdist did not choose; what its author has proved is what is shipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from neurenix.cache import is_whole

PREBUILT = "neurenix-prebuilt"


def find_prebuilt(root: Path, key: str) -> Path | None:
    """Return the files of a whole and unchanged entry that an unpacked sdist in `root` carries, or None."""
    # Only an sdist has this file: a folder of that name in a checkout is no promise of anybody's.
    if not (root / "PKG-INFO").is_file():
        return None
    entry = root / PREBUILT / key
    return entry / "files" if is_whole(entry) else None


def prebuilt_files(entries: Mapping[str, Path]) -> dict[Path, str]:
    """Return every file of the entries, by their keys, and its place in the sdist."""
    return {
        path: f"{PREBUILT}/{key}/{path.relative_to(files.parent).as_posix()}"
        for key, files in entries.items()
        for path in sorted(files.parent.rglob("*"))
        if path.is_file()
    }
