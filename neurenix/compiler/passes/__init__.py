"""The passes: each takes a Graph and returns a better one that gives the same answers."""

from __future__ import annotations

from collections.abc import Callable

from neurenix.compiler.passes.affine import fold_affine
from neurenix.compiler.passes.attention import fuse_attention
from neurenix.compiler.passes.fold import fold_constants
from neurenix.compiler.passes.fuse import fuse_elementwise, fuse_epilogues
from neurenix.compiler.passes.half import widen_half
from neurenix.compiler.passes.layout import channels_last
from neurenix.compiler.passes.lower import lower
from neurenix.compiler.passes.moves import join_moves
from neurenix.compiler.passes.padding import fold_padding
from neurenix.compiler.passes.recognise import recognise
from neurenix.compiler.passes.split import split_products
from neurenix.compiler.passes.tidy import tidy
from neurenix.compiler.passes.unit_axes import keep_unit_axes
from neurenix.dims import within
from neurenix.graph.graph import Graph, check

Pass = Callable[[Graph], Graph]

# What every graph needs before it can be scheduled, and what only makes it better.
REQUIRED: tuple[Pass, ...] = (
    widen_half,
    fold_constants,
    lower,
    fuse_elementwise,
    channels_last,
    fold_constants,
    tidy,
)
OPTIMISED: tuple[Pass, ...] = (
    widen_half, fold_constants, tidy, recognise, fold_padding, lower, tidy, keep_unit_axes, tidy, fold_affine,
    split_products,
    fuse_elementwise, fuse_elementwise,  # again: what reads a value twice, as x * sigmoid(x) does, is one map by now
    fuse_epilogues, fuse_attention, channels_last, join_moves, fold_constants, tidy,
)  # fmt: skip


def run(graph: Graph, optimize: bool = True) -> Graph:
    """Run the passes, checking the graph after each."""
    with within(graph.dims):
        for each in OPTIMISED if optimize else REQUIRED:
            graph = check(each(graph))
    return graph
