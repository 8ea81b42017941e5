"""Removes moves that move nothing: reshapes of reshapes, permutations of permutations, identities, dead nodes."""

from __future__ import annotations

from dataclasses import replace

from neurenix.compiler.matching import Rewriter, alive
from neurenix.dims import Shape
from neurenix.graph.graph import Epilogue, Graph, Node
from neurenix.ops.reduce import groups


def tidy(graph: Graph) -> Graph:
    """Return the graph without needless moves and without nodes that no output needs."""
    rewriter = Rewriter.of(graph)
    aliases: dict[str, str] = {}
    kept: list[Node] = []
    for node in graph.nodes:
        node = _rename(node, aliases)
        node = _merge(node, rewriter)
        rewriter.makers[node.output] = node
        if node.output not in graph.outputs and _moves_nothing(node, rewriter):
            aliases[node.output] = node.inputs[0]
        else:
            kept.append(node)
    return rewriter.finish(alive(kept, graph.outputs))


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


def _moves_nothing(node: Node, rewriter: Rewriter) -> bool:
    if node.op == "permute":
        return list(node.attrs["axes"]) == sorted(node.attrs["axes"])
    return node.op == "reshape" and rewriter.shape(node.inputs[0]) == rewriter.shape(node.output)
