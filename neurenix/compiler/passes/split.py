"""Cuts a product whose result is only ever read in pieces into a product for each: no piece is copied.

Queries, keys and values made by one matrix, real and imaginary parts made by one convolution: what is sliced along the
channels behind a product (and behind what is added to it there) is a product by a slice of the weights.
"""

from __future__ import annotations

from dataclasses import replace

from neurenix.compiler.matching import Rewriter, alive, channel_axis, is_elementwise, per_channel
from neurenix.dims import Size
from neurenix.graph.graph import Array, Graph, Node
from neurenix.ops.slicing import spans

# A narrower piece would not fill its kernel, and its windows would be gathered once more for little.
LEAST = 32


def split_products(graph: Graph) -> Graph:
    """Split every product by constant weights whose readers are slices that no two share a channel of."""
    rewriter = Rewriter.of(graph)
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in node.reads:
            readers.setdefault(name, []).append(node)
    made: dict[str, list[Node]] = {}
    for node in graph.nodes:
        if node.op in ("conv2d", "matmul") and node.inputs[1] in graph.constants and node.attrs.get("groups", 1) == 1:
            chain = _chain(node, readers, rewriter)
            pieces = _pieces(chain, readers, rewriter)
            for piece, (first, count) in pieces:
                made[piece.output] = _copied(chain, piece, first, count, rewriter)
    nodes = [each for node in graph.nodes for each in made.get(node.output, [node])]
    return rewriter.finish(alive(nodes, graph.results))


def _chain(product: Node, readers: dict[str, list[Node]], rewriter: Rewriter) -> list[Node]:
    """Return the product and the elementwise nodes behind it that read it alone, with constants for each channel."""
    chain = [product]
    while True:
        last = chain[-1]
        following = readers.get(last.output, [])
        if not rewriter.only_use(last.output) or len(following) != 1 or not is_elementwise(following[0]):
            return chain
        node, shape = following[0], rewriter.shape(product.output)
        others = [name for name in node.reads if name != last.output]
        fits = rewriter.shape(node.output) == shape and all(
            name in rewriter.constants and per_channel(rewriter.shape(name), shape, channel_axis(product))
            for name in others
        )
        if not fits or node.epilogue:
            return chain
        chain.append(node)


def _pieces(
    chain: list[Node], readers: dict[str, list[Node]], rewriter: Rewriter
) -> list[tuple[Node, tuple[int, int]]]:
    """Return the slices that read the end of a chain, with the channels of each; none where anything else reads it."""
    end, axis = chain[-1].output, -channel_axis(chain[0])
    shape = rewriter.shape(end)
    found: list[tuple[Node, tuple[int, int]]] = []
    taken: set[int] = set()
    for node in readers.get(end, []):
        if node.op != "slice" or node.epilogue or end in rewriter.graph.results:
            return []
        cut = spans(shape, node.attrs)
        first, count, step = cut.pop(axis)
        if not _is_whole(cut, [s for at, s in enumerate(shape) if at != len(shape) + axis]) or step != 1:
            return []
        if not (isinstance(first, int) and isinstance(count, int)) or count < LEAST:
            return []
        channels = {*range(first, first + count)}
        if channels & taken:
            return []
        taken |= channels
        found.append((node, (first, count)))
    return found


def _is_whole(cut: list[tuple[Size, Size, int]], shape: list[Size]) -> bool:
    return all(first == 0 and count == size and step == 1 for (first, count, step), size in zip(cut, shape))


def _copied(chain: list[Node], piece: Node, first: int, count: int, rewriter: Rewriter) -> list[Node]:
    """Return the chain once more for a piece's channels; its last node makes what the slice did."""
    product, axis = chain[0], channel_axis(chain[0])
    shape, nodes = rewriter.shape(piece.output), []
    name = product.inputs[1]
    of_weight = -1 if product.op == "matmul" else 0
    copies = {name: rewriter.constant(name, _cut(rewriter.constants[name], of_weight, first, count), name)}
    for node in chain:
        for other in node.inputs[1:] if node is product else node.inputs:
            if other in rewriter.constants and other not in copies:
                array = rewriter.constants[other]
                wide = array.ndim >= axis and array.shape[-axis] != 1
                copies[other] = rewriter.constant(other, _cut(array, -axis, first, count), other) if wide else other
        made = piece.output if node is chain[-1] else rewriter.value(node.output, node.output, shape)
        nodes.append(replace(node, inputs=tuple(copies.get(i, i) for i in node.inputs), output=made))
        copies[node.output] = made
    return nodes


def _cut(array: Array, axis: int, first: int, count: int) -> Array:
    return array.take(range(first, first + count), axis)
