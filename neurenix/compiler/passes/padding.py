"""Folds padding into the windows that read it: kernels look where their image ends anyway, and need no larger copy.

Models from TensorFlow, and what asks for "same" with an even kernel or a stride, have a `pad` of their own before a
convolution, since one side of an axis gets more than the other. The window's `padding` takes it where what is put
around the image counts nothing in it. Permutations, and reshapes that add or drop axes of 1, may lie in between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from neurenix import ops
from neurenix.compiler.matching import Rewriter, alive, repeated
from neurenix.dims import Size
from neurenix.errors import GraphError
from neurenix.graph.graph import Graph, Node
from neurenix.ops.op import Attrs
from neurenix.ops.shapes import sides

# What sums up its windows: zeros count nothing.
SUMS = ("conv2d", "depthwise2d", "im2col")

# What never makes less than 0, so that the largest of a window is no other with zeros around the image.
NOT_NEGATIVE = ("relu", "relu6", "sigmoid")


@dataclass(frozen=True)
class _Border:
    """What a pad puts around `source`: so many elements before and behind each axis, all of one value."""

    source: str
    pairs: tuple[tuple[Size, Size], ...]
    value: float


def fold_padding(graph: Graph) -> Graph:
    """Fold every pad that all of its readers can take."""
    return repeated(_fold_once, graph)


def _fold_once(graph: Graph) -> Graph | None:
    return next((made for node in graph.nodes if (made := _without(node, graph)) is not None), None)


def _without(pad: Node, graph: Graph) -> Graph | None:
    """Return the graph without this pad, or None where it has to stay."""
    if pad.op != "pad" or not pad.attrs["fill"] or any(step != 1 for step in pad.attrs["steps"] or ()):
        return None
    if pad.epilogue or pad.inputs[1] not in graph.constants:
        return None
    rewriter = Rewriter.of(graph)
    value = float(rewriter.constants[pad.inputs[1]].item())
    border = _Border(pad.inputs[0], tuple(zip(pad.attrs["before"], pad.attrs["after"])), value)
    changed = _inside(pad.output, border, rewriter)
    if changed is None:
        return None
    return rewriter.finish(alive([changed.get(node.output, node) for node in graph.nodes], graph.results))


def _inside(name: str, border: _Border, rewriter: Rewriter) -> dict[str, Node] | None:
    """Return the nodes that take the places of those that read `name`, and read what is inside its border instead."""
    graph = rewriter.graph
    changed: dict[str, Node] = {}
    readers = [node for node in graph.nodes if name in node.reads]
    if name in graph.results or not readers:
        return None
    for reader in readers:
        if reader.reads.count(name) > 1 or reader.inputs[0] != name:
            return None
        if reader.op in ("permute", "reshape"):
            found = _behind_move(reader, border, rewriter)
        else:
            taken = _taken(reader, border, rewriter)
            found = None if taken is None else {reader.output: taken}
        if found is None:
            return None
        changed |= found
    return changed


def _behind_move(move: Node, border: _Border, rewriter: Rewriter) -> dict[str, Node] | None:
    """Let what is inside be moved, and the readers of the move pad."""
    padded, out = rewriter.shape(move.inputs[0]), rewriter.shape(move.output)
    if move.op == "permute":
        order = list(move.attrs["axes"])
    else:
        real = [axis for axis, size in enumerate(padded) if size != 1]
        if [padded[a] for a in real] != [s for s in out if s != 1] or _grown(border) - {*real}:
            return None
        left = iter(real)
        order = [next(left) if size != 1 else None for size in out]
    pairs = tuple((0, 0) if axis is None else border.pairs[axis] for axis in order)
    shape = tuple(size - before - after for size, (before, after) in zip(out, pairs))
    inner = rewriter.value(border.source, border.source, shape)
    found = _inside(move.output, _Border(inner, pairs, border.value), rewriter)
    if found is None or move.epilogue:
        return None
    attrs = move.attrs if move.op == "permute" else {"shape": shape}
    return {**found, move.output: replace(move, inputs=(border.source,), output=inner, attrs=attrs)}


def _grown(border: _Border) -> set[int]:
    return {axis for axis, pair in enumerate(border.pairs) if any(p != 0 for p in pair)}


def _taken(node: Node, border: _Border, rewriter: Rewriter) -> Node | None:
    """Return a node of windows that pads for itself, or None where it cannot."""
    if node.attrs.get("layout", "NCHW") != "NCHW" or not _grown(border) <= {2, 3}:
        return None
    more = _counting_nothing(node, border, rewriter)
    own = sides(node.attrs["padding"]) if more is not None else ()
    pairs = [_joined(mine, outer) for mine, outer in zip(own, border.pairs[2:])]
    if more is None or None in pairs:
        return None
    (top, bottom), (left, right) = (pair for pair in pairs if pair is not None)
    spellings: list[Sequence[int]] = [(top, left, bottom, right)]
    if (top, left) == (bottom, right):
        spellings.insert(0, (top, left))
    shapes = [rewriter.shape(border.source), *map(rewriter.shape, node.inputs[1:])]
    for padding in spellings:
        attrs = {**node.attrs, **more, "padding": padding}
        try:
            made = ops.get(node.op).shape(shapes, attrs)
        except GraphError:  # pools say how much of a window may be padding
            continue
        if made == rewriter.shape(node.output):
            return replace(node, inputs=(border.source, *node.inputs[1:]), attrs=attrs)
    return None


def _joined(own: tuple[int, int], outer: tuple[Size, Size]) -> tuple[int, int] | None:
    before, after = outer
    if not (isinstance(before, int) and isinstance(after, int)) or min(before, after) < 0:
        return None
    return own[0] + before, own[1] + after


def _counting_nothing(node: Node, border: _Border, rewriter: Rewriter) -> Mapping[str, Any] | None:
    """Return the attributes with which windows can leave a border out; None where it counts, or for no windows."""
    attrs, value = node.attrs, border.value
    if node.op in SUMS:
        return {} if value == 0 else None
    if node.op == "max_pool2d" and not attrs["ceil_mode"]:
        return {} if value == float("-inf") or (value == 0 and _zero_is_least(node, border, rewriter)) else None
    if node.op == "avg_pool2d" and not attrs["ceil_mode"]:
        return _divisor(attrs) if value == 0 else None
    return None


def _zero_is_least(pool: Node, border: _Border, rewriter: Rewriter) -> bool:
    """Windows without holes see some of the image, whose elements are no less than the zeros."""
    return rewriter.maker(border.source, *NOT_NEGATIVE) is not None and set(pool.attrs["dilation"]) == {1}


def _divisor(attrs: Attrs) -> Mapping[str, Any] | None:
    """Zeros that a pad has made count in the mean: every window is divided by its whole size."""
    if attrs["divisor_override"] is not None:
        return {}
    kh, kw = attrs["kernel_size"]
    return {"divisor_override": kh * kw} if attrs["count_include_pad"] or not any(attrs["padding"]) else None
