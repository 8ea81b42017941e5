"""load_model: the same answers on every device, and a typed error for whatever is wrong with a call or a bundle."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exported_model import NAME, answer, images

import neurenix
from neurenix import load_model
from neurenix.device import Device, DeviceType
from neurenix.errors import (
    DeviceError,
    DimensionError,
    InputError,
)
from neurenix.nn import Linear, Module
from neurenix.session import LoadedModel
from neurenix.tensor import Tensor
from neurenix.wasm import export_to_wasm

pytest_plugins = ["exported_bundle"]
pytestmark = pytest.mark.zig

DEVICES = ["reference", "cpu", pytest.param("wasm", marks=pytest.mark.wasm)]


class Both(Module):
    """Two inputs that share a dim, two outputs, and a parameter that broadcasts."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = Linear(4, 6), Linear(3, 6)

    def forward(self, *inputs: Tensor) -> Any:
        a, b = inputs
        total = self.left(a) + self.right(b)
        return {"sum": total, "mix": total * 2.0 + self.right.bias}


@pytest.fixture(scope="session")
def loaded(exported: Path) -> LoadedModel:
    return load_model(exported)


# ── right answers ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("batch", [1, 2, 5, 9])
def test_every_device_gives_the_models_answers(exported: Path, device: str, batch: int) -> None:
    model = load_model(exported, device)
    assert (device, 1) == (model.device, model.threads)
    x = images(batch)
    for inputs in (x, {"image": x}, {"image": x.tolist()}, Tensor(x), x.astype(np.float64)):
        output = model.forward(inputs)["output"]
        assert (np.dtype(np.float32), (batch, 4)) == (output.dtype, output.shape)
        np.testing.assert_allclose(output, answer(x), rtol=0, atol=1e-6)


@pytest.mark.parametrize("device", ["native", Device(DeviceType.CPU), DeviceType.CPU, "auto"])
def test_the_native_library_is_reached_by_several_names(exported: Path, device: Any) -> None:
    assert load_model(exported / f"{NAME}.json", device).device == "cpu"


@pytest.mark.parametrize("device", DEVICES)
def test_a_missing_batch_axis_is_a_batch_of_one(exported: Path, device: str) -> None:
    x = images(1)
    np.testing.assert_array_equal(
        load_model(exported, device)(x[0])["output"], load_model(exported, device)(x)["output"]
    )


@pytest.mark.parametrize("device", DEVICES)
def test_nan_comes_out_where_it_went_in_and_nowhere_else(exported: Path, device: str) -> None:
    x = images(3)
    x[1, 0, 3, 3] = np.nan
    output = load_model(exported, device).forward(x)["output"]
    np.testing.assert_allclose(output[[0, 2]], answer(images(3))[[0, 2]], rtol=0, atol=1e-6)
    assert np.isnan(output[1]).all()


@pytest.mark.parametrize("device", DEVICES)
def test_the_golden_values_are_met(exported: Path, device: str) -> None:
    assert load_model(exported, device).self_test() < 1e-6


@pytest.mark.parametrize("device", DEVICES)
def test_eight_threads_get_their_own_answers(exported: Path, device: str) -> None:
    model = load_model(exported, device)
    batches = [images(1 + i % 9, seed=i) for i in range(48)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda x: model.forward(x)["output"], batches))
    for x, actual in zip(batches, answers):
        np.testing.assert_allclose(actual, answer(x), rtol=0, atol=1e-6)


def test_an_answer_is_a_copy_that_later_calls_leave_alone(loaded: LoadedModel) -> None:
    first = loaded.forward(images(2))["output"]
    kept = first.copy()
    loaded.forward(images(2, seed=1))
    np.testing.assert_array_equal(kept, first)


@pytest.mark.parametrize("device", DEVICES)
def test_two_inputs_and_two_outputs_go_by_name(tmp_path: Path, device: str) -> None:
    neurenix.manual_seed(0)
    model = Both()
    export_to_wasm(model, tmp_path, "both", inputs={"a": "float32[n, 4]", "b": "float32[n, 3]"})
    rng = np.random.default_rng(0)
    a, b = (rng.random((5, k), dtype=np.float32) for k in (4, 3))
    runner = load_model(tmp_path, device)
    assert (("a", "b"), ("sum", "mix")) == (runner.inputs, runner.outputs)
    with neurenix.no_grad():
        expected = {k: v.numpy() for k, v in model(Tensor(a), Tensor(b)).items()}
    actual = runner.forward({"b": b, "a": a})
    for name, value in expected.items():
        np.testing.assert_allclose(actual[name], value, rtol=1e-6, atol=1e-6)
    with pytest.raises(InputError, match="'b' has n = 4, another axis has 5"):
        runner.forward({"a": a, "b": b[:4]})
    with pytest.raises(InputError, match=r"2 inputs \(a, b\): pass a dict by name"):
        runner.forward(a)


# ── wrong calls ─────────────────────────────────────────────────────────────────────────────────────────

WRONG = [
    (np.zeros((2, 1, 8, 7), np.float32), InputError, r"'image' must have shape \[batch, 1, 8, 8\], got \[2, 1, 8, 7\]"),
    (np.zeros((2, 64), np.float32), InputError, r"got \[2, 64\]"),
    (np.zeros((1, 2, 1, 8, 8), np.float32), InputError, "must have shape"),
    (3.0, InputError, r"got \[\]"),
    (np.zeros((10, 1, 8, 8), np.float32), DimensionError, "'batch' is 10; this model was compiled for 1 to 9"),
    (np.zeros((0, 1, 8, 8), np.float32), DimensionError, "'batch' is 0"),
    (np.zeros((1, 1, 8, 8), np.int64), InputError, r"must be float32, got int64: convert it with .astype\('float32'\)"),
    (np.zeros((1, 1, 8, 8), bool), InputError, "must be float32, got bool"),
    (np.zeros((1, 1, 8, 8), np.complex64), InputError, "got complex64"),
    (np.zeros((1, 1, 8, 8), object), InputError, "got object"),
    ("image", InputError, "must be float32"),
    (None, InputError, "must be float32"),
    ([[1.0, 2.0], [3.0]], InputError, "cannot be read as an array"),
    ({}, InputError, "'image' is missing; the model has image"),
    ({"imgae": images(1)}, InputError, "no input 'imgae'; did you mean 'image'"),
    ({"image": images(1), "extra": 1}, InputError, "no input 'extra'"),
    ({1: images(1)}, InputError, "no input '1'"),
]


@pytest.mark.parametrize(("inputs", "kind", "text"), WRONG)
def test_a_wrong_call_is_a_typed_error(loaded: LoadedModel, inputs: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        loaded.forward(inputs)
    np.testing.assert_allclose(loaded.forward(images(1))["output"], answer(images(1)), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("device", "text"),
    [("gpu", "there is no device 'gpu'; known are cpu"), ("webgpu:99", "'webgpu:99' is not available"),
     ("cuda:99", "cuda:99"), ("rocm:99", "'rocm:99' is not available"), ("cpu:x", "cpu:x"), ("", "no device ''"),
     (5, "no device '5'")],
)  # fmt: skip
def test_a_device_that_is_not_there_is_a_typed_error(exported: Path, device: Any, text: str) -> None:
    with pytest.raises(DeviceError, match=text):
        load_model(exported, device)
