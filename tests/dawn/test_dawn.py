"""The runtime that ships on Dawn, which is Chromium's WebGPU, in Node.js: with float16 and subgroups, or on a real GPU.

Chromium's own software adapter has no float16. `make webgpu-dawn` fetches Dawn and runs this; it is no part of
`make test`, for few machines have a driver that Dawn takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_webgpu_ops_browser as in_a_page
from gpu_cases import feeds_for, is_taken, map_cases, structured_cases
from gpu_graphs import GraphPage, graph_page
from half_cases import MODELS, between, half_printed
from node_page import adapter, node_page
from op_cases import assert_close, reference
from test_webgpu_half_products import BOUND, STORED, in_tiles, product_cases
from test_webgpu_subgroups import shared_rows

import neurenix
from neurenix.graph.shaders import HALF_FEATURE, HALF_TOLERANCE

pytestmark = [pytest.mark.dawn, pytest.mark.node]


@pytest.fixture(scope="session")
def dawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Dawn says of its adapter."""
    found = adapter(tmp_path_factory.mktemp("dawn"))
    if found is None:
        pytest.fail("Dawn finds no adapter: it needs a driver for Vulkan newer than Debian 12's (make webgpu-dawn)")
    return found


@pytest.fixture
def graphs(dawn: dict[str, Any], tmp_path: Path) -> Iterator[GraphPage]:
    with graph_page(tmp_path, partial(node_page, tmp_path)) as page:
        yield page


@pytest.fixture
def halves(dawn: dict[str, Any], tmp_path: Path) -> Iterator[GraphPage]:
    assert HALF_FEATURE in dawn["features"]
    with graph_page(tmp_path, partial(node_page, tmp_path), half_printed) as page:
        yield page
    assert all(variant.startswith("wgsl.f16") for variant in page.variants)


# What is claimed of a page holds here: these run with the fixture `graphs` above.
test_every_op = in_a_page.test_every_op_gives_the_references_answers_in_a_page
test_whole_numbers = in_a_page.test_whole_numbers_are_exact_and_wrap_as_numpys_in_a_page
test_rounding_to_float16 = in_a_page.test_float16_is_rounded_to_the_last_bit_in_a_page
test_rows_in_float16_tensors = in_a_page.test_rows_answer_in_float16_in_a_page
test_logarithms = in_a_page.test_logarithms_of_what_builtins_leave_open_are_the_references_in_a_page


def test_rows_in_float16_give_the_oracles_answers_within_its_rounding(halves: GraphPage) -> None:
    drawn = [*structured_cases(range(100, 102)), *map_cases(range(1), range(200, 205))]
    cases = [case for case in drawn if any(a.dtype == np.float32 for a in case.arrays) and is_taken(case)]
    assert len(cases) > 120
    for start in range(0, len(cases), 30):
        part = cases[start : start + 30]
        expected, answers = halves.answer(*between(part), tolerance=1)
        for at, case in enumerate(part):
            wanted = expected[f"y{at}"]
            held = np.abs(wanted) < 60000  # what is larger ends there
            assert_close(np.where(held, wanted, 0), np.where(held, answers[f"y{at}"], 0), 4e-3, repr(case))


@pytest.mark.parametrize("tiled", [False, True], ids=["direct", "in tiles"])
def test_products_in_float16_keep_their_bound(halves: GraphPage, tiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if tiled:
        in_tiles(monkeypatch)
    cases = product_cases(np.random.default_rng(5))
    expected, answers = halves.answer(*between(cases), tolerance=1)
    sums = reference(*between([replace(case, arrays=tuple(map(np.abs, case.arrays))) for case in cases]))
    for name, wanted in expected.items():
        error = np.abs(wanted - answers[name])
        assert (error <= BOUND * sums[name] + STORED * np.abs(wanted) + 1e-6).all(), name


@pytest.mark.parametrize("length", [33, 256, 1025])
def test_rows_that_subgroups_share_give_the_oracles_answers(graphs: GraphPage, dawn: Any, length: int) -> None:
    assert "subgroups" in dawn["features"]
    cases, graph, feeds = shared_rows(length)
    expected, answers = graphs.answer(graph, feeds)
    for at, case in enumerate(cases):
        assert_close(expected[f"y{at}"], answers[f"y{at}"], case.row.tolerance, repr(case))


@pytest.mark.parametrize("name", MODELS)
def test_a_model_in_float16_answers_within_the_tolerance(halves: GraphPage, name: str) -> None:
    neurenix.manual_seed(3)
    graph, dims = MODELS[name]()
    expected, answers = halves.answer(graph, feeds_for(graph, dims), dims)
    for output, wanted in expected.items():
        assert_close(wanted, answers[output], HALF_TOLERANCE / 4, name)
        assert np.abs(wanted - answers[output]).max() > 1e-6, "these are float32's answers"
