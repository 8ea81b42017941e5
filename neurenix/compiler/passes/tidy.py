"""Removes moves that move nothing: reshapes of reshapes, permutations of permutations, identities, dead nodes.

An expansion goes where an elementwise op that reads it repeats its operands anyway.
"""

from __future__ import annotations

from dataclasses import replace

from neurenix.compiler.matching import Rewriter, alive, is_elementwise
from neurenix.dims import Shape
from neurenix.graph.graph import Epilogue, Graph, Node
from neurenix.ops.reduce import groups
from neurenix.ops.shapes import broadcast

MAP_AXES = 4  # that a map's operands may walk in different ways (compiler/strides.py)


def tidy(graph: Graph) -> Graph:
    """Return the graph without needless moves and without nodes that no output needs."""
    rewriter = Rewriter.of(graph)
    aliases: dict[str, str] = {}
    kept: list[Node] = []
    for node in graph.nodes:
        node = _rename(node, aliases)
        node = _unexpanded(_merge(node, rewriter), rewriter)
        rewriter.makers[node.output] = node
        if node.output not in graph.results and _moves_nothing(node, rewriter):
            aliases[node.output] = node.inputs[0]
        else:
            kept.append(node)
    return rewriter.finish(alive(kept, graph.results))


def only_ones_move(axes: tuple[int, ...], shape: Shape) -> bool:
    """Say whether a permutation keeps the order of all axes that are longer than 1: it is a reshape then."""
    real = [a for a in axes if shape[a] != 1]
    return real == sorted(real)


def _rename(node: Node, aliases: dict[str, str]) -> Node:
    def name(old: str) -> str:
        return aliases.get(old, old)

    epilogue = node.epilogue and Epilogue(node.epilogue.expr, tuple(map(name, node.epilogue.inputs)))
    return replace(node, inputs=tuple(map(name, node.inputs)), epilogue=epilogue)


def _merge(node: Node, rewriter: Rewriter) -> Node:
    if "keepdims" in node.attrs and "axes" in node.attrs:
        return _reduced_unmoved(node, rewriter)
    if node.op not in ("permute", "reshape") or node.epilogue:
        return node
    source = rewriter.maker(node.inputs[0], "permute", "reshape")
    if node.op == "permute":
        undone = _turned_back(node, rewriter)
        if undone is not None:
            return undone
        if source is not None and source.op == "permute" and not source.epilogue:
            axes = tuple(source.attrs["axes"][a] for a in node.attrs["axes"])
            node = replace(node, inputs=source.inputs, attrs={"axes": axes})
        if not only_ones_move(node.attrs["axes"], rewriter.shape(node.inputs[0])):
            return node
        node = replace(node, op="reshape", attrs={"shape": rewriter.shape(node.output)})
        source = rewriter.maker(node.inputs[0], "reshape")
    if source is not None and source.op == "reshape" and not source.epilogue:
        node = replace(node, inputs=source.inputs)
    return replace(node, attrs={"shape": rewriter.shape(node.output)})


def _turned_back(node: Node, rewriter: Rewriter) -> Node | None:
    """Make a reshape of a permutation that undoes another, where between them only axes of 1 came or went."""
    between = rewriter.maker(node.inputs[0], "reshape")
    first = between and rewriter.maker(between.inputs[0], "permute")
    if between is None or first is None or between.epilogue or first.epilogue:
        return None
    before, after = rewriter.shape(first.output), rewriter.shape(between.output)
    real = [a for a, size in zip(first.attrs["axes"], before) if size != 1]
    if [s for s in before if s != 1] != [s for s in after if s != 1]:
        return None
    left = iter(real)
    came_from = [next(left) if size != 1 else None for size in after]
    order = [came_from[a] for a in node.attrs["axes"] if came_from[a] is not None]
    if order != sorted(real):
        return None
    return replace(node, op="reshape", inputs=first.inputs, attrs={"shape": rewriter.shape(node.output)})


def _reduced_unmoved(node: Node, rewriter: Rewriter) -> Node:
    """Let a reduction read what a permutation moved, where the axes that are left keep their order."""
    source = rewriter.maker(node.inputs[0], "permute")
    if source is None or source.epilogue or node.attrs["keepdims"] or node.attrs["axes"] is None:
        return node
    order, rank = source.attrs["axes"], len(source.attrs["axes"])
    dropped = {order[a % rank] for a in node.attrs["axes"]}
    left = [a for a in order if a not in dropped]
    shape = rewriter.shape(source.inputs[0])
    if left != sorted(left) or len(groups(shape, [a for a in sorted(dropped) if shape[a] != 1])) > 1:
        return node
    return replace(node, inputs=source.inputs, attrs={**node.attrs, "axes": tuple(sorted(dropped))})


def _unexpanded(node: Node, rewriter: Rewriter) -> Node:
    """Let an elementwise node read what was expanded for it, operand by operand, while its result keeps its shape."""
    out = rewriter.shape(node.output)
    if not is_elementwise(node) or len(out) > MAP_AXES:
        return node
    for at, name in enumerate(node.inputs):
        source = rewriter.maker(name, "expand")
        if source is None or source.epilogue:
            continue
        inputs = (*node.inputs[:at], source.inputs[0], *node.inputs[at + 1 :])
        if broadcast([rewriter.shape(i) for i in inputs], {}) == out:
            node = replace(node, inputs=inputs)
    return node


def _moves_nothing(node: Node, rewriter: Rewriter) -> bool:
    if node.op == "permute":
        return list(node.attrs["axes"]) == sorted(node.attrs["axes"])
    if node.op not in ("reshape", "expand", "slice") or rewriter.shape(node.inputs[0]) != rewriter.shape(node.output):
        return False
    return node.op != "slice" or all(step == 1 for step in node.attrs["steps"])
