"""Permutations with a reshape between them become one where the reshape leaves them room to meet."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from op_cases import Array, assert_close, reference
from tracing import traced

from neurenix.compiler import passes
from neurenix.compiler.passes.moves import join_moves
from neurenix.graph.graph import Graph
from neurenix.tensor import Tensor

RNG = np.random.default_rng(11)
Made = Callable[[Tensor], Any]


def _weight(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


def _checked(graph: Graph, finished: Graph) -> list[str]:
    """Return the ops of the finished graph, which gives the answers of the traced one."""
    sizes = [3 if str(size) == "n" else int(str(size)) for size in graph.values["x"].shape]
    dims = {"n": 3} if "n" in graph.dims else {}
    feeds = {"x": np.random.default_rng(0).standard_normal(sizes).astype(np.float32)}
    answers = reference(finished, feeds, dims)
    for name, wanted in reference(graph, feeds, dims).items():
        assert_close(wanted, answers[name], 1e-4, name)
    return [node.op for node in finished.nodes]


@st.composite
def _chains(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Draw a shape, a permutation, a reshape that cuts axes or joins neighbours, and another permutation."""
    shape = draw(st.lists(st.sampled_from([1, 2, 3, 4, 6]), min_size=1, max_size=4))
    first = draw(st.permutations(range(len(shape))))
    parts = {1: (1,), 2: (2,), 3: (3,), 4: (2, 2), 6: (3, 2)}
    atoms = [size for axis in first for size in draw(st.sampled_from([parts[shape[axis]], (shape[axis],)]))]
    cuts = sorted(draw(st.sets(st.integers(1, len(atoms) - 1)))) if len(atoms) > 1 else []
    made = tuple(int(np.prod(atoms[a:b])) for a, b in itertools.pairwise([0, *cuts, len(atoms)]))
    return tuple(shape), tuple(first), made, tuple(draw(st.permutations(range(len(made)))))


@given(_chains())
def test_joined_moves_give_the_same_elements(chain: Any) -> None:
    shape, first, made, last = chain
    graph = traced(lambda x: x.permute(first).reshape(made).permute(last), {"x": f"float32{list(shape)}"})
    joined = join_moves(graph)
    feeds = {"x": np.arange(np.prod(shape), dtype=np.float32).reshape(shape)}
    np.testing.assert_array_equal(reference(graph, feeds)["output"], reference(joined, feeds)["output"])
    assert len(joined.nodes) <= len(graph.nodes)


IMAGE = "float32[n, 4, 6, 5]"
CONVOLVED: dict[str, Made] = {
    "a pixel shuffle": lambda x: x.conv2d(_weight(16, 4, 1, 1)).pixel_shuffle(2).conv2d(_weight(3, 4, 3, 3)),
    "a transposed convolution": lambda x: x.conv_transpose2d(_weight(4, 5, 2, 3), _weight(5), (2, 3)).conv2d(
        _weight(3, 5, 3, 3)
    ),
    "what a map lies behind": lambda x: (
        (x.conv_transpose2d(_weight(4, 5, 2, 2), None, 2) * _weight(5, 1, 1)).relu().conv2d(_weight(3, 5, 3, 3))
    ),
    "a transposed convolution of sequences": lambda x: x[:, :, 0].conv_transpose1d(_weight(4, 5, 2), None, 2).conv1d(
        _weight(3, 5, 3)
    ),
    "windows": lambda x: x.conv2d(_weight(4, 4, 1, 1)).reshape((-1, 4, 3, 2, 5)).permute((0, 2, 4, 1, 3)).reshape(
        (-1, 15, 8)
    ),
}  # fmt: skip


@pytest.mark.parametrize("made", CONVOLVED.values(), ids=CONVOLVED)
def test_one_permutation_lays_out_what_a_convolution_made(made: Made) -> None:
    graph = traced(made, {"x": IMAGE}, {"n": (1, 4)})
    ops = _checked(graph, passes.run(graph))
    start = ops.index("conv2d")
    end = ops.index("conv2d", start + 1) if ops.count("conv2d") > 1 else len(ops)
    assert 1 >= ops[start:end].count("permute")


def test_an_intermediate_result_that_is_read_stays() -> None:
    def made(x: Tensor) -> dict[str, Tensor]:
        turned = x.permute(0, 2, 3, 1)
        return {"turned": turned * 2, "y": turned.reshape((-1, 6, 20)).permute((0, 2, 1))}

    graph = traced(made, {"x": IMAGE}, {"n": (1, 4)})
    assert 2 == _checked(graph, join_moves(graph)).count("permute")


OTHER: dict[str, Made] = {
    "overlapping windows": lambda x: x.conv_transpose2d(_weight(4, 5, 3, 3), _weight(5), 2),
    "padding": lambda x: x.conv_transpose2d(_weight(4, 5, 2, 2), None, 2, 1),
    "more behind": lambda x: x.conv_transpose2d(_weight(4, 5, 2, 2), None, 2, 0, 1),
    "groups": lambda x: x.conv_transpose2d(_weight(4, 5, 2, 2), _weight(10), 2, groups=2),
    "holes": lambda x: x.conv_transpose2d(_weight(4, 5, 2, 2), None, 2, dilation=2),
}


@pytest.mark.parametrize("made", OTHER.values(), ids=OTHER)
def test_only_windows_side_by_side_are_laid_out(made: Made) -> None:
    graph = traced(made, {"x": IMAGE}, {"n": (1, 4)})
    assert "col2im" in _checked(graph, passes.run(graph))
