"""Reads a bundle from disk: nothing is used before its size and hash are the manifest's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurenix.bundle import golden as gd
from neurenix.bundle.description import read_plan
from neurenix.bundle.golden import Golden
from neurenix.bundle.writer import BASE, FORMAT, memory_pages
from neurenix.errors import BundleError, IntegrityError, MissingFileError, VersionError
from neurenix.graph.plan import Plan

LARGEST_MANIFEST = 16 << 20


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk whose description has been read and checked."""

    path: Path
    plan: Plan
    abi: int
    manifest: Mapping[str, Any]
    golden: tuple[Golden, ...]

    def read(self, name: str) -> bytes:
        """Return a file's bytes. Raises MissingFileError or IntegrityError."""
        expected = self.manifest["files"].get(name)
        if expected is None:
            raise BundleError(f"{self.path.name} does not list the file '{name}'")
        content = _bytes(self.path.parent / name)
        if len(content) != expected["size"]:
            raise IntegrityError(
                f"{name} has {len(content)} bytes, {self.path.name} says {expected['size']}: copy the bundle again"
            )
        if hashlib.sha256(content).hexdigest() != expected["sha256"]:
            raise IntegrityError(f"{name} is not the file that {self.path.name} was made with: copy the bundle again")
        return content

    def weights(self) -> bytes:
        """Return the packed parameters."""
        data = b"".join(map(self.read, self.manifest["weights"]))
        if len(data) != self.plan.weights_size:
            raise IntegrityError(
                f"the parameters of '{self.plan.name}' have {len(data)} bytes, not {self.plan.weights_size}"
            )
        return data


def read_bundle(path: Path) -> Bundle:
    """Read the manifest NAME.json, or the only one in a folder. Raises BundleError or one of its kinds."""
    path = _manifest_path(Path(path))
    text = _bytes(path, LARGEST_MANIFEST)
    try:
        data = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        start = text[:1].decode("ascii", "replace")
        hint = " (it begins like an HTML page)" if start == "<" else ""
        raise BundleError(f"{path} is no JSON{hint}: {error}") from error
    if not isinstance(data, dict) or "format" not in data:
        raise BundleError(f"{path} is no manifest of a Neurenix bundle: it has no 'format'")
    if data["format"] != FORMAT:
        raise VersionError(f"{path.name} has format {data['format']!r}, this release reads {FORMAT}: build it again")
    plan = read_plan(data)
    _check(data, plan, path)
    return Bundle(path, plan, int(data["abi"]), data, tuple(gd.from_json(g, plan) for g in data.get("golden", ())))


def _manifest_path(path: Path) -> Path:
    if path.is_dir():
        found = sorted(path.glob("*.json"))
        if len(found) != 1:
            names = ", ".join(p.name for p in found) or "none"
            raise MissingFileError(
                f"{path} should hold one manifest, found {names}: name it, as in {path / 'model.json'}"
            )
        return found[0]
    return path


def _check(data: Mapping[str, Any], plan: Plan, path: Path) -> None:
    files = data.get("files")
    if not isinstance(files, dict) or not all(
        isinstance(n, str) and _plain(n) and isinstance(f, dict) and isinstance(f.get("size"), int)
        and isinstance(f.get("sha256"), str) for n, f in files.items()
    ):  # fmt: skip
        raise BundleError(f"{path.name}: 'files' must map plain file names to size and sha256")
    named = [
        *data.get("weights", ()),
        *(v["file"] for v in (*data.get("variants", ()), *data.get("native", ()))),
    ]
    for name in named:
        if name not in files:
            raise BundleError(f"{path.name} names '{name}' and does not list it in 'files'")
    memory = data["memory"]
    if memory["base"] != BASE or memory["pages"] != memory_pages(plan):
        raise BundleError(f"{path.name}: the memory map does not fit the plan")
    for buffer in plan.buffers.values():
        if buffer.offset + buffer.size > plan.arena_size:
            raise BundleError(f"{path.name}: '{buffer.name}' lies outside the arena")
    for tensor in plan.tensors.values():
        if tensor.offset + tensor.size > plan.weights_size:
            raise BundleError(f"{path.name}: the parameter '{tensor.name}' lies outside the weights")


def _plain(name: str) -> bool:
    return name not in ("", ".", "..") and not set(name) & set("/\\:\0")


def _bytes(path: Path, limit: int | None = None) -> bytes:
    try:
        if limit is not None and path.stat().st_size > limit:
            raise BundleError(f"{path} has {path.stat().st_size} bytes; a manifest has at most {limit}")
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise MissingFileError(f"{path} is not there: build the bundle, or copy all of it") from None
    except OSError as error:
        raise MissingFileError(f"{path} cannot be read: {error.strerror}") from error


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return data
