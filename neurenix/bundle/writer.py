"""Writes a bundle: the manifest with sizes and hashes, the files that it names, the loader beside them."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurenix.bundle import golden as gd
from neurenix.bundle.description import describe
from neurenix.bundle.golden import Golden
from neurenix.bundle.shaders import describe_shaders, shader_texts
from neurenix.bundle.templates import render
from neurenix.errors import OutputError
from neurenix.graph.packing import aligned
from neurenix.graph.plan import Plan
from neurenix.graph.shaders import ShaderPlan
from neurenix.resources import resource

FORMAT = 1
BASE = 131072  # where the parameters start in WebAssembly's memory; code's own stack and data lie below
PAGE = 65536
SHARD = 24 << 20  # bytes of one file of parameters: some hosts refuse files of more than 25 MiB
LARGE = 1 << 22  # bytes of a file that are compressed at a time, and with care


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
    # At least a byte behind the weights: even a write of nothing needs a place inside the memory.
    return -(-(BASE + aligned(plan.weights_size) + max(1, plan.arena_size)) // PAGE)


def plan_number(plan: Plan, shaders: Mapping[str, Any] | None = None) -> int:
    """Return the number that names a plan: the first four bytes of the SHA-256 of its description.

    `shaders` is what the manifest says of them, where the bundle has some: `describe_shaders` makes it.
    """
    described = describe(plan) | ({} if shaders is None else {"webgpu": shaders})
    text = json.dumps(described, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def bundle_files(
    plan: Plan,
    weights: bytes,
    source: str,
    compiled: Sequence[Compiled],
    golden: Sequence[Golden],
    generator: str,
    shaders: ShaderPlan | None = None,
) -> dict[str, bytes]:
    """Return every file of the bundle by its relative name."""
    name = plan.name
    table = None if shaders is None else describe_shaders(name, shaders)
    shards = weight_files(name, weights, SHARD)
    data: dict[str, bytes] = {**shards, f"{name}.c": source.encode()}
    data |= {form.file: form.content for form in compiled}
    if shaders is not None:
        data |= shader_texts(name, shaders)
    manifest = {
        "format": FORMAT,
        "generator": generator,
        "abi": plan_number(plan, table),
        **describe(plan),
        **({} if table is None else {"webgpu": table}),
        "memory": {
            "base": BASE,
            "weights": plan.weights_size,
            "arena": plan.arena_size,
            "pages": memory_pages(plan),
        },
        "weights": list(shards),
        "variants": [{"name": c.name, "file": c.file} for c in compiled if c.target is None],
        "native": [{"target": c.target, "level": c.name, "file": c.file} for c in compiled if c.target is not None],
        "files": {file: _fingerprint(content) for file, content in sorted(data.items())},
        "golden": [gd.to_json(case, plan.lengths) for case in golden],
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


def weight_files(name: str, weights: bytes, largest: int) -> dict[str, bytes]:
    """Return the parameters as NAME.bin or, where that would be too large for some hosts, NAME.00.bin and so on."""
    if len(weights) <= largest:
        return {f"{name}.bin": weights}
    parts = [weights[at : at + largest] for at in range(0, len(weights), largest)]
    digits = max(2, len(str(len(parts) - 1)))
    return {f"{name}.{index:0{digits}}.bin": part for index, part in enumerate(parts)}


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
    return tuple(FileReport(n, len(c), _gzip_size(c)) for n, c in sorted(files.items()))


def _gzip_size(content: bytes) -> int:
    """Return the size after gzip, without keeping what it makes. Much of it is parameters, which no level helps."""
    made = zlib.compressobj(9 if len(content) <= LARGE else 1, wbits=31)
    return sum(len(made.compress(content[at : at + LARGE])) for at in range(0, len(content), LARGE)) + len(made.flush())


def _fingerprint(content: bytes) -> dict[str, Any]:
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
