"""Writes a Graph to one .npz file and reads it back. NumPy arrays and JSON; nothing is ever unpickled."""

from __future__ import annotations

import io
import json
import math
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neurenix import dims, expr
from neurenix.dims import Dim
from neurenix.dtypes import dtype
from neurenix.errors import GraphError, NeurenixError
from neurenix.expr import Expr
from neurenix.graph.graph import Epilogue, Graph, Layer, Length, Node, Value, check
from neurenix.graph.spread import spread_from_json

_FORMAT = 1
# What zipfile, NumPy, json and the reading below raise for bytes and values that are wrong; RuntimeError is
# also the parent of what zipfile raises for encryption and unknown compression, and of RecursionError.
_DAMAGE = (
    OSError, EOFError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError, MemoryError, RuntimeError,
    NeurenixError, zipfile.BadZipFile, zlib.error, struct.error,
)  # fmt: skip
_NOT_FINITE = {text: float(text) for text in ("inf", "-inf", "nan")}


def save_graph(graph: Graph, path: Path) -> None:
    """Write a graph. The same graph gives the same bytes, wherever and whenever it is written."""
    names = list(graph.constants)
    with zipfile.ZipFile(path, "w") as archive:
        _write(
            archive,
            "graph.json",
            json.dumps(_to_json(graph, names), allow_nan=False, sort_keys=True).encode(),
        )
        for i, name in enumerate(names):
            buffer = io.BytesIO()
            array = graph.constants[name]
            np.lib.format.write_array(buffer, np.ascontiguousarray(array).reshape(array.shape), allow_pickle=False)
            _write(archive, f"{i}.npy", buffer.getvalue())


def load_graph(path: Path) -> Graph:
    """Read and check a graph. Raises GraphError when the file is no graph of this format."""
    try:
        with zipfile.ZipFile(path) as archive:
            data = json.loads(archive.read("graph.json"))
            if data.get("format") != _FORMAT:
                raise GraphError(f"{path} holds graph format {data.get('format')}, this release reads {_FORMAT}")
            arrays = {
                name: np.lib.format.read_array(io.BytesIO(archive.read(f"{i}.npy")), allow_pickle=False)
                for i, name in enumerate(data["constants"])
            }
            return check(_from_json(data, arrays))
    except _DAMAGE as error:
        raise GraphError(f"{path} is not a stored graph: {type(error).__name__} {error}") from error


def attrs_to_json(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Write a node's attributes: sizes as sizes, an expression as `{"expr": …}`, an infinity as `{"number": "inf"}`."""
    return {key: _attr_to_json(value) for key, value in attrs.items()}


def attrs_from_json(data: Mapping[str, Any]) -> dict[str, Any]:
    """Read what `attrs_to_json` wrote; lists become tuples."""
    return {key: _attr_from_json(value) for key, value in data.items()}


def _attr_to_json(value: Any) -> Any:
    if isinstance(value, Expr):
        return {"expr": expr.to_json(value)}
    if isinstance(value, Dim):
        return {"size": dims.to_json(value)}
    if isinstance(value, (tuple, list)):
        return [_attr_to_json(v) for v in value]
    plain = value.item() if isinstance(value, np.generic) else value
    if plain is not None and not isinstance(plain, (str, int, float)):
        raise GraphError(f"{value!r} cannot be stored: an attribute is a number, a text, a size or a list of them")
    # Strict JSON has no infinity and no NaN.
    return {"number": str(plain)} if isinstance(plain, float) and not math.isfinite(plain) else plain


def _attr_from_json(value: Any) -> Any:
    if isinstance(value, dict):
        if "number" in value:
            return _NOT_FINITE[value["number"]]
        return expr.from_json(value["expr"]) if "expr" in value else dims.from_json(value["size"])
    return tuple(map(_attr_from_json, value)) if isinstance(value, list) else value


def _to_json(graph: Graph, constants: list[str]) -> dict[str, Any]:
    spreads = {name: spread.to_json() for name, spread in graph.spreads.items()}
    return {
        **({"spreads": spreads} if spreads else {}),
        "format": _FORMAT,
        "name": graph.name,
        "device": graph.device,
        "inputs": graph.inputs,
        "outputs": graph.outputs,
        "lengths": {name: [[x.axis, x.value] for x in found] for name, found in graph.lengths.items()},
        "constants": constants,
        "dims": {k: list(v) for k, v in graph.dims.items()},
        "values": [[v.name, v.dtype.name, [dims.to_json(s) for s in v.shape]] for v in graph.values.values()],
        "layers": [[x.name, x.type, attrs_to_json(x.config), x.parameters] for x in graph.layers],
        "nodes": [
            {
                "op": n.op, "inputs": n.inputs, "output": n.output, "attrs": attrs_to_json(n.attrs), "scope": n.scope,
                "label": n.label,
                "epilogue": n.epilogue and [expr.to_json(n.epilogue.expr), n.epilogue.inputs],
            }
            for n in graph.nodes
        ],
    }  # fmt: skip


def _from_json(data: Any, arrays: Mapping[str, Any]) -> Graph:
    values = (Value(name, dtype(kind), tuple(map(dims.from_json, shape))) for name, kind, shape in data["values"])
    nodes = (
        Node(
            n["op"], tuple(n["inputs"]), n["output"], attrs_from_json(n["attrs"]),
            n["epilogue"] and Epilogue(expr.from_json(n["epilogue"][0]), tuple(n["epilogue"][1])),
            n["scope"], n["label"],
        )
        for n in data["nodes"]
    )  # fmt: skip
    return Graph(
        data["name"], tuple(data["inputs"]), tuple(data["outputs"]), tuple(nodes), {v.name: v for v in values}, arrays,
        {k: (low, high) for k, (low, high) in data["dims"].items()},
        tuple(Layer(n, t, attrs_from_json(c), tuple(p)) for n, t, c, p in data["layers"]), data["device"],
        {name: tuple(Length(*x) for x in found) for name, found in data.get("lengths", {}).items()},
        {name: spread_from_json(data["spreads"][name]) for name in data["inputs"] if name in data.get("spreads", {})},
    )  # fmt: skip


def _write(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    info = zipfile.ZipInfo(
        name, date_time=(1980, 1, 1, 0, 0, 0)
    )  # a fixed date: the bytes must not depend on the clock
    archive.writestr(info, content)
