"""Models on devices answer as on the CPU: every shape, any structure of inputs, parameters that change."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from device_cases import assert_near, onto, perceptron, random
from exported_model import answer, cnn, images

import neurenix
from neurenix import compiled, engines
from neurenix.device import Device
from neurenix.nn import LSTM, Embedding, Module
from neurenix.tensor import Tensor

pytestmark = pytest.mark.zig


@onto
def test_a_model_on_a_device_gives_the_cpus_answers_for_every_shape(device: str) -> None:
    model = cnn().to(device)
    assert {Device(device)} == {m.device for m in model.modules()}  # type: ignore[arg-type]
    for count in (1, 3, 2, 3):
        result = model(images(count, seed=count))
        assert_near(answer(images(count, seed=count)), result.numpy())
    assert Device(device) == model.device  # type: ignore[arg-type]
    assert not result.requires_grad
    assert_near(answer(images(2)), model.to("cpu")(images(2)).numpy())


@onto
def test_nested_results_and_named_arguments_keep_their_form(device: str) -> None:
    neurenix.manual_seed(2)
    lstm = LSTM(4, 5, batch_first=True).eval()
    x, state = Tensor(random(2, 3, 4)), (Tensor(random(1, 2, 5)), Tensor(random(1, 2, 5, seed=1)))
    expected, (hidden, cell) = lstm(x, state)
    lstm.to(device)
    found, (h, c) = lstm(x, state)
    for mine, theirs in ((expected, found), (hidden, h), (cell, c)):
        assert_near(mine.numpy(), theirs.numpy())
    assert Device(device) == lstm.device  # type: ignore[arg-type]

    class Scaled(Module):
        def forward(self, x: Tensor, *, by: float, other: Any = None) -> Any:
            return {"scaled": x * by, "other": None if other is None else [other + 1]}

    model = Scaled().eval().to(device)
    assert {"scaled": [[2.0, 4.0]], "other": None} == {
        k: v.tolist() if v is not None else None for k, v in model(Tensor([[1.0, 2.0]]), by=2.0).items()
    }
    result = model(Tensor([[1.0, 2.0]]), by=3.0, other=Tensor([1.0]))
    assert ([[3.0, 6.0]], [2.0]) == (result["scaled"].tolist(), result["other"][0].tolist())


@onto
def test_whole_numbers_and_scalars_go_in(device: str) -> None:
    class Looked(Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = Embedding(7, 4)

        def forward(self, *inputs: Any) -> Any:
            ids, scale = inputs
            return self.table(ids) * scale

    neurenix.manual_seed(3)
    model = Looked().eval()
    ids, scale = Tensor(np.array([[0, 6, 2]])), Tensor(np.float32(0.5))
    expected = model(ids, scale).numpy()
    assert_near(expected, model.to(device)(ids, scale).numpy())
    assert Device(device) == model.device  # type: ignore[arg-type]


@onto
def test_parameters_that_change_are_in_the_next_answer(device: str) -> None:
    model, x = perceptron().to(device), random(2, 6)
    before = model(x).numpy()
    changes: list[Callable[[], Any]] = [
        lambda: model[0].weight.numpy().__imul__(2),  # in place, behind the library's back
        lambda: model.load_state_dict({**model.state_dict(), "2.bias": np.ones(3, np.float32)}),
        lambda: model[0].weight.numpy().__setitem__(slice(None), model[0].weight.numpy()[::-1].copy()),
    ]
    for change in changes:
        change()
        after = model(x).numpy()
        with pytest.raises(AssertionError):
            assert_near(before, after)
        assert_near(copy.deepcopy(model).to("cpu")(x).numpy(), after)
        before = after


@onto
def test_a_part_of_a_model_may_be_elsewhere(device: str) -> None:
    model, x = perceptron(), random(2, 6)
    expected = model(x).numpy()
    model[0].to(device)
    assert (Device(), Device(device)) == (model.device, model[0].device)  # type: ignore[arg-type]
    assert_near(expected, model(x).numpy())


@onto
def test_a_second_call_compiles_nothing(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = perceptron().to(device)
    model(random(2, 6))
    monkeypatch.setattr(engines, "start", None)
    for seed in range(3):
        assert_near(perceptron()(random(2, 6, seed=seed)).numpy(), model(random(2, 6, seed=seed)).numpy())


@pytest.mark.wasm
def test_the_engines_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "SHAPES", 3)
    model = perceptron().to("wasm")
    for count in range(1, 6):
        model(random(count, 6))
    shapes = [key[2][0][0] for key in compiled._placed[model].compiled]
    assert [(3, 6), (4, 6), (5, 6)] == shapes
    model.to("cpu")
    assert model not in compiled._placed


@pytest.mark.wasm
def test_hooks_run_once_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    model, calls = perceptron().to("wasm"), []
    model.register_forward_pre_hook(lambda module, inputs: calls.append("before"))
    model.register_forward_hook(lambda module, inputs, output: output + 1)
    x = random(1, 6)
    for _ in range(2):
        assert_near(perceptron()(x).numpy() + 1, model(x).numpy())
    assert ["before", "before"] == calls


@pytest.mark.wasm
def test_a_copy_of_a_model_on_a_device_is_on_it_too() -> None:
    model, x = perceptron().to("wasm"), random(1, 6)
    expected = model(x).numpy()
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301 -- its own bytes
        assert Device("wasm") == twin.device  # type: ignore[arg-type]
        assert_near(expected, twin(x).numpy())


@onto
def test_eight_threads_get_their_own_answers(device: str) -> None:
    model = perceptron().to(device)
    batches = [random(1 + i % 3, 6, seed=i) for i in range(24)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda x: model(x).numpy(), batches))
    for x, found in zip(batches, answers):
        assert_near(perceptron()(x).numpy(), found)


@onto
def test_every_engine_starts_from_a_plan_alone(device: str) -> None:
    from neurenix.compiler import passes
    from neurenix.compiler.schedule import schedule
    from neurenix.trace import trace

    plan, weights = schedule(passes.run(trace(perceptron(), {"x": "float32[n, 6]"})))
    for target in ("cpu", device):
        started = engines.start(Device(target), plan, weights)  # type: ignore[arg-type]
        assert target == started.device
        assert_near(perceptron()(random(5, 6)).numpy(), started.engine.run({"x": random(5, 6)}, {"n": 5})["output"])
