"""ONNX's own node cases in Chromium, on SwiftShader, through the runtime that ships: those that WebGPU is said to pass.

One case in 25 is tried. `NEURENIX_CONFORMANCE_EVERY=1` in the environment tries each of them, which takes some minutes.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conformance import cases
from gpu_graphs import GraphPage, graph_page
from runtime_page import OpenTab

from neurenix.errors import UnsupportedError
from neurenix.golden_inputs import HALF

pytest_plugins = ["browser", "gpu_browser"]
pytestmark = pytest.mark.browser

TABLE = Path(cases.__file__).with_name("table.tsv")
NO_INPUT = "a bundle's model has an input"
EVERY = int(os.environ.get("NEURENIX_CONFORMANCE_EVERY", "25"))


@pytest.fixture
def graphs(open_gpu_tab: OpenTab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GraphPage]:
    with graph_page(tmp_path_factory.mktemp("onnx"), open_gpu_tab) as page:
        yield page


def test_what_the_table_says_of_webgpu_holds_in_a_page(graphs: GraphPage, monkeypatch: pytest.MonkeyPatch) -> None:
    def in_page(graph: Any, feeds: dict[str, Any]) -> dict[str, Any]:
        if not feeds:
            raise UnsupportedError(NO_INPUT)
        # In float32: beyond a step, as of quantizing, float64 may be on the other side.
        half = any(value.dtype.name == "float16" for value in graph.values.values())
        expected = cases._reference(graph, feeds)
        return graphs.answer(graph, feeds, expected=expected, tolerance=HALF if half else 1e-3)[1]

    monkeypatch.setitem(cases._ENGINES, "webgpu", in_page)
    with TABLE.open(encoding="utf-8", newline="") as file:
        passing = {row["case"] for row in csv.DictReader(file, delimiter="\t") if row["webgpu"] == cases.PASS}
    chosen = [case for case in cases.all_cases() if case.name in passing][::EVERY]
    results = {case.name: cases.run_case(case, ["webgpu"]).results["webgpu"] for case in chosen}
    held = {name: result for name, result in results.items() if NO_INPUT not in result}
    print(f"{len(held)} of {len(passing)} cases; {len(results) - len(held)} have no input")
    wrong = [f"{name}: {result}" for name, result in held.items() if result != cases.PASS]
    assert not wrong, "\n".join(wrong)
    assert len(held) > 0.9 * len(passing) / EVERY
