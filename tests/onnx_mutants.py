"""Damaged ONNX files: bytes, fields and structures of real models changed at random, for tests of what reads them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import onnx
from google.protobuf.message import DecodeError

# What hostile files try: sizes that overflow, negative axes, zero groups, huge repeats.
NUMBERS = (0, 1, -1, 2, -2, 3, 7, 2**31 - 1, 2**31, -(2**31), 2**40, 2**62, -(2**63), 2**63 - 1)
FLOATS = (0.0, -0.0, 1.0, -1.0, 1e38, -1e38, 1e-45, float("inf"), float("-inf"), float("nan"))

Mutation = Callable[[onnx.ModelProto, random.Random], None]


def mutants(models: list[onnx.ModelProto], count: int, seed: int = 0) -> Iterator[tuple[int, onnx.ModelProto]]:
    """Yield models, each damaged in one to three places; the number says how to make the same one again."""
    for number in range(count):
        rng = random.Random(f"{seed}:{number}")
        mutant = onnx.ModelProto()
        mutant.CopyFrom(rng.choice(models))
        for _ in range(rng.randint(1, 3)):
            with suppress(UnicodeDecodeError):  # an earlier change of bytes left a name that Python cannot read
                rng.choice(_MUTATIONS)(mutant, rng)
        yield number, mutant


def _bytes(model: onnx.ModelProto, rng: random.Random) -> None:
    raw = bytearray(model.SerializeToString())
    for _ in range(rng.randint(1, 4)):
        raw[rng.randrange(len(raw))] = rng.randrange(256)
    changed = onnx.ModelProto()
    try:
        changed.ParseFromString(bytes(raw))
    except (DecodeError, RuntimeError):
        return  # protobuf refuses it: nothing of ours would see it
    model.CopyFrom(changed)


def _attribute(model: onnx.ModelProto, rng: random.Random) -> None:
    found = [a for n in model.graph.node for a in n.attribute]
    if not found:
        return
    attribute = rng.choice(found)
    kinds = onnx.AttributeProto
    if attribute.type == kinds.INT:
        attribute.i = rng.choice(NUMBERS)
    elif attribute.type == kinds.FLOAT:
        attribute.f = rng.choice(FLOATS)
    elif attribute.type == kinds.INTS and attribute.ints:
        attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(NUMBERS)
    elif attribute.type == kinds.INTS:
        attribute.ints.extend([rng.choice(NUMBERS)] * rng.randint(1, 3))
    elif attribute.type == kinds.STRING:
        attribute.s = rng.choice([b"", b"\xff", b"linear", b"SAME_UPPER", b"x" * 300])
    else:
        attribute.type = rng.choice([kinds.INT, kinds.FLOAT, kinds.STRING, kinds.INTS, kinds.TENSOR, kinds.GRAPH])


def _drop_attribute(model: onnx.ModelProto, rng: random.Random) -> None:
    node = _node(model, rng)
    if node is not None and node.attribute:
        del node.attribute[rng.randrange(len(node.attribute))]


def _new_attribute(model: onnx.ModelProto, rng: random.Random) -> None:
    node = _node(model, rng)
    if node is not None:
        name = rng.choice(["axis", "axes", "group", "keepdims", "to", "perm", "pads", "kernel_shape", "x"])
        value: Any = rng.choice([rng.choice(NUMBERS), [rng.choice(NUMBERS)] * 2, "text", 1.5])
        node.attribute.append(onnx.helper.make_attribute(name, value))


def _operator(model: onnx.ModelProto, rng: random.Random) -> None:
    node = _node(model, rng)
    if node is not None:
        schemas = onnx.defs.get_all_schemas()
        node.op_type = rng.choice([rng.choice(schemas).name, "Nothing", ""])


def _wiring(model: onnx.ModelProto, rng: random.Random) -> None:
    node = _node(model, rng)
    names = [n for each in model.graph.node for n in (*each.input, *each.output)] + [i.name for i in model.graph.input]
    if node is not None and node.input and names:
        action = rng.randrange(4)
        if action == 0:
            node.input[rng.randrange(len(node.input))] = rng.choice([*names, ""])
        elif action == 1:
            node.input.append(rng.choice(names))
        elif action == 2:
            del node.input[rng.randrange(len(node.input))]
        elif node.output:
            node.output[0] = rng.choice(names)


def _constant(model: onnx.ModelProto, rng: random.Random) -> None:
    tensors = [*model.graph.initializer, *(a.t for n in model.graph.node for a in n.attribute if a.HasField("t"))]
    if not tensors:
        return
    tensor = rng.choice(tensors)
    action = rng.randrange(4)
    if action == 0:
        tensor.dims.append(rng.choice(NUMBERS))
    elif action == 1 and tensor.dims:
        tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(NUMBERS)
    elif action == 2:
        tensor.data_type = rng.randrange(0, 30)
    elif tensor.raw_data:
        raw = bytearray(tensor.raw_data)
        raw[rng.randrange(len(raw))] = rng.choice([0, 255, 128, 1])
        tensor.raw_data = bytes(raw)


def _signature(model: onnx.ModelProto, rng: random.Random) -> None:
    values = [*model.graph.input, *model.graph.output]
    if not values:
        return
    value = rng.choice(values)
    tensor = value.type.tensor_type
    action = rng.randrange(4)
    if action == 0 and tensor.shape.dim:
        tensor.shape.dim[rng.randrange(len(tensor.shape.dim))].dim_value = rng.choice(NUMBERS)
    elif action == 1:
        tensor.elem_type = rng.randrange(0, 30)
    elif action == 2:
        value.name = rng.choice(["", "../../x", "constructor", "a" * 500, "__proto__"])
    else:
        tensor.shape.dim.add().dim_param = rng.choice(["n", "", "n+1", "\0", "a" * 500])


def _opset(model: onnx.ModelProto, rng: random.Random) -> None:
    if model.opset_import:
        model.opset_import[0].version = rng.choice([*range(7, 28), 0, -1, 2**40])


def _node(model: onnx.ModelProto, rng: random.Random) -> onnx.NodeProto | None:
    nodes = list(model.graph.node)
    for node in list(nodes):
        nodes += [n for a in node.attribute if a.HasField("g") for n in a.g.node]
    return rng.choice(nodes) if nodes else None


_MUTATIONS: tuple[Mutation, ...] = (
    _attribute, _attribute, _bytes, _constant, _constant, _drop_attribute, _new_attribute, _operator, _opset,
    _signature, _wiring, _wiring,
)  # fmt: skip
