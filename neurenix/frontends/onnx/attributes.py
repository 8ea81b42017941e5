"""A node's attributes as Python values: numbers, texts, tuples, arrays, subgraphs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neurenix.errors import ModelError, UnsupportedError

if TYPE_CHECKING:
    from neurenix.frontends.onnx.importer import Importer


@dataclass(frozen=True)
class Subgraph:
    """A graph that is an attribute: the branches of If, the bodies of Loop and Scan. `run` records its nodes anew."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    run: Callable[..., tuple[Any, ...]]


def attributes_of(
    node: Any, importer: Importer, environment: Mapping[str, Any], protos: Iterable[Any] | None = None
) -> dict[str, Any]:
    """Return the attributes of a NodeProto by name. Raises ModelError for one that is there twice."""
    found: dict[str, Any] = {}
    for proto in node.attribute if protos is None else protos:
        if proto.name in found:
            raise ModelError(f"the attribute '{proto.name}' is there twice")
        if proto.ref_attr_name:
            if proto.ref_attr_name in importer.read.references:
                found[proto.name] = importer.read.references[proto.ref_attr_name]
            continue
        found[proto.name] = _value(proto, importer, environment)
    return found


def _value(proto: Any, importer: Importer, environment: Mapping[str, Any]) -> Any:
    import onnx

    kinds = onnx.AttributeProto
    if proto.type == kinds.GRAPH:
        return importer.subgraph(proto.g, dict(environment))
    if proto.type == kinds.TENSOR:
        return importer.read(proto.t)
    simple: dict[int, Callable[[], Any]] = {
        kinds.INT: lambda: proto.i,
        kinds.FLOAT: lambda: proto.f,
        kinds.STRING: lambda: _text(proto.name, proto.s),
        kinds.INTS: lambda: tuple(proto.ints),
        kinds.FLOATS: lambda: tuple(proto.floats),
        kinds.STRINGS: lambda: tuple(_text(proto.name, s) for s in proto.strings),
    }
    if proto.type not in simple:
        raise UnsupportedError(f"the attribute '{proto.name}' is of a kind that is not supported ({proto.type})")
    return simple[proto.type]()


def _text(name: str, raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise ModelError(f"the attribute '{name}' is no UTF-8 text") from None
