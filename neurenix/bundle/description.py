"""A Plan as the JSON of the bundle's manifest, and back. FORMAT.md is the specification."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from neurenix import dims as dm
from neurenix import expr as ex
from neurenix.bundle.validation import validate
from neurenix.dims import Shape, Size
from neurenix.dtypes import dtype
from neurenix.errors import BundleError, NeurenixError
from neurenix.graph.graph import Epilogue, Layer
from neurenix.graph.plan import Buffer, Operand, Packed, Plan, Step
from neurenix.graph.store import attrs_from_json, attrs_to_json

# Limits that no real model meets: sizes are polynomials, and small texts of them can be large ones.
LARGEST_EXPRESSION = 64
MOST_DIMS = 16
MOST_AXES = 16


def describe(plan: Plan) -> dict[str, Any]:
    """Return the part of the manifest that follows from the plan alone."""
    data: dict[str, Any] = {
        "name": plan.name,
        "device": plan.device,
        "inputs": [_port(plan.buffers[name]) for name in plan.inputs],
        "outputs": [_port(plan.buffers[name]) for name in plan.outputs],
        "dims": [{"name": n, "min": low, "max": high} for n, (low, high) in plan.dims.items()],
        "layers": [
            {"name": x.name, "type": x.type, "config": attrs_to_json(x.config), "parameters": list(x.parameters)}
            for x in plan.layers
        ],
        "threads": {"requested": plan.threads_requested},
        "tensors": [
            {"name": t.name, "dtype": t.dtype.name, "shape": list(t.shape), "layout": t.layout, "offset": t.offset,
             "size": t.size}
            for t in plan.tensors.values()
        ],
        "plan": {
            "buffers": [_buffer(b) for b in plan.buffers.values()],
            "steps": [_step(s) for s in plan.steps],
        },
    }  # fmt: skip
    if plan.labels:
        data["labels"] = list(plan.labels)
    return data


def read_plan(data: Mapping[str, Any]) -> Plan:
    """Return the plan that a manifest describes. Raises BundleError when it does not follow FORMAT.md."""
    with malformed("the description of the model"):
        return validate(_read(data))


@contextmanager
def malformed(what: str) -> Iterator[None]:
    """Turn whatever reading hostile data raises into a BundleError that names `what` was read."""
    try:
        yield
    except NeurenixError as error:
        raise BundleError(f"{what} is malformed: {error}") from error
    except KeyError as error:
        raise BundleError(f"{what} is malformed: it lacks {error}") from error
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        raise BundleError(f"{what} is malformed: {type(error).__name__} {error}") from error


def _read(data: Mapping[str, Any]) -> Plan:
    buffers = _by_name(map(_read_buffer, _list(data["plan"]["buffers"])))
    return Plan(
        _text(data["name"]),
        _ports(data["inputs"], buffers),
        _ports(data["outputs"], buffers),
        _read_dims(data["dims"]),
        buffers,
        _by_name(map(_read_packed, _list(data["tensors"]))),
        tuple(map(_read_step, _list(data["plan"]["steps"]))),
        _count(data["memory"]["weights"]),
        _count(data["memory"]["arena"]),
        tuple(map(_read_layer, _list(data["layers"]))),
        _texts(data.get("labels", [])),
        _text(data["device"]),
        bool(data["threads"]["requested"]),
    )


def _ports(ports: Any, buffers: Mapping[str, Buffer]) -> tuple[str, ...]:
    """Return the names of inputs or outputs, once each says what its buffer says."""
    names = []
    for port in _list(ports):
        if port != _port(buffers[port["name"]]) or port["name"] in names:
            raise BundleError(f"'{port['name']}' stands twice in the signature, or is not what the plan says of it")
        names.append(_text(port["name"]))
    return tuple(names)


def _read_dims(data: Any) -> dict[str, tuple[int, int]]:
    dims = {_text(d["name"]): (_count(d["min"]), _count(d["max"])) for d in _list(data)}
    if len(dims) != len(data) or len(dims) > MOST_DIMS:
        raise BundleError(f"the {len(data)} dims must have different names, and be {MOST_DIMS} at most")
    return dims


def _read_layer(data: Mapping[str, Any]) -> Layer:
    return Layer(_text(data["name"]), _text(data["type"]), attrs_from_json(data["config"]), _texts(data["parameters"]))


def _read_packed(data: Mapping[str, Any]) -> Packed:
    return Packed(
        _text(data["name"]),
        dtype(_text(data["dtype"])),
        tuple(map(_count, _list(data["shape"]))),
        _text(data["layout"]),
        _count(data["offset"]),
        _count(data["size"]),
    )


_Named = TypeVar("_Named", Buffer, Packed)


def _by_name(rows: Iterable[_Named]) -> dict[str, _Named]:
    found: dict[str, _Named] = {}
    for row in rows:
        if row.name in found:
            raise BundleError(f"the name '{row.name}' stands twice")
        found[row.name] = row
    return found


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise BundleError(f"{str(value)[:80]!r} should be a list")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise BundleError(f"{str(value)[:80]!r} should be a text")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(_text, _list(value)))


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 1 << 53:
        raise BundleError(f"{str(value)[:80]!r} is no size")
    return value


def _size(value: Any) -> Size:
    if _parts(value) > LARGEST_EXPRESSION:
        raise BundleError(f"a size has more than {LARGEST_EXPRESSION} parts")
    return dm.from_json(value)


def _parts(value: Any) -> int:
    return sum(map(_parts, value)) if isinstance(value, list) else 1


def _shape(value: Any) -> Shape:
    shape = tuple(map(_size, _list(value)))
    if len(shape) > MOST_AXES:
        raise BundleError(f"a shape has {len(shape)} axes; {MOST_AXES} are the most")
    return shape


def _sizes(sizes: Any) -> list[Any]:
    return [dm.to_json(s) for s in sizes]


def _port(buffer: Buffer) -> dict[str, Any]:
    return {
        "name": buffer.name,
        "dtype": buffer.dtype.name,
        "shape": _sizes(buffer.shape),
        "offset": buffer.offset,
    }


def _buffer(buffer: Buffer) -> dict[str, Any]:
    return {**_port(buffer), "size": buffer.size}


def _read_buffer(data: Mapping[str, Any]) -> Buffer:
    shape = _shape(data["shape"])
    return Buffer(_text(data["name"]), dtype(_text(data["dtype"])), shape, _count(data["offset"]), _count(data["size"]))


def _step(step: Step) -> dict[str, Any]:
    data: dict[str, Any] = {
        "kernel": step.kernel, "op": step.op, "scope": step.scope, "attrs": attrs_to_json(step.attrs),
        "inputs": list(step.inputs), "output": step.output,
        "shapes": [_sizes(s) for s in step.shapes], "shape": _sizes(step.shape),
        "sizes": {name: dm.to_json(size) for name, size in step.sizes.items()},
    }  # fmt: skip
    if step.operands:
        data["operands"] = [{"strides": _sizes(o.strides), "walks": o.walks} for o in step.operands]
    if step.epilogue:
        data["epilogue"] = {"expr": ex.to_json(step.epilogue.expr), "inputs": list(step.epilogue.inputs)}
    if step.scratch:
        data["scratch"] = step.scratch
    return data


def _read_step(data: Mapping[str, Any]) -> Step:
    epilogue = data.get("epilogue")
    operands = []
    for operand in _list(data.get("operands", [])):
        a, b, c = map(_size, _list(operand["strides"]))
        operands.append(Operand((a, b, c), operand["walks"] is True))
    scratch = data.get("scratch")
    return Step(
        kernel=_text(data["kernel"]),
        op=_text(data["op"]),
        attrs=attrs_from_json(data["attrs"]),
        inputs=_texts(data["inputs"]),
        output=_text(data["output"]),
        shapes=tuple(map(_shape, _list(data["shapes"]))),
        shape=_shape(data["shape"]),
        sizes={name: _size(size) for name, size in data["sizes"].items()},
        operands=tuple(operands),
        epilogue=Epilogue(ex.from_json(epilogue["expr"]), _texts(epilogue["inputs"])) if epilogue else None,
        scratch=None if scratch is None else _text(scratch),
        scope=_text(data["scope"]),
    )
