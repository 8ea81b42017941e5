"""Saves and loads weights as safetensors: names and arrays, never anything that runs when it is read."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neurenix.errors import InputError, MissingExtraError, OutputError
from neurenix.nn import Module
from neurenix.tensor import Tensor

Array = np.ndarray[Any, Any]

# safetensors' names of the dtypes that NumPy has; BF16 is read as float32, which holds every one of its values.
_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip
_PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")
_HOW = (
    "in the program that wrote it, save safetensors instead: "
    "safetensors.torch.save_file(model.state_dict(), 'model.safetensors')"
)


def save(state: Module | Mapping[str, Any], path: str | os.PathLike[str]) -> Path:
    """Write a model's parameters and buffers, or arrays by name, to a safetensors file; return its path.

    The file appears whole or not at all. The same state gives the same bytes.
    """
    target = Path(path)
    _refuse_pickle_name(target, "write")
    arrays = state.state_dict() if isinstance(state, Module) else state
    return write_arrays(arrays, target)


def load(path: str | os.PathLike[str]) -> dict[str, Array]:
    """Read arrays by name from a safetensors file, for `model.load_state_dict`.

    Raises InputError when the file is missing or damaged, or is a pickle, which could run code.
    """
    return read_arrays(Path(path))[0]


def write_arrays(arrays: Mapping[str, Any], path: Path, text: str | None = None) -> Path:
    """Write arrays, and beside them one text in the file's header, at once."""
    import_safetensors("saving weights")
    from safetensors.numpy import save as to_bytes

    ready = {}
    for name, value in arrays.items():
        array = np.asarray(value.numpy() if isinstance(value, Tensor) else value, order="C")
        if array.dtype.newbyteorder("<").str.replace("|", "") not in _DTYPES.values() and array.dtype.kind != "b":
            raise InputError(f"'{name}' holds {array.dtype}, which safetensors cannot store")
        ready[str(name)] = array
    # One key only: safetensors writes several in an order that changes from run to run.
    write_atomically(path, to_bytes(ready, None if text is None else {"neurenix": text}))
    return path


def read_arrays(path: Path) -> tuple[dict[str, Array], str | None]:
    """Read what `write_arrays` wrote: the arrays, and the text if there is one. Raises InputError."""
    import_safetensors("loading weights")
    from safetensors import SafetensorError, deserialize, safe_open

    _refuse_pickle_name(path, "read")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    if content[:2] in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        raise InputError(f"{path} is no safetensors file but a zip or a pickle, which could run code; {_HOW}")
    try:
        entries: list[tuple[str, Any]] = deserialize(content)  # type: ignore[no-untyped-call]
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise InputError(f"{path} is no whole safetensors file: {error}") from error
    return {name: _array(name, entry, path) for name, entry in entries}, metadata.get("neurenix")


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all, whatever stops the process. Raises OutputError."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with aside.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
        if sys.platform != "win32":  # Windows cannot flush a folder
            handle = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error


def import_safetensors(purpose: str) -> None:
    """Raise MissingExtraError, naming the purpose, unless the safetensors package is installed."""
    try:
        import safetensors  # noqa: F401 - only to know that it is there
    except ModuleNotFoundError as error:
        raise MissingExtraError("safetensors", "state", purpose) from error


def _array(name: str, entry: Mapping[str, Any], path: Path) -> Array:
    kind, shape = entry["dtype"], tuple(entry["shape"])
    if kind == "BF16":
        halves = np.frombuffer(entry["data"], dtype="<u2").astype(np.uint32)
        return (halves << 16).view(np.float32).reshape(shape)
    if kind not in _DTYPES:
        raise InputError(f"'{name}' in {path} is stored as {kind}; convert it to F32, F16 or BF16 first")
    array = np.frombuffer(entry["data"], dtype=_DTYPES[kind])
    return array.astype(array.dtype.newbyteorder("=")).reshape(shape)  # a copy: the bytes cannot be written to


def _refuse_pickle_name(path: Path, verb: str) -> None:
    if path.suffix.lower() in _PICKLES:
        raise InputError(f"will not {verb} {path}: '{path.suffix}' names a pickle, which can run code; {_HOW}")
