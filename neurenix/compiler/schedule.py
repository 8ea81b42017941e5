"""Turns a fused Graph into a Plan: kernels with their sizes, buffers with their offsets, parameters packed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from neurenix import ops
from neurenix.compiler.matching import per_channel
from neurenix.compiler.memory import Lifetime, plan_memory
from neurenix.compiler.names import KernelNames
from neurenix.compiler.strides import map_operands
from neurenix.dims import Shape, Size, bounds, product
from neurenix.dtypes import DType, dtype
from neurenix.errors import UnsupportedError
from neurenix.graph.graph import Array, Graph, Node, Value
from neurenix.graph.packing import aligned, pack, packed_size
from neurenix.graph.plan import Buffer, Operand, Packed, Plan, Step

# Offsets are 32-bit in WebAssembly, and a page of its memory is 64 KiB: stay well inside 2 GiB.
LARGEST_ARENA = (1 << 31) - (1 << 20)


@dataclass
class _Draft:
    """A plan in the making. `alias` maps a reshape's result to the buffer that holds it."""

    graph: Graph
    steps: list[Step] = field(default_factory=list)
    tensors: dict[str, Packed] = field(default_factory=dict)
    weights: list[bytes] = field(default_factory=list)
    weights_size: int = 0
    alias: dict[str, str] = field(default_factory=dict)
    scratch: dict[str, int] = field(default_factory=dict)
    names: KernelNames = field(default_factory=KernelNames)

    def place(self, name: str) -> str:
        while name in self.alias:
            name = self.alias[name]
        return name


def schedule(graph: Graph, labels: tuple[str, ...] = (), threads: bool = True) -> tuple[Plan, bytes]:
    """Return the plan and the bytes of the weights file. Raises UnsupportedError naming the node that has no kernel."""
    draft = _Draft(graph)
    for node in graph.nodes:
        _add(node, draft)
    buffers, arena = _allocate(draft)
    if arena > LARGEST_ARENA:
        raise UnsupportedError(
            f"'{graph.name}' needs {arena / 1e6:.0f} MB of working memory at the largest dims; lower the 'max' of "
            f"{', '.join(graph.dims) or 'its sizes'}"
        )
    plan = Plan(
        graph.name, graph.inputs, graph.outputs, graph.dims, buffers, draft.tensors, tuple(draft.steps),
        draft.weights_size, arena, graph.layers, labels, graph.device, threads,
    )  # fmt: skip
    return plan, b"".join(draft.weights)


def _add(node: Node, draft: _Draft) -> None:
    if node.op == "reshape" and _can_alias(node, draft):
        draft.alias[node.output] = node.inputs[0]
    elif node.op in ("reshape", "map"):
        _add_map(node, draft)
    else:
        _add_structured(node, draft)


def _can_alias(node: Node, draft: _Draft) -> bool:
    """A reshape is the same buffer under another shape; an output has a buffer of its own."""
    return node.output not in draft.graph.outputs and node.inputs[0] not in draft.graph.constants


def _add_map(node: Node, draft: _Draft) -> None:
    values = draft.graph.values
    _needs_float32(node, draft)
    if node.op == "reshape":  # a copy: one operand, walked from end to end
        shapes: list[Shape] = [(product(values[node.output].shape),)]
        out = shapes[0]
        node = replace(node, op="map", attrs={"expr": ops.get("map").bind({"expr": _identity()})["expr"]}, label="copy")
    else:
        shapes, out = [values[i].shape for i in node.inputs], values[node.output].shape
    sizes, operands = map_operands(shapes, out, node)
    inputs = tuple(_argument(i, "pad8" if o.walks else "rows", draft) for i, o in zip(node.inputs, operands))
    name = draft.names.of(node, "map.c", tuple(o.walks for o in operands))
    draft.steps.append(
        Step(name, "map", node.attrs, inputs, draft.place(node.output), tuple(shapes), out, sizes, operands, None, None,
             node.scope, node.label)
    )  # fmt: skip


