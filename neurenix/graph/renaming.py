"""Gives the outputs of a graph other names."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

from neurenix.errors import GraphError
from neurenix.graph.graph import Epilogue, Graph, Node, check


def rename_outputs(graph: Graph, names: Sequence[str]) -> Graph:
    """Return the graph with these names for its outputs, in order. Raises GraphError when they do not fit."""
    if len(names) != len(graph.outputs):
        raise GraphError(f"there are {len(names)} names for the {len(graph.outputs)} outputs {list(graph.outputs)}")
    if len(set(names)) != len(names) or set(names) & set(graph.inputs):
        raise GraphError(f"the names {list(names)} are not all different, or one is an input's: {list(graph.inputs)}")
    renamed = dict(zip(graph.outputs, names))
    for taken in [n for n in names if n in graph.values and n not in renamed]:
        fresh = (f"{taken}_{i}" for i in itertools.count(1))
        renamed[taken] = next(n for n in fresh if n not in graph.values and n not in names)

    def new(name: str) -> str:
        return renamed.get(name, name)

    def renamed_node(node: Node) -> Node:
        epilogue = node.epilogue and Epilogue(node.epilogue.expr, tuple(map(new, node.epilogue.inputs)))
        return replace(node, inputs=tuple(map(new, node.inputs)), output=new(node.output), epilogue=epilogue)

    return check(
        replace(
            graph,
            outputs=tuple(names),
            nodes=tuple(map(renamed_node, graph.nodes)),
            values={new(n): replace(v, name=new(n)) for n, v in graph.values.items()},
            constants={new(n): a for n, a in graph.constants.items()},
            lengths={new(n): tuple(replace(x, value=new(x.value)) for x in of) for n, of in graph.lengths.items()},
        )
    )
