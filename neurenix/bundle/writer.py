"""Writes a bundle: the manifest with sizes and hashes, the files that it names, the loader beside them."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurenix.bundle import golden as gd
from neurenix.bundle.description import describe
from neurenix.bundle.golden import Golden
from neurenix.bundle.templates import render
from neurenix.errors import OutputError
from neurenix.graph.packing import aligned
from neurenix.graph.plan import Plan
from neurenix.resources import resource

FORMAT = 1
BASE = 131072  # where the parameters start in WebAssembly's memory; code's own stack and data lie below
PAGE = 65536


@dataclass(frozen=True)
class Compiled:
    """One compiled form: a WebAssembly variant, or a native library with its target."""

    name: str
    file: str
    content: bytes
    target: str | None = None


@dataclass(frozen=True)
class FileReport:
    """A file's name and its size in bytes, as it is and compressed by gzip."""

    name: str
    raw: int
    gzip: int


def memory_pages(plan: Plan) -> int:
    """Return how many pages of 64 KiB a plan's WebAssembly memory has."""
    return -(-(BASE + aligned(plan.weights_size) + plan.arena_size) // PAGE)


def plan_number(plan: Plan) -> int:
    """Return the number that names a plan: the first four bytes of the SHA-256 of its description."""
    text = json.dumps(describe(plan), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def bundle_files(
    plan: Plan,
    weights: bytes,
    source: str,
    compiled: Sequence[Compiled],
    golden: Sequence[Golden],
    generator: str,
) -> dict[str, bytes]:
    """Return every file of the bundle by its relative name."""
    name = plan.name
    data: dict[str, bytes] = {f"{name}.bin": weights, f"{name}.c": source.encode()}
    data |= {form.file: form.content for form in compiled}
    manifest = {
        "format": FORMAT,
        "generator": generator,
        "abi": plan_number(plan),
        **describe(plan),
        "memory": {
            "base": BASE,
            "weights": plan.weights_size,
            "arena": plan.arena_size,
            "pages": memory_pages(plan),
        },
        "weights": [f"{name}.bin"],
        "variants": [{"name": c.name, "file": c.file} for c in compiled if c.target is None],
        "native": [{"target": c.target, "level": c.name, "file": c.file} for c in compiled if c.target is not None],
        "files": {file: _fingerprint(content) for file, content in sorted(data.items())},
        "golden": [gd.to_json(case) for case in golden],
    }
    text = json.dumps(manifest, allow_nan=False, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    data[f"{name}.json"] = text
    variables: Mapping[str, Any] = {
        "name": name,
        "manifest": {"file": f"{name}.json", **_fingerprint(text)},
        "generator": generator,
        "inputs": manifest["inputs"],
        "outputs": manifest["outputs"],
        "format": FORMAT,
    }
    data[f"{name}.js"] = render("entry.js.jinja", variables)
    data[f"{name}.d.ts"] = render("entry.d.ts.jinja", variables)
    return data | runtime_files()


def runtime_files() -> dict[str, bytes]:
    """Return the loader's files: the same for every model."""
    folder = resource("templates", "runtime")
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def write_bundle(files: Mapping[str, bytes], directory: Path) -> None:
    """Put the files into a folder that may hold other models: each is written aside and then renamed into place.

    The entry module comes last: until it is there a reader finds the old model, and finds it whole or is
    told by a hash that it is not. Raises OutputError when the folder cannot be written.
    """
    try:
        _replace_files(files, directory)
    except OSError as error:
        raise OutputError(
            f"the bundle cannot be written to {directory} ({error.strerror}): choose a folder that can be written"
        ) from error


def _replace_files(files: Mapping[str, bytes], directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".neurenix-", dir=directory))
    try:
        for name, content in files.items():
            path = aside / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        for name in sorted(files, key=lambda n: (n.endswith(".js") and not n.startswith("neurenix.runtime"), n)):
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (aside / name).replace(directory / name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def report_files(files: Mapping[str, bytes]) -> tuple[FileReport, ...]:
    """Return each file's size, raw and compressed."""
    return tuple(FileReport(n, len(c), len(gzip.compress(c, 9, mtime=0))) for n, c in sorted(files.items()))


def _fingerprint(content: bytes) -> dict[str, Any]:
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
