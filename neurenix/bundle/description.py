"""A Plan as the JSON of the bundle's manifest, and back. FORMAT.md is the specification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neurenix import dims as dm
from neurenix import expr as ex
from neurenix.dims import Shape, Size
from neurenix.dtypes import dtype
from neurenix.errors import BundleError, NeurenixError
from neurenix.graph.graph import Epilogue, Layer
from neurenix.graph.plan import Buffer, Operand, Packed, Plan, Step
from neurenix.graph.store import attrs_from_json, attrs_to_json


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
    try:
        return _read(data)
    except NeurenixError as error:
        raise BundleError(f"the description of the model is malformed: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise BundleError(f"the description of the model is malformed: {type(error).__name__} {error}") from error


def _read(data: Mapping[str, Any]) -> Plan:
    buffers = {b["name"]: _read_buffer(b) for b in data["plan"]["buffers"]}
    tensors = {
        t["name"]: Packed(
            t["name"],
            dtype(t["dtype"]),
            tuple(map(_count, t["shape"])),
            t["layout"],
            _count(t["offset"]),
            _count(t["size"]),
        )
        for t in data["tensors"]
    }
    steps = tuple(map(_read_step, data["plan"]["steps"]))
    for step in steps:
        for name in (*step.inputs, step.output, *(step.epilogue.inputs if step.epilogue else ())):
            if name not in buffers and name not in tensors:
                raise BundleError(f"step '{step.kernel}' names '{name}', which is no buffer and no tensor")
    return Plan(
        str(data["name"]),
        tuple(p["name"] for p in data["inputs"]),
        tuple(p["name"] for p in data["outputs"]),
        {d["name"]: (_count(d["min"]), _count(d["max"])) for d in data["dims"]},
        buffers,
        tensors,
        steps,
        _count(data["memory"]["weights"]),
        _count(data["memory"]["arena"]),
        tuple(
            Layer(x["name"], x["type"], attrs_from_json(x["config"]), tuple(x["parameters"])) for x in data["layers"]
        ),
        tuple(map(str, data.get("labels", ()))),
        str(data["device"]),
        bool(data["threads"]["requested"]),
    )


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 1 << 53:
        raise BundleError(f"{value!r} is no size")
    return value


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
    shape = tuple(map(dm.from_json, data["shape"]))
    return Buffer(str(data["name"]), dtype(data["dtype"]), shape, _count(data["offset"]), _count(data["size"]))


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
    sizes: dict[str, Size] = {str(k): dm.from_json(v) for k, v in data["sizes"].items()}
    operands = []
    for o in data.get("operands", ()):
        a, b, c = map(dm.from_json, o["strides"])
        operands.append(Operand((a, b, c), bool(o["walks"])))
    return Step(
        kernel=str(data["kernel"]),
        op=str(data["op"]),
        attrs=attrs_from_json(data["attrs"]),
        inputs=tuple(data["inputs"]),
        output=str(data["output"]),
        shapes=tuple(map(_shape, data["shapes"])),
        shape=_shape(data["shape"]),
        sizes=sizes,
        operands=tuple(operands),
        epilogue=epilogue and Epilogue(ex.from_json(epilogue["expr"]), tuple(epilogue["inputs"])),
        scratch=data.get("scratch"),
        scope=str(data["scope"]),
    )


def _shape(data: Any) -> Shape:
    return tuple(map(dm.from_json, data))
