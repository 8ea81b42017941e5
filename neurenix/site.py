"""Builds a static site: the project's pages, the bundles under `models/`, the headers and a list of hashes.

The same inputs give the same bytes in every file, in any directory.
"""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from neurenix.cache import file_digest
from neurenix.errors import ConfigError, IntegrityError
from neurenix.pipeline import BuiltModel
from neurenix.resources import resource
from neurenix.server import SITE_HEADERS
from neurenix.staging import replacing

CHECKSUMS = "SHA256SUMS"


@dataclass(frozen=True)
class SiteFile:
    """One file of a site and its size in bytes, as it is and compressed."""

    name: str
    raw: int
    gzip: int


@dataclass(frozen=True)
class Site:
    """A finished site."""

    directory: Path
    files: tuple[SiteFile, ...]


def build_site(
    models: Sequence[BuiltModel],
    pages: Path | None,
    root: Path,
    destination: Path,
    title: str,
    say: Callable[[str], None] = lambda line: None,
) -> Site:
    """Write the site of these models to `destination`, in place of an earlier one.

    `pages` is the folder of the project's own pages. Without an `index.html` of its own the site gets a
    plain one. Raises ConfigError for pages that lead out of `root` or are in the way.
    """
    with replacing(destination) as staged:
        if pages is not None:
            _copy_pages(pages, root, staged, say)
        for model in models:
            _copy_bundle(model, staged / "models" / model.name)
        if not (staged / "index.html").exists():
            _write_index(models, title, staged)
        if not (staged / "_headers").exists():
            _write(staged / "_headers", _headers())
        # Without it GitHub Pages hides every file that begins with an underscore.
        _write(staged / ".nojekyll", "")
        sums = "".join(f"{file_digest(path)}  {name}\n" for name, path in _files(staged))
        _write(staged / CHECKSUMS, sums)
        files = tuple(_measure(name, path) for name, path in _files(staged))
    return Site(destination, files)


def _copy_pages(pages: Path, root: Path, staged: Path, say: Callable[[str], None]) -> None:
    problems: list[str] = []
    for name, path in _page_files(pages, root, problems, say):
        if name.split("/")[0] in (CHECKSUMS, "models"):
            problems.append(f"{path}: the site needs this name for its own files -- rename it")
            continue
        target = staged / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    if problems:
        raise ConfigError(problems, "the pages")


def _page_files(
    folder: Path, root: Path, problems: list[str], say: Callable[[str], None], prefix: str = ""
) -> Iterator[tuple[str, Path]]:
    inside = root.resolve()
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.name.startswith("."):
            say(f"  the site leaves out {path.relative_to(root).as_posix()}: it is hidden")
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


def _copy_bundle(model: BuiltModel, target: Path) -> None:
    shutil.copytree(model.directory, target, copy_function=shutil.copyfile)
    for name, path in _files(model.directory):
        if file_digest(path) != file_digest(target / name):
            raise IntegrityError(f"{target / name} is not what was built: the disk or its cache is at fault")


def _write_index(models: Sequence[BuiltModel], title: str, staged: Path) -> None:
    # autoescape=True and not the choice by file name, which leaves `.html.jinja` out.
    environment = Environment(
        loader=FileSystemLoader(resource("templates", "site")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    page = environment.get_template("index.html.jinja")
    _write(staged / "index.html", page.render(title=title, models=[_signature(model) for model in models]))
    shutil.copyfile(resource("templates", "site", "neurenix-site.css"), staged / "neurenix-site.css")


def _signature(model: BuiltModel) -> dict[str, Any]:
    manifest = json.loads((model.directory / f"{model.name}.json").read_text(encoding="utf-8"))
    return {
        "name": model.name,
        "inputs": [_tensor(tensor) for tensor in manifest["inputs"]],
        "outputs": [_tensor(tensor) for tensor in manifest["outputs"]],
    }


def _tensor(tensor: dict[str, Any]) -> dict[str, str]:
    sizes = ", ".join(size if isinstance(size, str) else json.dumps(size) for size in tensor["shape"])
    return {"name": tensor["name"], "dtype": tensor["dtype"], "shape": f"[{sizes}]"}


def _headers() -> str:
    lines = [*SITE_HEADERS.items(), ("X-Content-Type-Options", "nosniff")]
    return "/*\n" + "".join(f"  {name}: {value}\n" for name, value in lines)


def _files(folder: Path) -> list[tuple[str, Path]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted((path.relative_to(folder).as_posix(), path) for path in files)


def _measure(name: str, path: Path) -> SiteFile:
    data = path.read_bytes()
    return SiteFile(name, len(data), len(gzip.compress(data, 9, mtime=0)))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
