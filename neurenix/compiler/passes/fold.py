"""Computes at build time whatever depends on constants alone."""

from __future__ import annotations

import numpy as np

from neurenix import ops
from neurenix.compiler.matching import Rewriter
from neurenix.dims import Dim, product
from neurenix.graph.graph import Array, Graph, Node
from neurenix.ops.op import pointwise

# Folding an expansion of a few bytes into gigabytes helps nobody.
LARGEST = 1 << 26  # elements


def fold_constants(graph: Graph) -> Graph:
    """Replace nodes whose inputs are all constant by their value, outputs excepted."""
    rewriter = Rewriter.of(graph)
    kept = []
    for node in graph.nodes:
        size = product(graph.values[node.output].shape)
        constant = all(name in rewriter.constants for name in node.reads) and not _has_dims(tuple(node.attrs.values()))
        if constant and node.output not in graph.results and isinstance(size, int) and size <= LARGEST:
            rewriter.constants[node.output] = _evaluate(node, rewriter)
        else:
            kept.append(node)
    return rewriter.finish(kept)


def _has_dims(value: object) -> bool:
    """Say whether an attribute holds a size that is known only at run time, as the value of `dimension` does."""
    return isinstance(value, Dim) or (isinstance(value, tuple) and any(map(_has_dims, value)))


def _evaluate(node: Node, rewriter: Rewriter) -> Array:
    arrays = [rewriter.constants[name] for name in node.reads]
    result = ops.get(node.op).evaluate(arrays[: len(node.inputs)], node.attrs)
    if node.epilogue:
        result = pointwise(node.epilogue.expr, [result, *arrays[len(node.inputs) :]], result.dtype)
    return np.ascontiguousarray(result).reshape(np.shape(result))
