"""Every kernel and map with symbolic sizes: compiled once, then run in the shapes that hypothesis draws."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from op_cases import NATIVE, WASM, assert_close, both, engines, random_case, reference, rows
from symbolic_calls import RANGES, Call, graph_of_calls, symbolic

from neurenix.compiler.passes.lower import LOWERINGS
from neurenix.graph.graph import Graph
from neurenix.ops import Family, Op

# All that symbols can do to a row's code: sizes of 1, around a vector's width, and everything between.
DIMS = st.fixed_dictionaries({name: st.integers(low, high) for name, (low, high) in RANGES.items()})


def _calls(row: Op) -> list[Call]:
    """Return some calls of a row that has code of its own, one of a map; without those that have no size to vary."""
    made = (symbolic(random_case(row, seed)) for seed in range(300, 306))
    found = [call for call in made if any(not isinstance(s, int) for shape in call.shapes for s in shape)]
    return found[: 1 if row.family is Family.ELEMENTWISE else 2]


FORMS = both(NATIVE[:1], WASM[-1:])


@pytest.mark.parametrize("forms", FORMS)
def test_symbolic_sizes_give_the_oracles_answers_in_every_shape(forms: tuple[str, ...]) -> None:
    compiled = [row for row in rows() if row.kernel or row.name in LOWERINGS or row.family is Family.ELEMENTWISE]
    calls = [call for row in compiled for call in _calls(row)]
    assert len(calls) > len(compiled)
    graph = graph_of_calls(calls)
    for form, engine in engines(graph, forms):
        _run_in_many_shapes(calls, graph, form, engine)


def _run_in_many_shapes(calls: list[Call], graph: Graph, form: str, engine: Any) -> None:
    @settings(max_examples=25)
    @given(dims=DIMS)
    def check(dims: dict[str, int]) -> None:
        feeds = {name: array for at, call in enumerate(calls) for name, array in call.inputs(at, dims).items()}
        expected, found = reference(graph, feeds, dims), engine.run(feeds, dims)
        for at, call in enumerate(calls):
            what = f"{call.case} as {call.shapes} for {dims} on {form}"
            assert_close(expected[f"y{at}"], found[f"y{at}"], call.case.row.tolerance, what)

    check()
