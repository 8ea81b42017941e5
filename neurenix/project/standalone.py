"""Runs the models in the folders beside this file, by their native libraries: it needs NumPy and nothing else.

    from your_package._neurenix import load_model
    model = load_model("digits")
    model.forward({"image": array})          # or the array alone, where there is one input

A build with `standalone = true` puts this file into the package as it is; it is the twin of
`neurenix.load_model`, and takes and gives the same.
"""

from __future__ import annotations

import base64
import ctypes
import hashlib
import json
import platform
import re
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Model", "ModelError", "load_model"]

_FORMAT = 1
_ALIGNMENT = 64
_FUNCTIONS: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b,
    "*": lambda a, b: a * b,
    "//": lambda a, b: a // b,
    "max": max,
    "min": min,
}


class ModelError(Exception):
    """What this file raises on purpose. `code` is the code that Neurenix has for the same error."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[type[ModelError], tuple[str, str]]:
        return type(self), (self.code, str(self))


def load_model(name: str, folder: str | Path | None = None) -> Model:
    """Load the model in the folder `name` beside this file, or in `folder`. Raises ModelError."""
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,63}", name):
        raise ModelError("missing_file", f"{name!r} is no name of a model")
    return Model(Path(__file__).parent / name if folder is None else Path(folder), name)


class Model:
    """A model that is ready to answer. `inputs` and `outputs` are names; `variant` says which library runs."""

    device = "cpu"
    threads = 1

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._manifest = _manifest(folder / f"{name}.json")
        self.name: str = self._manifest["name"]
        self._inputs = {port["name"]: port for port in self._manifest["inputs"]}
        self._outputs = {port["name"]: port for port in self._manifest["outputs"]}
        self.inputs, self.outputs = tuple(self._inputs), tuple(self._outputs)
        self.labels: tuple[str, ...] = tuple(self._manifest.get("labels", ()))
        self.variant, self._library = self._open()
        self._run = self._library.nx_run
        dims = [ctypes.c_int] * len(self._manifest["dims"])
        self._run.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, *dims]
        self._run.restype = ctypes.c_int
        weights = b"".join(map(self._read, self._manifest["weights"]))
        if len(weights) != self._manifest["memory"]["weights"]:
            raise ModelError("bad_integrity", f"the parameters of '{name}' have {len(weights)} bytes: install it again")
        self._weights = _aligned(len(weights))
        self._weights[:] = np.frombuffer(weights, dtype=np.uint8)
        self._arena = _aligned(self._manifest["memory"]["arena"])
        self._lock = threading.Lock()

    def forward(self, inputs: Any) -> dict[str, np.ndarray[Any, Any]]:
        """Return the outputs by name. Takes a dict of arrays by input name, or the array of a one-input model.

        A missing first axis is a batch of one. Safe to call from several threads; they take turns. Raises ModelError.
        """
        arrays, dims = self._read_inputs(inputs)
        return self._compute(arrays, dims)

    __call__ = forward

    def self_test(self) -> float:
        """Answer the inputs that the build has proved; return the largest error. Raises ModelError when too large."""
        worst = 0.0
        for case in self._manifest["golden"]:
            feeds = {name: _golden_input(case, port) for name, port in self._inputs.items()}
            answers = self._compute(feeds, case["dims"])
            for name, answer in answers.items():
                raw = base64.b64decode(case["outputs"][name])
                expected = np.frombuffer(raw, dtype=np.dtype(answer.dtype).newbyteorder("<"))
                worst = max(worst, _error(answer, expected))
            if not worst <= case["tolerance"]:
                raise ModelError("device_unavailable", f"'{self.name}' is off by {worst:.2g} on this machine")
        return worst

    def _compute(self, arrays: Mapping[str, Any], dims: Mapping[str, int]) -> dict[str, np.ndarray[Any, Any]]:
        with self._lock:
            for name, array in arrays.items():
                self._bytes(self._inputs[name]["offset"], array.nbytes)[:] = array.reshape(-1).view(np.uint8)
            values = [dims[dim["name"]] for dim in self._manifest["dims"]]
            status = self._run(0, 1, self._weights.ctypes.data, self._arena.ctypes.data, *values)
            if status != 0:
                raise ModelError("run_failed", f"'{self.name}' gave up with status {status} for {dict(dims)}")
            return {name: self._output(port, dims) for name, port in self._outputs.items()}

    def _output(self, port: Mapping[str, Any], dims: Mapping[str, int]) -> np.ndarray[Any, Any]:
        shape = [_evaluate(size, dims) for size in port["shape"]]
        dtype = np.dtype(port["dtype"])
        raw = self._bytes(port["offset"], int(np.prod(shape, dtype=np.int64)) * dtype.itemsize)
        array = raw.copy().view(dtype).reshape(shape)
        for length in port.get("lengths", ()):  # What of this axis counts is known only now.
            axis, found = length["axis"], int(self._bytes(length["offset"], 8).copy().view(np.int64)[0])
            if not 0 <= found <= shape[axis]:
                raise ModelError("bad_dims", f"the output '{port['name']}' has {found} along axis {axis}")
            array = array[(slice(None),) * axis + (slice(found),)]
        return np.array(array, order="C")

    def _bytes(self, offset: int, count: int) -> np.ndarray[Any, Any]:
        return self._arena[offset : offset + count]

    def _read_inputs(self, inputs: Any) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, int]]:
        names = ", ".join(self.inputs)
        if not isinstance(inputs, Mapping):
            if len(self.inputs) != 1:
                raise ModelError("bad_input", f"the model has {len(self.inputs)} inputs ({names}): pass a dict by name")
            inputs = {self.inputs[0]: inputs}
        if inputs.keys() != self._inputs.keys():
            raise ModelError("bad_input", f"the inputs are {', '.join(map(str, inputs))}; the model has {names}")
        dims: dict[str, int] = {}
        arrays = {name: _read_input(port, inputs[name], dims) for name, port in self._inputs.items()}
        for dim in self._manifest["dims"]:
            name, low, high = dim["name"], dim["min"], dim["max"]
            if name not in dims:
                raise ModelError("bad_dims", f"dimension '{name}' has no value: no input has it as an axis")
            if not low <= dims[name] <= high:
                raise ModelError("bad_dims", f"'{name}' is {dims[name]}; this model was compiled for {low} to {high}")
        for name, array in arrays.items():
            if array.shape != tuple(_evaluate(size, dims) for size in self._inputs[name]["shape"]):
                raise _mismatch(self._inputs[name], array.shape)
        return arrays, dims

    def _open(self) -> tuple[str, ctypes.CDLL]:
        """Return the most demanding library that this CPU runs."""
        host = _host()
        ours = [form for form in self._manifest["native"] if form["target"] == host]
        if not ours:
            known = ", ".join(sorted({form["target"] for form in self._manifest["native"]})) or "none"
            raise ModelError("device_unavailable", f"'{self.name}' has no library for {host}; it has {known}")
        level = int(self._library_of(ours[-1]["file"]).nx_level())
        chosen = next(form for form in ours if _level(form["level"]) <= level)
        library = self._library_of(chosen["file"])
        found = int(library.nx_abi()) & 0xFFFFFFFF
        if found != self._manifest["abi"]:
            raise ModelError("bad_bundle", f"{chosen['file']} belongs to another build: install the package again")
        return chosen["level"], library

    def _library_of(self, name: str) -> ctypes.CDLL:
        self._read(name)
        try:
            return ctypes.CDLL(str((self._folder / name).resolve()))
        except OSError as error:
            raise ModelError("bad_bundle", f"{name} is no library that this system can load: {error}") from error

    def _read(self, name: str) -> bytes:
        """Return a file's bytes, which must be those that the manifest was made with."""
        if Path(name).name != name:
            raise ModelError("bad_bundle", f"{name!r} is no plain name of a file")
        try:
            content = (self._folder / name).read_bytes()
        except OSError as error:
            raise ModelError("missing_file", f"{self._folder / name}: {error.strerror}") from error
        expected = self._manifest["files"].get(name, {})
        if (len(content), hashlib.sha256(content).hexdigest()) != (expected.get("size"), expected.get("sha256")):
            raise ModelError("bad_integrity", f"{name} is not the file that was built: install the package again")
        return content


