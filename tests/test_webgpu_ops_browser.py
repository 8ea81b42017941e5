"""Every op of the table in Chromium, on SwiftShader, through the runtime that ships, against the reference.

The cases are those that `test_webgpu` gives to wgpu, by the dozen in one graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import gpu_cases
import numpy as np
import pytest
import test_dtypes
import test_float64
from gpu_graphs import GraphPage, graph_page
from op_cases import Case, assert_close, graph_of, rows
from playwright.sync_api import Error as PlaywrightError
from runtime_page import OpenTab

from neurenix import ops

pytest_plugins = ["browser", "gpu_browser"]
pytestmark = pytest.mark.browser

TOGETHER = 40  # cases of one graph


@pytest.fixture(scope="module")
def graphs(open_gpu_tab: OpenTab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GraphPage]:
    with graph_page(tmp_path_factory.mktemp("ops"), open_gpu_tab) as page:
        yield page


def hold(graphs: GraphPage, drawn: Sequence[Case], exact: bool = False) -> set[str]:
    """Compare the page's answers to cases with the reference's; return the names of the ops that were answered."""
    cases = gpu_cases.taken(drawn)
    for start in range(0, len(cases), TOGETHER):
        part = cases[start : start + TOGETHER]
        tolerance = max(case.row.tolerance for case in part)
        try:
            graph, feeds = graph_of(part)
            feeds = gpu_cases.within_ends(gpu_cases.printed(graph)[2], feeds)
            expected, answers = graphs.answer(graph, feeds, tolerance=tolerance)
        except PlaywrightError as error:  # a bundle that did not load: which of its ops is to blame?
            raise AssertionError("\n".join([error.message, "by themselves:", *_broken(graphs, part)])) from error
        for at, case in enumerate(part):
            wanted, found = expected[f"y{at}"], answers[f"y{at}"]
            if exact and found.dtype.kind != "f":
                assert wanted.dtype == found.dtype, case
                np.testing.assert_array_equal(wanted, found, repr(case))
            else:
                assert_close(wanted, found, case.row.tolerance, repr(case))
    assert len(cases) > 0.75 * len(drawn)
    return {case.row.name for case in cases}


def _broken(graphs: GraphPage, cases: Sequence[Case]) -> list[str]:
    """Return the cases that do not load by themselves, with what is said of them."""
    found = []
    for case in [case for case in cases if case.arrays]:
        try:
            graphs.answer(*graph_of([case]), tolerance=case.row.tolerance)
        except PlaywrightError as error:
            found.append(f"{case}: {error.message.splitlines()[0]}")
    return found


def test_every_op_gives_the_references_answers_in_a_page(graphs: GraphPage) -> None:
    named = hold(graphs, gpu_cases.structured_cases(range(100, 104)))
    named |= hold(graphs, gpu_cases.map_cases(range(2), range(200, 210)))
    hold(graphs, gpu_cases.long_cases())
    can = {row.name for row in rows() if gpu_cases.compiles(row)}
    assert can == named


def test_whole_numbers_are_exact_and_wrap_as_numpys_in_a_page(graphs: GraphPage) -> None:
    hold(graphs, gpu_cases.whole_cases(), exact=True)


def test_float16_is_rounded_to_the_last_bit_in_a_page(graphs: GraphPage) -> None:
    cases = gpu_cases.taken(test_float64.half_conversions())
    assert 4 == len(cases)
    graph, feeds = graph_of(cases)
    _, answers = graphs.answer(graph, feeds)
    test_float64.hold_conversions(cases, answers, "SwiftShader")


def test_rows_answer_in_float16_in_a_page(graphs: GraphPage) -> None:
    every = [case for case in test_dtypes._cases("float16") if test_dtypes._is_compiled(case)]
    cases = gpu_cases.taken(every[::4])  # wgpu tries all of them; here it is the way in and out
    assert len(cases) > 25
    for start in range(0, len(cases), TOGETHER):
        part = cases[start : start + TOGETHER]
        graph, feeds = graph_of(part)
        feeds = gpu_cases.within_ends(gpu_cases.printed(graph)[2], feeds)
        with np.errstate(over="ignore"):  # beyond 65504 the right answer is infinite
            expected, answers = graphs.answer(graph, feeds, tolerance=test_dtypes.TOLERANCES["float16"])
        for at, case in enumerate(part):
            test_dtypes._hold(expected[f"y{at}"], answers[f"y{at}"], repr(case))


def test_logarithms_of_what_builtins_leave_open_are_the_references_in_a_page(graphs: GraphPage) -> None:
    x = np.array([0, -0.0, -1, -np.inf, np.inf, np.nan, 1.2e-38, 3.4e38], np.float32)
    with np.errstate(all="ignore"):
        named = hold(graphs, [Case(ops.get(name), (x,), {}) for name in ("log", "log2", "log10", "log1p")])
    assert 4 == len(named)


@pytest.mark.parametrize("epilogue", ["gelu", "scaled"])
def test_epilogues_finish_what_their_kernel_made_in_a_page(graphs: GraphPage, epilogue: str) -> None:
    graph, dims = gpu_cases.finished(epilogue), {"n": 3}
    expected, answers = graphs.answer(graph, gpu_cases.feeds_for(graph, dims), dims, tolerance=2e-5)
    for name, wanted in expected.items():
        assert_close(wanted, answers[name], 2e-5, name)
