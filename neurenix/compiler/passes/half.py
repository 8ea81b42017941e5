"""Has contractions, windows, norms, recurrences and custom ops of float16 computed in float32, which they all know.

Maps, reductions and moves read and write float16 themselves. Constants are cast at build time by constant folding.
"""

from __future__ import annotations

from dataclasses import replace

from neurenix import ops
from neurenix.compiler.matching import Rewriter
from neurenix.dtypes import DTYPES
from neurenix.graph.graph import Graph, Node, Value
from neurenix.ops import Family

FAMILIES = (Family.CONTRACTION, Family.WINDOW, Family.NORMALIZATION, Family.RECURRENT, Family.CUSTOM)
HALF, SINGLE = DTYPES["float16"], DTYPES["float32"]


def widen_half(graph: Graph) -> Graph:
    """Put casts to float32 before such nodes, and casts back behind them."""
    rewriter = Rewriter.of(graph)
    nodes: list[Node] = []
    wide: dict[str, str] = {}

    def cast(source: str, output: str, like: Node, to: str) -> Node:
        return Node("cast", (source,), output, {"dtype": to}, scope=like.scope, label="cast")

    def widened(name: str, node: Node) -> str:
        if rewriter.values[name].dtype != HALF:
            return name
        if name not in wide:
            wide[name] = rewriter.fresh(f"{name}_float32")
            rewriter.values[wide[name]] = Value(wide[name], SINGLE, rewriter.shape(name))
            nodes.append(cast(name, wide[name], node, "float32"))
        return wide[name]

    for node in graph.nodes:
        if ops.get(node.op).family not in FAMILIES or all(
            rewriter.values[name].dtype != HALF for name in (*node.inputs, node.output)
        ):
            nodes.append(node)
            continue
        inputs = tuple(widened(name, node) for name in node.inputs)
        if rewriter.values[node.output].dtype != HALF:
            nodes.append(replace(node, inputs=inputs))
            continue
        result = rewriter.fresh(f"{node.output}_float32")
        rewriter.values[result] = Value(result, SINGLE, rewriter.shape(node.output))
        nodes += [replace(node, inputs=inputs, output=result), cast(result, node.output, node, "float16")]
    return rewriter.finish(nodes)