def _add_structured(node: Node, draft: _Draft) -> None:
    row, values = ops.get(node.op), draft.graph.values
    where = f"'{node.output}'" + (f" in layer '{node.scope}'" if node.scope else "")
    if row.kernel is None:
        raise UnsupportedError(f"op '{node.op}' ({where}) has no kernel in this version and cannot be compiled")
    _needs_float32(node, draft)
    shapes, out = [values[i].shape for i in node.inputs], values[node.output].shape
    sizes = row.kernel.sizes(shapes, out, node.attrs)
    if len(sizes) > 0 and row.name == "permute" and len(out) > 4:
        raise UnsupportedError(f"op 'permute' ({where}) has {len(out)} axes; its kernel takes 4")
    inputs = []
    for name, layout in zip(node.inputs, row.kernel.packing):
        if layout is not None and (
            name not in draft.graph.constants or (len(values[name].shape) > 2 and node.op == "matmul")
        ):
            raise UnsupportedError(f"op '{node.op}' ({where}) multiplies by '{name}', which must be a constant matrix")
        inputs.append(_argument(name, layout or "rows", draft))
    epilogue = node.epilogue
    if epilogue:
        layouts = [_epilogue_layout(values[i].shape, out) for i in epilogue.inputs]
        epilogue = replace(epilogue, inputs=tuple(_argument(i, x, draft) for i, x in zip(epilogue.inputs, layouts)))
        name = draft.names.of(node, row.kernel.source, tuple(layouts))
    else:
        name = draft.names.of(node, row.kernel.source, ())
    scratch = None
    if row.kernel.scratch is not None:
        scratch = f"scratch_{len(draft.steps)}"
        draft.scratch[scratch] = bounds(row.kernel.scratch(sizes), draft.graph.dims)[1] * 4
    draft.steps.append(
        Step(name, node.op, node.attrs, tuple(inputs), draft.place(node.output),
             tuple(values[i].shape for i in node.reads), out, sizes, (), epilogue, scratch, node.scope, node.label)
    )  # fmt: skip


def _needs_float32(node: Node, draft: _Draft) -> None:
    for name in (*node.reads, node.output):
        if draft.graph.values[name].dtype.name != "float32":
            where = f"'{node.output}'" + (f" in layer '{node.scope}'" if node.scope else "")
            of = draft.graph.values[name].dtype
            raise UnsupportedError(f"op '{node.op}' ({where}) works on '{name}', which is {of}: make it float32")


def _identity() -> object:
    from neurenix import expr  # a name that would shadow the attribute of the same name above

    return expr.operand(0)


def _epilogue_layout(shape: Shape, out: Shape) -> str:
    return "pad8" if shape != out and per_channel(shape, out, 1) else "rows"


def _argument(name: str, layout: str, draft: _Draft) -> str:
    """Return the name by which a step reads a value; a constant is packed on its first use in a layout."""
    array = draft.graph.constants.get(name)
    if array is None:
        return draft.place(name)
    if dtype(array.dtype).name != "float32":
        raise UnsupportedError(f"the constant '{name}' is {array.dtype}; kernels take float32")
    known = name if layout == "rows" else f"{name}:{layout}"
    if known not in draft.tensors:
        _pack(known, array, layout, draft)
    return known


def _pack(name: str, array: Array, layout: str, draft: _Draft) -> None:
    size = packed_size(array.shape, array.itemsize, layout)
    draft.tensors[name] = Packed(name, dtype(array.dtype), array.shape, layout, draft.weights_size, size)
    draft.weights.append(pack(array, layout).ljust(aligned(size), b"\0"))
    draft.weights_size += aligned(size)


def _allocate(draft: _Draft) -> tuple[dict[str, Buffer], int]:
    graph, last = draft.graph, len(draft.steps)
    first: dict[str, int] = dict.fromkeys(graph.inputs, -1)
    until: dict[str, int] = dict.fromkeys(graph.inputs, -1)
    for at, step in enumerate(draft.steps):
        for name in (step.output, *([step.scratch] if step.scratch else [])):
            first.setdefault(name, at)
            until[name] = at
        for name in (*step.inputs, *(step.epilogue.inputs if step.epilogue else ())):
            if name not in draft.tensors:
                until[name] = at
    until |= dict.fromkeys(graph.outputs, last)
    values: Mapping[str, Value] = graph.values
    sizes = {
        n: draft.scratch[n] if n in draft.scratch else _bytes(values[n].shape, values[n].dtype, draft) for n in first
    }
    offsets, arena = plan_memory({n: Lifetime(sizes[n], first[n], until[n]) for n in first})
    float32 = dtype("float32")
    buffers = {}
    for name, offset in offsets.items():
        if name in draft.scratch:
            buffers[name] = Buffer(name, float32, (sizes[name] // 4,), offset, sizes[name])
        else:
            buffers[name] = Buffer(name, values[name].dtype, values[name].shape, offset, sizes[name])
    return buffers, arena


def _bytes(shape: Shape, of: DType, draft: _Draft) -> int:
    size: Size = product(shape)
    return bounds(size, draft.graph.dims)[1] * of.size


__all__ = ["Operand", "schedule"]
