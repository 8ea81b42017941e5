"""The files of a site: the project's pages are copied, and only what lies in the project; all are listed by hash."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from neurenix.cache import file_digest
from neurenix.errors import ConfigError

CHECKSUMS = "SHA256SUMS"
ASSETS = "neurenix-site"

# Names that the site needs for files of its own.
_OURS = frozenset([CHECKSUMS, ASSETS, "models", "files.json", "neurenix-worker.js", "provenance.json"])


def copy_pages(pages: Path, root: Path, staged: Path, models: Collection[str], say: Callable[[str], None]) -> None:
    """Copy the project's pages. Raises ConfigError for links that lead out and for names that the site needs.

    A page for one of the `models`, such as `models/digits/index.html`, is welcome: it takes the generated one's place.
    """
    problems: list[str] = []
    own_model_pages = {f"models/{name}/index.html" for name in models}
    for name, path in _page_files(pages, root, problems, say):
        if name.split("/")[0] in _OURS and name not in own_model_pages:
            problems.append(f"{path}: the site needs this name for its own files -- rename it")
            continue
        target = staged / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    if problems:
        raise ConfigError(problems, "the pages")


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def files_below(folder: Path) -> list[tuple[str, Path]]:
    """Return every file of a folder by its relative name, in the order of the names."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted((path.relative_to(folder).as_posix(), path) for path in files)


def fingerprints(files: Iterable[tuple[str, Path]]) -> list[dict[str, Any]]:
    """Return the name, the size and the SHA-256 of each file."""
    return [{"name": name, "size": path.stat().st_size, "sha256": file_digest(path)} for name, path in files]


def write_text(path: Path, text: str) -> None:
    """Write a text with the same bytes on every system."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write JSON for people and tools."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _page_files(
    folder: Path, root: Path, problems: list[str], say: Callable[[str], None], prefix: str = ""
) -> Iterator[tuple[str, Path]]:
    inside = root.resolve()
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.name.startswith("."):
            say(f"  the site leaves out {path.relative_to(root).as_posix()}: it is hidden")
        elif not _is_text(path.name):
            problems.append(f"{str(path)!r}: its name is not UTF-8, and no address can have it -- rename it")
        elif path.is_symlink():
            # A linked folder may contain itself; a linked file may be anything on the builder's machine.
            if path.is_dir():
                problems.append(f"{path}: is a linked folder -- copy it instead")
            elif not path.resolve().is_relative_to(inside):
                problems.append(f"{path}: is a link that leaves the project -- copy the file instead")
            elif not path.is_file():
                problems.append(f"{path}: is a broken link -- remove it")
            else:
                yield prefix + path.name, path
        elif path.is_dir():
            yield from _page_files(path, root, problems, say, f"{prefix}{path.name}/")
        elif path.is_file():
            yield prefix + path.name, path
        else:
            problems.append(f"{path}: is neither a file nor a folder -- remove it")
