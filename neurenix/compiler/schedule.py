"""Turns a fused Graph into a Plan: kernels with their sizes, buffers with their offsets, parameters packed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from io import BytesIO

from neurenix import expr, ops
from neurenix.compiler.matching import per_channel
from neurenix.compiler.memory import Lifetime, plan_memory
from neurenix.compiler.names import KernelNames
from neurenix.compiler.strides import map_operands
from neurenix.dims import Shape, Size, bounds, product
from neurenix.dtypes import DType, dtype
from neurenix.errors import UnsupportedError
from neurenix.graph.graph import Array, Graph, Node, Value
from neurenix.graph.packing import aligned, pack, packed_size
from neurenix.graph.plan import Buffer, Packed, Plan, Step
from neurenix.ops.user_source import ANY

# Offsets are 32-bit in WebAssembly, and a page of its memory is 64 KiB: stay well inside 2 GiB.
LARGEST_ARENA = (1 << 31) - (1 << 20)


@dataclass
class _Draft:
    """A plan in the making. `alias` maps a value to the one whose buffer it shares."""

    graph: Graph
    steps: list[Step] = field(default_factory=list)
    tensors: dict[str, Packed] = field(default_factory=dict)
    weights: BytesIO = field(default_factory=BytesIO)  # which hands out its bytes without a copy
    weights_size: int = 0
    alias: dict[str, str] = field(default_factory=dict)
    scratch: dict[str, int] = field(default_factory=dict)
    names: KernelNames = field(default_factory=KernelNames)
    done: int = 0  # nodes

    def place(self, name: str) -> str:
        while name in self.alias:
            name = self.alias[name]
        return name

    def share(self, name: str, with_: str) -> None:
        self.alias[name] = with_

    def is_passing(self, name: str) -> bool:
        """Say whether a value's buffer is made and read by steps alone: it is no input, parameter or output."""
        return self.place(name) not in (*self.graph.inputs, *self.graph.constants, *self.graph.results)

    def rename(self, name: str, output: str) -> None:
        """Make the buffer that steps wrote a passing value to that of an output, which has the same elements."""
        old = self.place(name)
        self.alias[old] = output

        def named(names: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(output if n == old else n for n in names)

        for at, step in enumerate(self.steps):
            epilogue = step.epilogue and replace(step.epilogue, inputs=named(step.epilogue.inputs))
            made = output if step.output == old else step.output
            self.steps[at] = replace(step, inputs=named(step.inputs), output=made, epilogue=epilogue)

    def is_last_reader(self, name: str) -> bool:
        """Say whether the node being added is the last to read a value's buffer, under any name."""
        place = self.place(name)
        if not self.is_passing(name):
            return False
        members = {place, *(n for n in self.alias if self.place(n) == place)}
        return not any(members & set(node.reads) for node in self.graph.nodes[self.done + 1 :])


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
        draft.weights_size, arena, graph.layers, labels, graph.device, threads, graph.lengths,
        _custom(draft),
    )  # fmt: skip
    return plan, draft.weights.getvalue()


def _custom(draft: _Draft) -> dict[str, str]:
    users = (ops.get(step.op).kernel for step in draft.steps if step.op != "map")
    return {kernel.user.op: kernel.user.digest for kernel in users if kernel is not None and kernel.user is not None}


def _add(node: Node, draft: _Draft) -> None:
    if node.op == "reshape" and _can_alias(node, draft):
        draft.share(node.output, node.inputs[0])
    elif node.op == "reshape" and draft.is_passing(node.inputs[0]):
        draft.rename(node.inputs[0], node.output)
    elif node.op == "reshape":
        _add_copy(node, node.inputs[0], draft)
    elif node.op == "map":
        shapes = [draft.graph.values[i].shape for i in node.inputs]
        _add_map(node, shapes, draft.graph.values[node.output].shape, draft)
    else:
        _add_structured(node, draft)
    draft.done += 1


def _where(node: Node) -> str:
    return f"op '{node.op}' ('{node.output}'" + (f" in layer '{node.scope}')" if node.scope else ")")


def _can_alias(node: Node, draft: _Draft) -> bool:
    """A reshape is the same buffer under another shape; an output has a buffer of its own."""
    return node.output not in draft.graph.results and node.inputs[0] not in draft.graph.constants


def _add_copy(node: Node, source: str, draft: _Draft) -> None:
    """Copy a value into the node's output: one operand, walked from end to end."""
    flat = (product(draft.graph.values[node.output].shape),)
    copy = Node("map", (source,), node.output, {"expr": expr.operand(0), "dtype": None}, scope=node.scope, label="copy")
    _add_map(copy, [flat], flat, draft)


