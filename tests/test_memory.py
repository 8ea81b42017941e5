"""The arena: buffers that live at the same time never overlap, and it is no larger than it need be."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from neurenix.compiler.memory import Lifetime, plan_memory
from neurenix.graph.packing import ALIGNMENT, aligned

lifetimes = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3),
    st.tuples(st.integers(0, 5000), st.integers(-1, 12), st.integers(0, 6)).map(
        lambda t: Lifetime(t[0], t[1], t[1] + t[2])
    ),
    max_size=16,
)


@settings(max_examples=200, deadline=None)
@given(lifetimes)
def test_living_buffers_never_overlap(lives: dict[str, Lifetime]) -> None:
    offsets, arena = plan_memory(lives)
    assert lives.keys() == offsets.keys()
    for name, offset in offsets.items():
        assert 0 == offset % ALIGNMENT
        assert offset >= 0
        assert offset + lives[name].size <= arena
    for a, b in itertools.combinations(lives, 2):
        if lives[a].meets(lives[b]) and lives[a].size and lives[b].size:
            assert offsets[a] + lives[a].size <= offsets[b] or offsets[b] + lives[b].size <= offsets[a]
    assert arena <= sum(aligned(life.size) for life in lives.values())


@settings(max_examples=50, deadline=None)
@given(lifetimes, st.randoms(use_true_random=False))
def test_the_plan_does_not_depend_on_the_order_of_its_input(lives: dict[str, Lifetime], random: object) -> None:
    names = list(lives)
    random.shuffle(names)  # type: ignore[attr-defined]
    assert plan_memory(lives) == plan_memory({name: lives[name] for name in names})


def test_a_chain_needs_two_buffers() -> None:
    chain = {f"b{i}": Lifetime(640, i, i + 1) for i in range(10)}
    assert 1280 == plan_memory(chain)[1]


def test_a_small_buffer_fills_the_gap_that_a_dead_one_left() -> None:
    lives = {"big": Lifetime(1024, 0, 1), "long": Lifetime(512, 1, 4), "late": Lifetime(960, 2, 3)}
    offsets, arena = plan_memory(lives)
    assert 1536 == arena
    assert 0 == offsets["late"]


def test_nothing_needs_no_arena() -> None:
    assert ({}, 0) == plan_memory({})
