"""Joins two permutations with a reshape between them into one: what lays pixels out moves them once.

A reshape cuts axes into several and puts several together, block by block. Where a permutation before or behind it
leaves each block's axes beside each other, it may as well be done on the other side, and meets the other permutation.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

from neurenix.compiler.matching import Rewriter, alive, repeated
from neurenix.dims import Shape
from neurenix.dims import product as product_of
from neurenix.graph.graph import Graph, Node
from neurenix.ops.strides import MOST_AXES

# Axes before a reshape and those behind it that hold the same elements.
Block = tuple[tuple[int, ...], tuple[int, ...]]


def join_moves(graph: Graph) -> Graph:
    """Join until no two permutations are left that can be one."""
    return repeated(_join_once, graph)


def _join_once(graph: Graph) -> Graph | None:
    rewriter = Rewriter.of(graph)
    for node in graph.nodes:
        made = _joined(node, rewriter) if node.op == "permute" and not node.epilogue else None
        if made is not None:
            nodes = [each for other in graph.nodes for each in (made if other is node else [other])]
            return rewriter.finish(alive(nodes, graph.results))
    return None


def _joined(last: Node, rewriter: Rewriter) -> list[Node] | None:
    """Return a reshape and a permutation, in some order, instead of a permutation, a reshape and a permutation."""
    between = rewriter.maker(last.inputs[0], "reshape")
    first = between and rewriter.maker(between.inputs[0], "permute")
    if between is None or first is None or between.epilogue or first.epilogue:
        return None
    if not (rewriter.only_use(between.output) and rewriter.only_use(first.output)):
        return None
    blocks = _blocks(rewriter.shape(first.output), rewriter.shape(between.output))
    if blocks is None:
        return None
    return _reshaped_first(first, between, last, blocks, rewriter) or _reshaped_last(first, last, blocks, rewriter)


def _reshaped_first(
    first: Node, between: Node, last: Node, blocks: Sequence[Block], rewriter: Rewriter
) -> list[Node] | None:
    """Reshape what the first permutation reads, whose axes of a block lie together, and permute by both."""
    sources = [tuple(first.attrs["axes"][a] for a in before) for before, _ in blocks]
    if not all(_beside(axes) for axes in sources):
        return None
    order = sorted(range(len(blocks)), key=lambda i: sources[i] or (-1,))
    behind = [axis for i in order for axis in blocks[i][1]]
    shape = tuple(rewriter.shape(between.output)[axis] for axis in behind)
    if len(shape) > MOST_AXES:
        return None
    reshaped = rewriter.value("reshape", first.inputs[0], shape)
    axes = tuple(behind.index(axis) for axis in last.attrs["axes"])
    return [
        replace(between, inputs=first.inputs, output=reshaped, attrs={"shape": shape}),
        replace(last, inputs=(reshaped,), attrs={"axes": axes}),
    ]


def _reshaped_last(first: Node, last: Node, blocks: Sequence[Block], rewriter: Rewriter) -> list[Node] | None:
    """Permute by both what the first permutation reads, where the last leaves a block's axes together, and reshape."""
    places = [tuple(last.attrs["axes"].index(axis) for axis in behind) for _, behind in blocks]
    if not all(_beside(axes) for axes in places):
        return None
    order = sorted(range(len(blocks)), key=lambda i: places[i] or (-1,))
    axes = tuple(first.attrs["axes"][axis] for i in order for axis in blocks[i][0])
    shape = tuple(rewriter.shape(first.inputs[0])[axis] for axis in axes)
    permuted = rewriter.value("permute", first.inputs[0], shape)
    return [
        replace(first, output=permuted, attrs={"axes": axes}),
        Node("reshape", (permuted,), last.output, {"shape": rewriter.shape(last.output)}, scope=last.scope,
             label="reshape"),
    ]  # fmt: skip


def _beside(axes: Sequence[int]) -> bool:
    return all(b == a + 1 for a, b in itertools.pairwise(axes))


def _blocks(before: Shape, behind: Shape) -> list[Block] | None:
    """Return the smallest blocks of a reshape, in order; None where symbolic sizes hide them."""
    if 0 in before:
        return None
    return next(_matches(before, behind, 0, 0), None)


def _matches(before: Shape, behind: Shape, i: int, j: int) -> Iterator[list[Block]]:
    """Yield the ways in which the axes from i on make the axes from j on."""
    if i == len(before) and j == len(behind):
        yield []
        return
    for m in range(i, len(before) + 1):
        for n in range(j, len(behind) + 1):
            if (m, n) != (i, j) and product_of(before[i:m]) == product_of(behind[j:n]):
                for rest in _matches(before, behind, m, n):
                    yield [(tuple(range(i, m)), tuple(range(j, n))), *rest]
                return
