"""Reads a bundle from disk: nothing is used before its size and hash are the manifest's."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurenix.bundle import golden as gd
from neurenix.bundle.description import malformed, read_plan
from neurenix.bundle.golden import Golden
from neurenix.bundle.shaders import check_shaders, read_shaders
from neurenix.bundle.writer import BASE, FORMAT, memory_pages, plan_number
from neurenix.errors import BundleError, IntegrityError, MissingFileError, UnsupportedError, VersionError
from neurenix.graph.plan import Plan
from neurenix.graph.shaders import ShaderPlan

LARGEST_MANIFEST = 16 << 20

_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


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

    @property
    def has_shaders(self) -> bool:
        """Whether the model runs on WebGPU."""
        return "webgpu" in self.manifest

    def shaders(self) -> ShaderPlan:
        """Return what a GPU runs. Raises UnsupportedError for a model that has no shaders."""
        if not self.has_shaders:
            raise UnsupportedError(
                f"'{self.plan.name}' has no shaders: its bundle was made without, or an op of it has none; "
                "use device='cpu'"
            )
        table = self.manifest["webgpu"]
        tables = [table, *([table["half"]] if "half" in table else [])]
        texts = {each["file"]: self.read(each["file"]) for each in tables}
        with malformed(table["file"]):
            return read_shaders(table, texts)


def read_bundle(path: Path) -> Bundle:
    """Read the manifest NAME.json, or the only one in a folder. Raises BundleError or one of its kinds."""
    path = _manifest_path(Path(path))
    data = _json(path)
    if not isinstance(data, dict) or "format" not in data:
        raise BundleError(f"{path} is no manifest of a Neurenix bundle: it has no 'format'")
    if type(data["format"]) is not int or data["format"] != FORMAT:
        raise VersionError(f"{path.name} has format {data['format']!r}, this release reads {FORMAT}: build it again")
    try:
        plan = read_plan(data)
        with malformed("the list of files"):
            _check(data, plan)
            golden = tuple(gd.from_json(case, plan) for case in data["golden"])
    except BundleError as error:
        raise BundleError(f"{path.name}: {error}") from error
    return Bundle(path, plan, data["abi"], data, golden)


def _json(path: Path) -> Any:
    text = _bytes(path, LARGEST_MANIFEST)
    try:
        return json.loads(text, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        start = text.lstrip()[:1].decode("ascii", "replace")
        hint = " (it begins like an HTML page)" if start == "<" else ""
        raise BundleError(f"{path} is no JSON{hint}: {error}") from error


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


def _check(data: Mapping[str, Any], plan: Plan) -> None:
    files = data["files"]
    for name, file in files.items():
        size, sha256 = file["size"], file["sha256"]
        if not _FILE.fullmatch(name) or type(size) is not int or size < 0 or not _SHA256.fullmatch(sha256):
            raise BundleError(f"the file {name!r} must be a plain name with a size and 64 hex digits of SHA-256")
    named = [*data["weights"]]
    for form, keys in [(v, ("name", "file")) for v in data["variants"]] + [
        (n, ("target", "level", "file")) for n in data["native"]
    ]:
        if not all(isinstance(form[key], str) for key in keys):
            raise BundleError(f"a compiled form must have texts for {', '.join(keys)}: {str(form)[:200]}")
        named.append(form["file"])
    for name in named:
        if name not in files:
            raise BundleError(f"it names '{name}' and does not list it in 'files'")
    memory = data["memory"]
    if memory["base"] != BASE or memory["pages"] != memory_pages(plan):
        raise BundleError("the memory map does not fit the plan")
    shaders = data.get("webgpu")
    if "webgpu" in data:
        with malformed("the table of shaders"):
            check_shaders(shaders, plan, files)
    if data["abi"] != plan_number(plan, shaders):
        raise BundleError(f"its plan was changed after it was written: its number is {data['abi']!r}")


def _bytes(path: Path, limit: int | None = None) -> bytes:
    try:
        if limit is not None and path.stat().st_size > limit:
            raise BundleError(f"{path} has {path.stat().st_size} bytes; a manifest has at most {limit}")
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise MissingFileError(f"{path} is not there: build the bundle, or copy all of it") from None
    except OSError as error:
        raise MissingFileError(f"{path} cannot be read: {error.strerror}") from error


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large")
    return value


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return data