def _manifest(path: Path) -> Any:
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise ModelError("missing_file", f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ModelError("bad_bundle", f"{path} is no JSON: {error}") from error
    if not isinstance(data, dict) or data.get("format") != _FORMAT:
        raise ModelError("bad_version", f"{path} is no manifest of format {_FORMAT}: build it again")
    return data


def _host() -> str:
    machine = platform.machine().lower()
    system = {"darwin": "macos", "win32": "windows"}.get(sys.platform, sys.platform)
    return f"{({'amd64': 'x86_64', 'arm64': 'aarch64'}).get(machine, machine)}-{system}"


def _level(variant: str) -> int:
    """Return the instruction level that a library's name says: 3 for "x86_64_v3-linux", 0 for the baseline."""
    found = re.search(r"_v(\d)", variant)
    return int(found[1]) if found else 0


def _evaluate(size: Any, dims: Mapping[str, int]) -> int:
    if isinstance(size, str):
        return dims[size]
    if isinstance(size, list):
        return int(_FUNCTIONS[size[0]](_evaluate(size[1], dims), _evaluate(size[2], dims)))
    return int(size)


def _read_input(port: Mapping[str, Any], data: Any, dims: dict[str, int]) -> np.ndarray[Any, Any]:
    name, dtype, shape = port["name"], np.dtype(port["dtype"]), port["shape"]
    try:
        array = np.asarray(data)
    except (ValueError, TypeError) as error:
        raise ModelError("bad_input", f"input '{name}' cannot be read as an array: {error}") from error
    if array.dtype != dtype:
        convertible = not isinstance(data, np.ndarray) or array.dtype.kind == dtype.kind == "f"
        if not convertible or array.dtype.kind not in "fiub":
            raise ModelError("bad_input", f"input '{name}' must be {dtype}, got {array.dtype}: use .astype('{dtype}')")
        with np.errstate(over="ignore", invalid="ignore"):
            array = array.astype(dtype)
    if array.ndim == len(shape) - 1 and not isinstance(shape[0], int):
        array = array[None]
    if array.ndim != len(shape):
        raise _mismatch(port, array.shape)
    for size, got in zip(shape, array.shape):
        if isinstance(size, str) and dims.setdefault(size, got) != got:
            raise ModelError("bad_input", f"input '{name}' has {size} = {got}, another axis has {dims[size]}")
    return np.ascontiguousarray(array).reshape(array.shape)


def _mismatch(port: Mapping[str, Any], got: tuple[int, ...]) -> ModelError:
    wanted = ", ".join(size if isinstance(size, str) else json.dumps(size) for size in port["shape"])
    return ModelError("bad_input", f"input '{port['name']}' must have shape [{wanted}], got {list(got)}")


def _golden_input(case: Mapping[str, Any], port: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Return one input of a proved case: its bytes, or the values of the formula that FORMAT.md states."""
    source, dtype = case["inputs"][port["name"]], np.dtype(port["dtype"])
    shape = [_evaluate(size, case["dims"]) for size in port["shape"]]
    if "data" in source:
        raw = np.frombuffer(base64.b64decode(source["data"]), dtype=dtype.newbyteorder("<"))
        return raw.astype(dtype).reshape(shape)
    with np.errstate(over="ignore"):
        h = np.arange(int(np.prod(shape, dtype=np.int64)), dtype=np.uint32) * np.uint32(2654435761)
        h += np.uint32(source["seed"] * 2246822519 & 0xFFFFFFFF)
        h = (h ^ (h >> np.uint32(15))) * np.uint32(2246822519)
        h = (h ^ (h >> np.uint32(13))) * np.uint32(3266489917)
        h ^= h >> np.uint32(16)
    values = source["low"] + (source["high"] - source["low"]) * ((h >> np.uint32(8)).astype(np.float64) / (1 << 24))
    return np.asarray((values if dtype.kind == "f" else np.floor(values)).astype(dtype).reshape(shape))


def _error(answer: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> float:
    a, e = answer.reshape(-1).astype(np.float64), expected.astype(np.float64)
    if a.shape != e.shape or (np.isnan(a) != np.isnan(e)).any():
        return float("inf")
    with np.errstate(invalid="ignore"):
        difference = np.where((a == e) | np.isnan(e), 0.0, np.abs(a - e) / np.maximum(1.0, np.abs(e)))
    return float(difference.max(initial=0.0))


def _aligned(size: int) -> np.ndarray[Any, Any]:
    raw = np.zeros(size + _ALIGNMENT, dtype=np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + size]
