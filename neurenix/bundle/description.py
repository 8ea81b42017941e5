"""A Plan as the JSON of the bundle's manifest, and back. FORMAT.md is the specification."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from neurenix import dims as dm
from neurenix import expr as ex
from neurenix.bundle.fields import as_count, as_list, as_shape, as_size, as_text, as_texts
from neurenix.bundle.validation import validate
from neurenix.dtypes import dtype
from neurenix.errors import BundleError, NeurenixError
from neurenix.graph.graph import Epilogue, Layer, Length
from neurenix.graph.plan import Buffer, Operand, Packed, Plan, Step
from neurenix.graph.store import attrs_from_json, attrs_to_json

MOST_DIMS = 16  # a limit that no real model meets


def describe(plan: Plan) -> dict[str, Any]:
    """Return the part of the manifest that follows from the plan alone."""
    data: dict[str, Any] = {
        "name": plan.name,
        "device": plan.device,
        "inputs": [_port(plan.buffers[name]) for name in plan.inputs],
        "outputs": [_output(name, plan) for name in plan.outputs],
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
    if plan.custom:
        data["customOps"] = [{"name": name, "sha256": digest} for name, digest in plan.custom.items()]
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
    buffers = _by_name(map(_read_buffer, as_list(data["plan"]["buffers"])))
    return Plan(
        as_text(data["name"]),
        _ports(data["inputs"], buffers),
        _ports([_without_lengths(port) for port in as_list(data["outputs"])], buffers),
        _read_dims(data["dims"]),
        buffers,
        _by_name(map(_read_packed, as_list(data["tensors"]))),
        tuple(map(_read_step, as_list(data["plan"]["steps"]))),
        as_count(data["memory"]["weights"]),
        as_count(data["memory"]["arena"]),
        tuple(map(_read_layer, as_list(data["layers"]))),
        as_texts(data.get("labels", [])),
        as_text(data["device"]),
        bool(data["threads"]["requested"]),
        {
            port["name"]: _read_lengths(port["lengths"], buffers)
            for port in as_list(data["outputs"])
            if "lengths" in port
        },
        {as_text(each["name"]): as_text(each["sha256"]) for each in as_list(data.get("customOps", []))},
    )


def _ports(ports: Any, buffers: Mapping[str, Buffer]) -> tuple[str, ...]:
    """Return the names of inputs or outputs, once each says what its buffer says."""
    names = []
    for port in as_list(ports):
        if port != _port(buffers[port["name"]]) or port["name"] in names:
            raise BundleError(f"'{port['name']}' stands twice in the signature, or is not what the plan says of it")
        names.append(as_text(port["name"]))
    return tuple(names)


def _read_dims(data: Any) -> dict[str, tuple[int, int]]:
    dims = {as_text(d["name"]): (as_count(d["min"]), as_count(d["max"])) for d in as_list(data)}
    if len(dims) != len(data) or len(dims) > MOST_DIMS:
        raise BundleError(f"the {len(data)} dims must have different names, and be {MOST_DIMS} at most")
    return dims


def _read_layer(data: Mapping[str, Any]) -> Layer:
    return Layer(
        as_text(data["name"]), as_text(data["type"]), attrs_from_json(data["config"]), as_texts(data["parameters"])
    )


def _read_packed(data: Mapping[str, Any]) -> Packed:
    return Packed(
        as_text(data["name"]),
        dtype(as_text(data["dtype"])),
        tuple(map(as_count, as_list(data["shape"]))),
        as_text(data["layout"]),
        as_count(data["offset"]),
        as_count(data["size"]),
    )


_Named = TypeVar("_Named", Buffer, Packed)


def _by_name(rows: Iterable[_Named]) -> dict[str, _Named]:
    found: dict[str, _Named] = {}
    for row in rows:
        if row.name in found:
            raise BundleError(f"the name '{row.name}' stands twice")
        found[row.name] = row
    return found


def _sizes(sizes: Any) -> list[Any]:
    return [dm.to_json(s) for s in sizes]


def _port(buffer: Buffer) -> dict[str, Any]:
    return {
        "name": buffer.name,
        "dtype": buffer.dtype.name,
        "shape": _sizes(buffer.shape),
        "offset": buffer.offset,
    }


def _output(name: str, plan: Plan) -> dict[str, Any]:
    port = _port(plan.buffers[name])
    found = [{"axis": x.axis, "name": x.value, "offset": plan.buffers[x.value].offset}
             for x in plan.lengths.get(name, ())]  # fmt: skip
    return {**port, "lengths": found} if found else port


def _without_lengths(port: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in port.items() if key != "lengths"}


def _read_lengths(data: Any, buffers: Mapping[str, Buffer]) -> tuple[Length, ...]:
    """Return an output's lengths, once each says what its buffer says; `validate` looks at the rest."""
    lengths = tuple(Length(as_count(each["axis"]), as_text(each["name"])) for each in as_list(data))
    for each, length in zip(data, lengths):
        if each != {"axis": length.axis, "name": length.value, "offset": buffers[length.value].offset}:
            raise BundleError(f"the length '{length.value}' is not what the plan says of it")
    return lengths


def _buffer(buffer: Buffer) -> dict[str, Any]:
    return {**_port(buffer), "size": buffer.size}


def _read_buffer(data: Mapping[str, Any]) -> Buffer:
    shape = as_shape(data["shape"])
    return Buffer(
        as_text(data["name"]), dtype(as_text(data["dtype"])), shape, as_count(data["offset"]), as_count(data["size"])
    )


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
    for operand in as_list(data.get("operands", [])):
        a, b, c = map(as_size, as_list(operand["strides"]))
        operands.append(Operand((a, b, c), operand["walks"] is True))
    scratch = data.get("scratch")
    return Step(
        kernel=as_text(data["kernel"]),
        op=as_text(data["op"]),
        attrs=attrs_from_json(data["attrs"]),
        inputs=as_texts(data["inputs"]),
        output=as_text(data["output"]),
        shapes=tuple(map(as_shape, as_list(data["shapes"]))),
        shape=as_shape(data["shape"]),
        sizes={name: as_size(size) for name, size in data["sizes"].items()},
        operands=tuple(operands),
        epilogue=Epilogue(ex.from_json(epilogue["expr"]), as_texts(epilogue["inputs"])) if epilogue else None,
        scratch=None if scratch is None else as_text(scratch),
        scope=as_text(data["scope"]),
    )
