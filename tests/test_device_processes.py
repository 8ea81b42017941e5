"""What no GPU does: the CPU answers in forked processes, and nobody where there is nothing to compute."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix.nn import Linear, ReLU, Sequential, TransformerEncoderLayer
from neurenix.tensor import Tensor
from neurenix.wasm import export_to_wasm

pytestmark = pytest.mark.gpu


def _answer(model: Any, results: Any) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        answer = model(Tensor(np.ones((1, 4), np.float32))).tolist()
    results.put((answer, str(model.device), [str(w.message) for w in said]))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system forks no processes")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_model_in_a_forked_process_answers_on_the_cpu_and_says_why() -> None:
    neurenix.manual_seed(0)
    model = Sequential(Linear(4, 3), ReLU()).eval()
    expected = model(Tensor(np.ones((1, 4), np.float32))).tolist()
    model.to("webgpu")
    np.testing.assert_allclose(expected, model(Tensor(np.ones((1, 4), np.float32))).numpy(), atol=1e-6)
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=_answer, args=(model, results), daemon=True)
    child.start()
    answer, device, said = results.get(timeout=60)
    child.join(60)
    assert ([expected], "cpu", 0) == ([answer], device, child.exitcode)
    assert ["'spawn'" in text for text in said] == [True], said


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("model", "shape"),
    [(Sequential(Linear(4, 3), ReLU()), (0, 4)), (TransformerEncoderLayer(8, 2, 16, batch_first=True), (0, 5, 8))],
    ids=["products", "attention"],
)
def test_a_call_without_examples_stays_on_the_gpu(model: Any, shape: tuple[int, ...]) -> None:
    model.eval().to("webgpu")
    assert (0, *shape[1:-1]) == model(Tensor(np.zeros(shape, np.float32))).shape[:-1]
    assert "webgpu" == str(model.device)


@pytest.mark.zig
@pytest.mark.parametrize("device", ["wasm", "webgpu"])
def test_a_loaded_model_goes_to_another_process_by_its_files(device: str, tmp_path: Path) -> None:
    neurenix.manual_seed(0)
    export_to_wasm(Sequential(Linear(4, 3)), tmp_path, "passed", simd=False, threads=False)
    model = neurenix.load_model(tmp_path / "passed.json", device)
    x = np.ones((2, 4), np.float32)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301 -- its own bytes
        assert device == twin.device
        np.testing.assert_array_equal(model.forward(x)["output"], twin.forward(x)["output"])
