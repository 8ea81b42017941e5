"""build_site(): from built models and the project's pages to a finished folder, in place of an earlier one."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from neurenix.cache import file_digest
from neurenix.errors import IntegrityError
from neurenix.project.staging import replacing
from neurenix.site.files import CHECKSUMS, copy_pages, files_below, fingerprints, write_json, write_text
from neurenix.site.hosting import Headers, host_files
from neurenix.site.inputs import InputHints, check_hints
from neurenix.site.offline import WORKER, offline_files, worker_source
from neurenix.site.pages import read_manifest, write_generated_pages
from neurenix.site.provenance import Project, licences, provenance

if TYPE_CHECKING:
    from neurenix.project.build_record import BuiltModel

INPUTS = "tool.hatch.build.targets.static-site.inputs"

_MUCH = 50 << 20
"""A first visit that downloads more than this for later is worth a word."""


@dataclass(frozen=True)
class SiteOptions:
    """Who sends the headers, whether the site works without a network, and how pages make their models' inputs."""

    headers: Headers = "netlify"
    offline: bool = True
    inputs: Mapping[str, InputHints] = field(default_factory=dict)


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
    project: Project,
    options: SiteOptions | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Site:
    """Write the site of these models to `destination`, in place of an earlier one.

    `pages` is the folder of the project's own pages: where one of them has the name of a page that would be
    generated, it stays. Raises ConfigError for pages that lead out of `root` or are in the way.
    """
    options = options or SiteOptions()
    check_hints(options.inputs, {model.name: read_manifest(model) for model in models}, INPUTS)
    with replacing(destination) as staged:
        if pages is not None:
            copy_pages(pages, root, staged, [model.name for model in models], say)
        for model in models:
            _copy_bundle(model, staged / "models" / model.name)
        worker = options.offline or options.headers == "service-worker"
        write_generated_pages(models, project, staged, options.inputs, worker=worker)
        for name, text in host_files(options.headers).items():
            _unless_there(staged / name, text)
        # Without it GitHub Pages hides every file that begins with an underscore.
        write_text(staged / ".nojekyll", "")
        _unless_there(staged / "LICENSES.txt", licences(project))
        write_json(staged / "provenance.json", provenance(project, models))
        _write_worker(staged, options, say)
        write_json(staged / "files.json", {"files": fingerprints(files_below(staged))})
        sums = "".join(f"{file_digest(path)}  {name}\n" for name, path in files_below(staged))
        write_text(staged / CHECKSUMS, sums)
        files = tuple(_measure(name, path) for name, path in files_below(staged))
    return Site(destination, files)


def _write_worker(staged: Path, options: SiteOptions, say: Callable[[str], None]) -> None:
    """Write the service worker, always: one that is no longer wanted leaves only when its successor says so."""
    kept = offline_files(files_below(staged)) if options.offline else []
    write_text(staged / WORKER, worker_source(kept, isolate=options.headers == "service-worker"))
    total = sum(file["size"] for file in kept)
    if total > _MUCH:
        say(
            f"  a first visit downloads all {total / 1e6:,.0f} MB of the site for use without a network; "
            "offline = false leaves that out"
        )


def _copy_bundle(model: BuiltModel, target: Path) -> None:
    for name, path in files_below(model.directory):
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
        if file_digest(path) != file_digest(copy):
            raise IntegrityError(f"{copy} is not what was built: the disk or its cache is at fault")


def _unless_there(path: Path, text: str) -> None:
    if not path.exists():
        write_text(path, text)


def _measure(name: str, path: Path) -> SiteFile:
    data = path.read_bytes()
    return SiteFile(name, len(data), len(gzip.compress(data, 9, mtime=0)))