def _add_map(node: Node, shapes: list[Shape], out: Shape, draft: _Draft) -> None:
    values = draft.graph.values
    sizes, operands = map_operands(shapes, out, node)
    dtypes = tuple(values[name].dtype.name for name in (*node.inputs, node.output))
    vector = set(dtypes) == {"float32"} and expr.vectorises(node.attrs["expr"])
    layouts = ["pad8" if o.walks and vector else "rows" for o in operands]
    inputs = tuple(_argument(i, layout, draft) for i, layout in zip(node.inputs, layouts))
    key = (tuple(o.walks for o in operands), () if vector else dtypes)
    name = draft.names.of(node, "map.c" if vector else "map_scalar.c", key)
    draft.steps.append(
        Step(name, "map", node.attrs, inputs, draft.place(node.output), tuple(shapes), out, sizes, operands, None, None,
             node.scope, node.label)
    )  # fmt: skip


def _add_structured(node: Node, draft: _Draft) -> None:
    kernel, values = ops.get(node.op).kernel, draft.graph.values
    if kernel is None:
        raise UnsupportedError(f"{_where(node)} has no kernel in this version and cannot be compiled")
    dtypes = _kernel_dtypes(kernel, node, draft)
    shapes, out = [values[i].shape for i in node.inputs], values[node.output].shape
    sizes = kernel.sizes(shapes, out, node.attrs)
    if kernel.in_place:
        node = _in_place(node, draft)
    inputs = []
    for name, layout in zip(node.inputs, (*kernel.packing, *[None] * len(node.inputs))):
        if layout is not None and name not in draft.graph.constants:
            raise UnsupportedError(f"{_where(node)} needs '{name}' to be a constant")
        inputs.append(_argument(name, layout or "rows", draft))
    epilogue, layouts = node.epilogue, []
    if epilogue:
        layouts = [_epilogue_layout(values[i].shape, out) for i in epilogue.inputs]
        epilogue = replace(epilogue, inputs=tuple(_argument(i, x, draft) for i, x in zip(epilogue.inputs, layouts)))
    defines = tuple(sorted(kernel.defines(node.attrs).items())) if kernel.defines else ()
    labelled = node if kernel.user is None else replace(node, label=kernel.source)
    name = draft.names.of(labelled, kernel.source, (tuple(layouts), dtypes, defines))
    scratch = None
    if kernel.scratch is not None:
        scratch = f"scratch_{len(draft.steps)}"
        draft.scratch[scratch] = bounds(kernel.scratch(sizes), draft.graph.dims)[1] * 4
    draft.steps.append(
        Step(name, node.op, node.attrs, tuple(inputs), draft.place(node.output),
             tuple(values[i].shape for i in node.reads), out, sizes, (), epilogue, scratch, node.scope, node.label)
    )  # fmt: skip


def _kernel_dtypes(kernel: ops.Kernel, node: Node, draft: _Draft) -> tuple[str, ...]:
    """Return the dtypes that the function is printed for; a kernel that is not typed takes float32 alone."""
    indices = set() if kernel.index is None else {node.inputs[kernel.index]}
    for name, wanted in zip(node.inputs, kernel.user.takes if kernel.user else ()):
        of = draft.graph.values[name].dtype.name
        if wanted not in (ANY, of):
            raise UnsupportedError(f"{_where(node)} works on '{name}', which is {of}; its kernel takes {wanted}")
    for name in (*node.reads, node.output):
        of = draft.graph.values[name].dtype.name
        if not kernel.typed and name not in indices and of != "float32":
            raise UnsupportedError(f"{_where(node)} works on '{name}', which is {of}; its kernel takes float32")
    return (
        tuple(draft.graph.values[n].dtype.name for n in (*node.inputs, node.output)) if kernel.typed or indices else ()
    )


def _in_place(node: Node, draft: _Draft) -> Node:
    """Let the output be input 0's buffer where nobody else reads that any more, this node included; else copy it."""
    own = draft.place(node.inputs[0])
    shared = any(draft.place(name) == own for name in node.inputs[1:])
    if draft.is_last_reader(node.inputs[0]) and not shared:
        if node.output in draft.graph.results:
            draft.rename(node.inputs[0], node.output)
            return replace(node, inputs=(node.output, *node.inputs[1:]))
        draft.share(node.output, node.inputs[0])
        return node
    _add_copy(node, node.inputs[0], draft)
    return replace(node, inputs=(node.output, *node.inputs[1:]))


def _epilogue_layout(shape: Shape, out: Shape) -> str:
    return "pad8" if shape != out and per_channel(shape, out, 1) else "rows"


def _argument(name: str, layout: str, draft: _Draft) -> str:
    """Return the name by which a step reads a value; a constant is packed on its first use in a layout."""
    array = draft.graph.constants.get(name)
    if array is None:
        return draft.place(name)
    known = name if layout == "rows" else f"{name}:{layout}"
    if known not in draft.tensors:
        _pack(known, array, layout, draft)
    return known


def _pack(name: str, array: Array, layout: str, draft: _Draft) -> None:
    size = packed_size(array.shape, array.itemsize, layout)
    draft.tensors[name] = Packed(name, dtype(array.dtype), array.shape, layout, draft.weights_size, size)
    draft.weights.write(pack(array, layout))
    draft.weights.write(bytes(aligned(size) - size))
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
    until |= dict.fromkeys(graph.results, last)
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
