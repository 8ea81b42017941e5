"""Has elementwise nodes and slices work before an axis of 1 is taken away: a convolution of sounds is one of images.

A convolution along one axis is one along two with an axis of 1, and what lies between two of them, bias and activation,
does not mind that axis. Without the reshapes it fuses into the convolution, and stays channels-last.
"""

from __future__ import annotations

from dataclasses import replace

from neurenix.compiler.matching import Rewriter, is_elementwise
from neurenix.dims import Shape
from neurenix.graph.graph import Graph, Node

IMAGE = 4  # axes


def keep_unit_axes(graph: Graph) -> Graph:
    """Move such reshapes behind the elementwise nodes and the slices that read them."""
    rewriter = Rewriter.of(graph)
    nodes: list[Node] = []
    for node in graph.nodes:
        made = _moved(node, rewriter) or [node]
        for each in made:
            rewriter.makers[each.output] = each
        nodes += made
    return rewriter.finish(nodes)


def _moved(node: Node, rewriter: Rewriter) -> list[Node] | None:
    out = rewriter.shape(node.output)
    if node.op == "slice" and not node.epilogue:
        return _sliced(node, rewriter)
    if not is_elementwise(node) or len(out) != IMAGE - 1:
        return None
    sources = {i: _image(i, rewriter) for i in node.inputs if i not in rewriter.constants}
    images = {rewriter.shape(s) for s in sources.values() if s is not None}
    if None in sources.values() or len(images) != 1:
        return None
    (image,) = images
    axis = _dropped(image, out)
    inputs = tuple(sources.get(i) or _with_axis(i, axis, rewriter) for i in node.inputs)
    result = rewriter.value(node.op, node.output, image)
    return [
        replace(node, inputs=inputs, output=result),
        Node("reshape", (result,), node.output, {"shape": out}, scope=node.scope, label="reshape"),
    ]


def _sliced(node: Node, rewriter: Rewriter) -> list[Node] | None:
    """Take all of the axis of 1, and the slice's part of the others."""
    source, out = _image(node.inputs[0], rewriter), rewriter.shape(node.output)
    if source is None:
        return None
    axis = _dropped(rewriter.shape(source), rewriter.shape(node.inputs[0]))
    attrs = {k: (*v[:axis], 1 if k == "steps" else None, *v[axis:]) for k, v in node.attrs.items()}
    result = rewriter.value(node.op, node.output, (*out[:axis], 1, *out[axis:]))
    return [
        replace(node, inputs=(source,), output=result, attrs=attrs),
        Node("reshape", (result,), node.output, {"shape": out}, scope=node.scope, label="reshape"),
    ]


def _dropped(image: Shape, flat: Shape) -> int:
    return next(a for a, size in enumerate(image) if size == 1 and without(image, a) == flat)


def without(shape: Shape, axis: int) -> Shape:
    return (*shape[:axis], *shape[axis + 1 :])


def _image(name: str, rewriter: Rewriter) -> str | None:
    """Return the image that a value is without one axis of 1, and that a convolution or the like made."""
    node = rewriter.maker(name, "reshape")
    if node is None or node.epilogue or node.inputs[0] not in rewriter.makers:
        return None
    image, flat = rewriter.shape(node.inputs[0]), rewriter.shape(name)
    fits = len(image) == IMAGE and any(s == 1 and without(image, a) == flat for a, s in enumerate(image))
    return node.inputs[0] if fits else None


def _with_axis(name: str, axis: int, rewriter: Rewriter) -> str:
    array = rewriter.constants[name]
    if array.size == 1:
        return name
    full = array.reshape((1,) * (IMAGE - 1 - array.ndim) + array.shape)
    return rewriter.constant(name, full.reshape((*full.shape[:axis], 1, *full.shape[axis:])), name)
