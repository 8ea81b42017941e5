"""Fuses chains of elementwise ops into one `map`, and a map behind a contraction into its epilogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from neurenix import expr as ex
from neurenix import ops
from neurenix.compiler.matching import (
    Rewriter,
    alive,
    channel_axis,
    has_epilogue,
    is_elementwise,
    per_channel,
)
from neurenix.graph.graph import Array, Epilogue, Graph, Node

# More operands than this need more registers for pointers than a kernel has.
MOST_OPERANDS = 8

# What an expression may pass on inside itself: other integers would lose their wrapping around.
INLINED = ("float32", "float64", "int64", "bool")

# Floats of these dtypes are computed with in another width than float64: one expression has one.
NARROW = ("float32", "float16")

# Nodes of a fused expression written out as a tree: its JSON stays small and shallow enough to be read back.
LARGEST_EXPRESSION = 128


def fuse_elementwise(graph: Graph) -> Graph:
    """Turn every elementwise node into a `map`, taking in the maps before it that nobody else reads."""
    rewriter = Rewriter.of(graph)
    kept: list[Node] = []
    for node in graph.nodes:
        if is_elementwise(node):
            node = _inline(node, rewriter)
        rewriter.makers[node.output] = node
        kept.append(node)
    return rewriter.finish(alive(kept, graph.results))


def fuse_epilogues(graph: Graph) -> Graph:
    """Attach each map to the contraction whose result it alone reads, where their shapes agree."""
    rewriter = Rewriter.of(graph)
    kept: list[Node] = []
    for node in graph.nodes:
        host = _host(node, rewriter) if node.op == "map" else None
        if host is not None:
            kept.remove(host)
            node = _attached(host, node)
        rewriter.makers[node.output] = node
        kept.append(node)
    return rewriter.finish(kept)


def _inline(node: Node, rewriter: Rewriter) -> Node:
    shape = rewriter.shape(node.output)
    inputs: list[str] = []
    parts: list[ex.Expr] = []
    labels: list[str] = []
    written = ops.get(node.op).expression(node.attrs)
    sizes = [1] * len(node.inputs)

    def operand(name: str) -> ex.Expr:
        if name not in inputs:
            inputs.append(name)
        return ex.operand(inputs.index(name))

    for i, name in enumerate(node.inputs):
        array = rewriter.constants.get(name)
        before = rewriter.maker(name, "map")
        if array is not None and array.size == 1 and _is_exact(array):
            parts.append(ex.const(float(array.reshape(())[()])))
        elif (
            before is not None and rewriter.only_use(name) and rewriter.shape(name) == shape
            and rewriter.values[name].dtype.name in INLINED
            and _one_width([*before.inputs, name, *node.inputs, node.output], rewriter)
            and len({*inputs, *before.inputs, *node.inputs}) <= MOST_OPERANDS
            and ex.tree_size(written, [*sizes[:i], ex.tree_size(before.attrs["expr"])]) <= LARGEST_EXPRESSION
        ):  # fmt: skip
            sizes[i] = ex.tree_size(before.attrs["expr"])
            parts.append(ex.substitute(before.attrs["expr"], [operand(n) for n in before.inputs]))
            labels.append(before.label)
        else:
            parts.append(operand(name))
    expression = ex.substitute(written, parts)
    if not inputs:  # every operand was a number: keep one input, which gives the shape
        inputs.append(node.inputs[int(np.argmax([rewriter.constants[i].size for i in node.inputs]))])
    label = "_".join([*labels, node.op if node.op != "map" else node.label])
    made = rewriter.values[node.output].dtype
    dtype = None if rewriter.values[inputs[0]].dtype == made else made.name
    return replace(node, op="map", inputs=tuple(inputs), attrs={"expr": expression, "dtype": dtype}, label=label)


def _one_width(names: Sequence[str], rewriter: Rewriter) -> bool:
    found = {rewriter.values[name].dtype.name for name in names}
    return "float64" not in found or not found & {*NARROW}


def _is_exact(array: Array) -> bool:
    """Say whether a Python float holds this one value exactly, as a constant of an expression must."""
    return array.dtype.kind in "fb" or bool(abs(int(array.reshape(()))) < 1 << 53)


def _host(node: Node, rewriter: Rewriter) -> Node | None:
    for name in node.inputs:
        host = rewriter.makers.get(name)
        if host is None or not has_epilogue(host) or host.epilogue or not rewriter.only_use(name):
            continue
        out = rewriter.shape(node.output)
        axis = channel_axis(host)
        others = [(i in rewriter.constants, rewriter.shape(i)) for i in node.inputs if i != name]
        # Values by channel are padded to a whole panel in the weights file; a tensor made at run time is not.
        floats = ex.vectorises(node.attrs["expr"]) and all(
            rewriter.values[i].dtype.name == "float32" for i in (*node.inputs, node.output)
        )
        if (
            floats
            and rewriter.shape(name) == out
            and all(s == out or (constant and per_channel(s, out, axis)) for constant, s in others)
        ):
            return host
    return None


def _attached(host: Node, node: Node) -> Node:
    others = tuple(i for i in node.inputs if i != host.output)
    order = [ex.operand(0 if i == host.output else others.index(i) + 1) for i in node.inputs]
    expression = ex.substitute(node.attrs["expr"], order)
    return replace(host, output=node.output, epilogue=Epilogue(expression, others), label=f"{host.label}_{node.label}")
