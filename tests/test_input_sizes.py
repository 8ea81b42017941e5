"""Inputs whose sizes are expressions of dims, and dims that may be 0, from the export to the answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tracing import Function, traced

from neurenix import cat, load_model
from neurenix.bundle.reader import read_bundle
from neurenix.dims import Dim
from neurenix.errors import GraphError, InputError
from neurenix.wasm import export_to_wasm

INPUTS = {
    "past": "float32[batch, past, 2]",
    "new": "float16[batch, sequence, 2]",
    "mask": "uint16[batch, past + sequence]",
}
DIMS = {"batch": (1, 2), "past": (0, 3), "sequence": (1, 2)}


def _masked(past: Any, new: Any, mask: Any) -> dict[str, Any]:
    rows = cat([past, new.float()], 1)
    kept = rows * mask.float().reshape(*mask.shape, 1)
    return {"sum": kept.sum(1), "half": new * 2, "count": mask.cast("uint64") * (1 << 40)}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sizes")
    export_to_wasm(Function(_masked), folder, "masked", inputs=INPUTS, dims=DIMS, simd=False)
    return folder / "masked.json"


def _feeds(past: int, sequence: int, mask: int) -> dict[str, Any]:
    return {
        "past": np.full((1, past, 2), 3, np.float32), "new": np.full((1, sequence, 2), 0.1, np.float16),
        "mask": np.ones((1, mask), np.uint16),
    }  # fmt: skip


@pytest.mark.zig
@pytest.mark.wasm
@pytest.mark.parametrize("device", ["reference", "cpu", "wasm"])
def test_a_size_that_is_a_sum_is_checked_against_its_terms(bundle: Path, device: str) -> None:
    model = load_model(bundle, device=device)
    assert model.self_test() < 1e-3
    for past in (0, 3):
        answers = model.forward(_feeds(past, 2, past + 2))
        np.testing.assert_allclose(answers["sum"], np.full((1, 2), 3 * past + 0.2), rtol=1e-3)
        assert ("float16", "uint64") == tuple(str(answers[n].dtype) for n in ("half", "count"))
        assert [[1 << 40] * (past + 2)] == answers["count"].tolist()
    with pytest.raises(InputError, match=r"'mask' must have shape \[batch, past \+ sequence\], got \[1, 4\].*\[1, 5\]"):
        model.forward(_feeds(3, 2, 4))


@pytest.mark.zig
def test_the_bundle_keeps_the_expression(bundle: Path) -> None:
    shape = read_bundle(bundle).plan.buffers["mask"].shape
    assert (Dim.symbol("batch"), Dim.symbol("past") + Dim.symbol("sequence")) == shape


def test_a_dim_that_no_axis_tells_is_refused() -> None:
    with pytest.raises(GraphError, match="'b' is part of an input's size, but no input has an axis of 'b' alone"):
        traced(lambda x, y: x.sum() + y.sum(), {"x": "float32[a]", "y": "float32[a + b]"})
