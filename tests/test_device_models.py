"""Models on devices: the CPU's answers, or the CPU with a warning; never a wrong answer and never in silence."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exported_model import answer, cnn, images

import neurenix
from neurenix import compiled, engines, load_model
from neurenix.bundle.reader import Bundle
from neurenix.compiler import wgsl
from neurenix.device import Device
from neurenix.errors import DeviceError, GraphError, InputError, RunError, UnsupportedError
from neurenix.nn import LSTM, BatchNorm1d, Dropout, Embedding, Linear, Module, ReLU, Sequential
from neurenix.phynexus.wasm import WasmEngine
from neurenix.phynexus.webgpu import WebGPUEngine, missing_adapter
from neurenix.tensor import Tensor
from neurenix.wasm import export_to_wasm

pytest_plugins = ["exported_bundle", "pretend_host"]
pytestmark = pytest.mark.zig

_MISSING = missing_adapter()
gpu = [pytest.mark.gpu, pytest.mark.skipif(_MISSING is not None, reason=f"no WebGPU here: {_MISSING}")]
DEVICES = [pytest.param("wasm", marks=pytest.mark.wasm), pytest.param("webgpu", marks=gpu)]
onto = pytest.mark.parametrize("device", DEVICES)


def random(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def perceptron() -> Sequential:
    neurenix.manual_seed(1)
    return Sequential(Linear(6, 9), ReLU(), Linear(9, 3)).eval()


def assert_near(expected: Any, actual: Any) -> None:
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-6)


# ── right answers ───────────────────────────────────────────────────────────────────────────────────────


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


# ── the CPU answers, and says so ────────────────────────────────────────────────────────────────────────


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
    [pytest.param("wasm", WasmEngine, marks=pytest.mark.wasm), pytest.param("webgpu", WebGPUEngine, marks=gpu)],
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


# ── bundles ─────────────────────────────────────────────────────────────────────────────────────────────

NAMES = ["webgpu", "vulkan", Device("webgpu")]  # type: ignore[arg-type]


class TestBundles:
    pytestmark = gpu

    @pytest.mark.parametrize("device", NAMES)
    def test_a_bundle_runs_on_a_graphics_adapter(self, exported: Path, device: Any) -> None:
        model = load_model(exported, device)
        adapter = Device(str(device)).adapter()  # type: ignore[arg-type]
        assert adapter is not None
        assert (str(device), f"{adapter.name} through {adapter.backend}") == (model.device, model.variant)
        for batch in (1, 9, 4):
            assert_near(answer(images(batch)), model.forward(images(batch))["output"])
        assert model.self_test() < 1e-6

    def test_the_variable_moves_bundles_too(self, exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NEURENIX_DEVICE", "webgpu")
        assert "webgpu" == load_model(exported).device
        assert "cpu" == load_model(exported, "cpu").device

    @pytest.mark.parametrize("fault", ["y[i] = 0.0;", "y[i] = nothing;"])
    def test_shaders_that_are_wrong_are_found_out_before_they_answer(
        self, exported: Path, monkeypatch: pytest.MonkeyPatch, fault: str
    ) -> None:
        def spoiled(plan: Any, weights: bytes) -> Any:
            found = original(plan, weights)
            last = found.shaders[found.dispatches[-1].shader]
            source = f"""@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {{ let i = id.x; {fault} }}"""
            final = replace(last, name="spoiled", source=source, writes=(True,), params=0)
            written = [b for b, w in zip(found.dispatches[-1].bindings, last.writes) if w]
            dispatch = replace(found.dispatches[-1], shader="spoiled", bindings=tuple(written), params=())
            shaders = {**found.shaders, "spoiled": final}
            return replace(found, shaders=shaders, dispatches=(*found.dispatches[:-1], dispatch))

        original = wgsl.print_wgsl
        monkeypatch.setattr(wgsl, "print_wgsl", spoiled)
        monkeypatch.setattr(Bundle, "has_shaders", False)
        with pytest.warns(RuntimeWarning, match="'cnn' runs on cpu, not on webgpu: .*(off by|nothing)"):
            model = load_model(exported, "webgpu")
        assert "cpu" == model.device
        assert_near(answer(images(2)), model(images(2))["output"])

    def test_an_op_without_a_shader_leaves_the_bundle_on_the_cpu(self, tmp_path: Path) -> None:
        class Wide(Module):
            def forward(self, *inputs: Any) -> Any:
                return inputs[0] * 3 + 1  # int64 that may leave 32 bits

        export_to_wasm(Wide(), tmp_path, "wide", inputs={"x": "int64[n]"}, native=True)
        with pytest.warns(RuntimeWarning, match="'wide' runs on cpu, not on webgpu: .*32 bits"):
            model = load_model(tmp_path, "webgpu")
        assert [2**40 * 3 + 1] == model(np.array([2**40]))["output"].tolist()

    def test_a_device_that_is_lost_leaves_the_answer_to_the_cpu(self, exported: Path) -> None:
        model = load_model(exported, "webgpu")
        lost: Any = model._started.engine
        lost._device.destroy()
        with pytest.warns(RuntimeWarning, match="'cnn' left webgpu and runs on cpu") as warned:
            assert_near(answer(images(3)), model(images(3))["output"])
        assert [__file__] == [w.filename for w in warned]
        assert "cpu" == model.device
        assert_near(answer(images(2)), model(images(2))["output"])

    def test_eight_threads_that_lose_their_device_fall_back_once(self, exported: Path) -> None:
        model = load_model(exported, "webgpu")
        lost: Any = model._started.engine
        lost._device.destroy()
        with warnings.catch_warnings(record=True) as warned, ThreadPoolExecutor(8) as pool:
            warnings.simplefilter("always")
            answers = list(pool.map(lambda n: model(images(n))["output"], range(1, 9)))
        assert 1 == len([w for w in warned if issubclass(w.category, RuntimeWarning)])
        for n, found in enumerate(answers, start=1):
            assert_near(answer(images(n)), found)


def test_a_variable_that_asks_for_what_is_not_there_leaves_bundles_on_the_cpu(
    exported: Path, pretend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(problem="no driver here")
    monkeypatch.setenv("NEURENIX_DEVICE", "cuda")
    with pytest.warns(RuntimeWarning, match="NEURENIX_DEVICE=cuda: no driver here; running on the CPU"):
        assert "cpu" == load_model(exported).device


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
