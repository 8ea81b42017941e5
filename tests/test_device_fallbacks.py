"""Models on devices that cannot answer: the CPU does, with a warning, and no answer is ever wrong."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from device_cases import assert_near, onto, perceptron, random

import neurenix
from neurenix import compiled
from neurenix.device import Device
from neurenix.errors import DeviceError, GraphError, InputError, RunError, UnsupportedError
from neurenix.nn import BatchNorm1d, Dropout, Linear, Module, Sequential
from neurenix.phynexus.wasm import WasmEngine
from neurenix.phynexus.webgpu import WebGPUEngine
from neurenix.tensor import Tensor

pytest_plugins = ["pretend_host"]
pytestmark = pytest.mark.zig


@pytest.mark.wasm
def test_training_runs_on_the_cpu_and_says_so_once() -> None:
    model, x = Sequential(Linear(4, 4), BatchNorm1d(4), Dropout(0.5)).to("wasm"), random(8, 4)
    with pytest.warns(
        RuntimeWarning, match=r"Sequential is on wasm and this call runs on the CPU: .*training mode"
    ) as w:
        model(x).sum().backward()
    assert [__file__] == [one.filename for one in w]
    assert model[0].weight.grad is not None
    assert Device("wasm") == model.device  # type: ignore[arg-type]
    model(x)
    expected = copy.deepcopy(model).eval().to("cpu")(x).numpy()
    assert_near(expected, model.eval()(x).numpy())


@pytest.mark.wasm
def test_inputs_with_gradients_keep_their_history() -> None:
    model, x = perceptron().to("wasm"), Tensor(random(2, 6), requires_grad=True)
    with pytest.warns(RuntimeWarning, match="its input requires gradients"):
        model(x).sum().backward()
    assert x.grad is not None
    with neurenix.no_grad():
        assert not model(x).requires_grad


@pytest.mark.wasm
def test_arguments_that_no_engine_takes_are_the_cpus() -> None:
    class Applied(Module):
        def forward(self, x: Tensor, by: Any) -> Any:
            return by(x)

    model = Applied().eval().to("wasm")
    with pytest.warns(RuntimeWarning, match="it was called with a function, which is no tensor"):
        assert [2.0] == model(Tensor([1.0]), lambda x: x * 2).tolist()


class Chooses(Module):
    """Depends on values: no graph says that."""

    def forward(self, *inputs: Any) -> Any:
        return inputs[0] * 2 if inputs[0].sum().item() > 0 else inputs[0]


@onto
def test_what_cannot_be_traced_goes_back_to_the_cpu_with_the_right_answer(device: str) -> None:
    model = Chooses().eval().to(device)
    with pytest.warns(RuntimeWarning, match=f"Chooses left {device} and is on the CPU now: .*traced"):
        assert [4.0] == model(Tensor([2.0])).tolist()
    assert Device() == model.device
    assert [-2.0] == model(Tensor([-2.0])).tolist()


@onto
def test_chance_is_noticed(device: str) -> None:
    class Noisy(Module):
        def forward(self, *inputs: Any) -> Any:
            return inputs[0] + Tensor(np.random.default_rng().standard_normal(inputs[0].shape).astype(np.float32))

    model = Noisy().eval().to(device)
    with pytest.warns(RuntimeWarning, match="off by .* of its largest number"):
        model(random(3, 3))
    assert Device() == model.device


@pytest.mark.parametrize(
    ("device", "engine"),
    [
        pytest.param("wasm", WasmEngine, marks=pytest.mark.wasm),
        pytest.param("webgpu", WebGPUEngine, marks=pytest.mark.gpu),
    ],
)
@pytest.mark.parametrize("spoil", [0.0, 1.01, np.nan])
def test_an_engine_that_answers_wrongly_is_never_believed(
    device: str, engine: Any, spoil: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = engine.run
    monkeypatch.setattr(
        engine, "run", lambda self, *a: {k: (v * spoil).astype(v.dtype) for k, v in original(self, *a).items()}
    )
    model, x = perceptron(), random(2, 6)
    expected = model(x).numpy()
    with pytest.warns(RuntimeWarning, match=f"Sequential left {device} .*is off by"):
        np.testing.assert_array_equal(expected, model.to(device)(x).numpy())
    assert Device() == model.device


@onto
def test_an_engine_that_gives_up_later_is_left_and_the_call_answered(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, x = perceptron().to(device), random(2, 6)
    expected = perceptron()(x).numpy()
    model(x)
    (kept,) = compiled._placed[model].compiled.values()

    def lost(*_: Any) -> Any:
        raise RunError("the device is lost")

    monkeypatch.setattr(kept.engine, "run", lost)
    with pytest.warns(RuntimeWarning, match="left .* and is on the CPU now: the device is lost"):
        np.testing.assert_array_equal(expected, model(x).numpy())
    assert Device() == model.device


@pytest.mark.gpu
def test_a_call_with_numbers_that_are_too_large_is_answered_by_the_cpu_alone() -> None:
    class Tripled(Module):
        def forward(self, *inputs: Any) -> Any:
            return inputs[0] * 3 + 1

    model = Tripled().eval().to("webgpu")
    with pytest.warns(RuntimeWarning, match="this call runs on the CPU: it was given whole numbers that") as warned:
        for value in (2**40, 7, 2**29, 2**29 - 1):
            assert [3 * value + 1] == model(neurenix.Tensor(np.array([value]))).tolist()
    assert (1, Device("webgpu")) == (len(warned), model.device)
    assert 1 == len(compiled._placed[model].compiled)


@onto
def test_a_wrong_call_is_an_error_and_moves_nothing(device: str) -> None:
    model = perceptron().to(device)
    for _ in range(2):
        with pytest.raises((InputError, GraphError)):
            model(random(2, 5))
        assert Device(device) == model.device  # type: ignore[arg-type]
        assert_near(perceptron()(random(2, 6)).numpy(), model(random(2, 6)).numpy())


def test_moving_where_nothing_is_raises_and_moves_nothing(pretend: Any) -> None:
    pretend(problem="no driver")
    model = perceptron()
    for device, error in {
        "webgpu": DeviceError,
        "cuda:3": DeviceError,
        "tpu": UnsupportedError,
        "x": DeviceError,
    }.items():
        with pytest.raises(error, match=device):
            model.to(device)
        with pytest.raises(error, match=device):
            Tensor([1.0]).to(device)
    assert Device() == model.to("auto").device


@onto
def test_a_tensor_is_ready_for_any_device_and_says_where_it_is(device: str) -> None:
    x = Tensor([1.0])
    assert x.to(device) is x
    assert Device() == x.device
