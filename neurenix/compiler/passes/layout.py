"""Turns image tensors to channels-last inside the model; the borders keep the author's layout.

Every op whose kernel wants NHWC gets a permutation before and one behind it. Permutations then sink through
elementwise maps, joins, reductions and the like, meet their opposites and vanish, and one before a flatten moves into
the weights that read it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

import numpy as np

from neurenix import ops
from neurenix.compiler.matching import Rewriter
from neurenix.compiler.passes.tidy import tidy
from neurenix.dims import Shape, product
from neurenix.graph.graph import Array, Epilogue, Graph, Node
from neurenix.ops import convolution
from neurenix.ops.op import Attrs
from neurenix.ops.reduce import groups
from neurenix.ops.shapes import axis_of

TO_LAST = (0, 2, 3, 1)  # NCHW to NHWC
TO_FIRST = (0, 3, 1, 2)
REDUCTIONS = ("sum", "mean", "max", "min")


def channels_last(graph: Graph) -> Graph:
    """Insert, sink, cancel, and fold into weights."""
    return tidy(_fold_flatten(tidy(_insert(graph))))


def _insert(graph: Graph) -> Graph:
    rewriter = Rewriter.of(graph)
    nodes: list[Node] = []
    turned: dict[str, str] = {}  # a value in NCHW -> the same in NHWC
    read = {node.inputs[0] for node in graph.nodes if _wants_last(node)}

    def to_last(name: str, like: Node) -> str:
        if name not in turned:
            shape = rewriter.shape(name)
            if name in rewriter.constants:
                array = rewriter.constants[name]
                full = array.reshape((1,) * (4 - array.ndim) + array.shape)
                return rewriter.constant(name, full.transpose(TO_LAST), name)
            turned[name] = rewriter.value(f"{name}_nhwc", name, tuple(shape[a] for a in TO_LAST))
            nodes.append(Node("permute", (name,), turned[name], {"axes": TO_LAST}, scope=like.scope, label="permute"))
        return turned[name]

    def emit(node: Node) -> None:
        """Add a node that now makes NHWC, and the way back for whoever still reads NCHW."""
        name, shape = node.output, rewriter.shape(node.output)
        last = rewriter.value(f"{name}_nhwc", name, tuple(shape[a] for a in TO_LAST))
        turned[name] = last
        nodes.append(replace(node, output=last))
        nodes.append(Node("permute", (last,), name, {"axes": TO_FIRST}, scope=node.scope, label="permute"))

    for node in graph.nodes:
        if _wants_last(node):
            inputs = [to_last(node.inputs[0], node)]
            for name in node.inputs[1:]:
                inputs.append(rewriter.constant(name, _weight_to_last(node, rewriter.constants[name]), name))
            epilogue = node.epilogue and Epilogue(
                node.epilogue.expr, tuple(to_last(i, node) for i in node.epilogue.inputs)
            )
            emit(replace(node, inputs=tuple(inputs), attrs={**node.attrs, "layout": "NHWC"}, epilogue=epilogue))
        elif node.op == "map" and all(_turns(i, rewriter) for i in (*node.inputs, node.output)) \
                and (any(i in turned for i in node.inputs) or _lies_between(node, read, rewriter)):  # fmt: skip
            emit(replace(node, inputs=tuple(to_last(i, node) for i in node.inputs)))
        elif node.op in FOLLOWING and node.inputs[0] in turned and not node.epilogue \
                and (attrs := FOLLOWING[node.op](node, rewriter)) is not None:  # fmt: skip
            rest = (to_last(i, node) if node.op == "place" else i for i in node.inputs[1:])
            emit(replace(node, inputs=(to_last(node.inputs[0], node), *rest), attrs=attrs))
        else:
            nodes.append(node)
    return rewriter.finish(nodes)


def _by_axis(node: Node, rewriter: Rewriter) -> Attrs | None:
    """Turn attributes that have an entry for each axis."""
    return {k: tuple(v[a] for a in TO_LAST) if isinstance(v, tuple) else v for k, v in node.attrs.items()}


def _gathered(node: Node, rewriter: Rewriter) -> Attrs | None:
    """Turn the axis of a gather that takes places along it, and no shape of them."""
    if len(rewriter.shape(node.inputs[1])) != 1:
        return None
    return {**node.attrs, "axis": TO_LAST.index(axis_of(node.attrs["axis"], 4))}


def _reduced(node: Node, rewriter: Rewriter) -> Attrs | None:
    """Turn the axes of a reduction that keeps them as 1, where they lie together afterwards too."""
    if not node.attrs["keepdims"] or node.attrs["axes"] is None:
        return None
    axes = sorted(TO_LAST.index(axis_of(a, 4)) for a in node.attrs["axes"])
    shape = tuple(rewriter.shape(node.inputs[0])[a] for a in TO_LAST)
    return {**node.attrs, "axes": tuple(axes)} if len(groups(shape, axes)) < 2 else None


# What takes images in either layout: how its attributes are turned, None where it stays as it is.
FOLLOWING: dict[str, Callable[[Node, Rewriter], Attrs | None]] = {
    "pad": _by_axis, "place": _by_axis, "gather": _gathered, **dict.fromkeys(REDUCTIONS, _reduced),
}  # fmt: skip


def _weight_to_last(node: Node, weight: Array) -> Array:
    """Turn what a channels-last kernel reads beside the image; lowering has left only constants there."""
    if node.op == "depthwise2d":
        return np.asarray(weight[:, 0].transpose(1, 2, 0))
    assert node.op == "conv2d", node.op
    return convolution.to_last(weight, node.attrs["groups"])


def _wants_last(node: Node) -> bool:
    kernel = ops.get(node.op).kernel
    return kernel is not None and kernel.channels_last


def _lies_between(node: Node, read: Collection[str], rewriter: Rewriter) -> bool:
    """Say whether a map reads what a permutation has just laid out, and an op that wants NHWC reads the map."""
    images = [i for i in node.inputs if i not in rewriter.constants]
    moved = rewriter.maker(images[0], "reshape") if len(images) == 1 and node.output in read else None
    return moved is not None and rewriter.maker(moved.inputs[0], "permute") is not None


def _turns(name: str, rewriter: Rewriter) -> bool:
    return name in rewriter.constants or len(rewriter.shape(name)) == 4


def _fold_flatten(graph: Graph) -> Graph:
    """permute, reshape to (N, C H W), matmul by constant B: permute the rows of B instead."""
    rewriter = Rewriter.of(graph)
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in node.reads:
            readers.setdefault(name, []).append(node)
    nodes = list(graph.nodes)
    for at, node in enumerate(graph.nodes):
        source = rewriter.maker(node.inputs[0], "permute") if node.op == "reshape" and node.inputs else None
        if source is None or tuple(source.attrs["axes"]) != TO_FIRST or node.output in graph.results:
            continue
        shape = rewriter.shape(source.output)
        if not _flattens(shape, rewriter.shape(node.output)):
            continue
        users = readers.get(node.output, [])
        if not all(_multiplies(user, node.output, rewriter) for user in users):
            continue
        for user in users:
            weight = _rows_to_last(rewriter.constants[user.inputs[1]], shape)
            name = rewriter.constant(user.inputs[1], weight, user.inputs[1])
            nodes[graph.nodes.index(user)] = replace(user, inputs=(user.inputs[0], name))
        nodes[at] = replace(node, inputs=source.inputs, attrs={"shape": rewriter.shape(node.output)})
    return rewriter.finish(nodes)


def _flattens(image: Shape, flat: Shape) -> bool:
    return len(flat) == 2 and flat[0] == image[0] and flat[1] == product(image[1:]) and isinstance(flat[1], int)


def _multiplies(user: Node, name: str, rewriter: Rewriter) -> bool:
    return (
        user.op == "matmul" and user.inputs[0] == name and user.reads.count(name) == 1
        and user.inputs[1] in rewriter.constants and rewriter.constants[user.inputs[1]].ndim == 2
    )  # fmt: skip


def _rows_to_last(weight: Array, image: Shape) -> Array:
    _, c, h, w = image
    assert isinstance(c, int) and isinstance(h, int) and isinstance(w, int)
    return np.asarray(weight.reshape(c, h, w, -1).transpose(1, 2, 0, 3).reshape(weight.shape))
