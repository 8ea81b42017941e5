"""Bundles on a graphics adapter: its shaders prove themselves first, and the CPU answers when they do not."""

from __future__ import annotations

import json
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from device_cases import assert_near
from exported_model import answer, images
from manifest_checker import Checker

from neurenix import load_model
from neurenix.bundle.reader import Bundle
from neurenix.compiler import wgsl
from neurenix.device import Device
from neurenix.nn import Module
from neurenix.wasm import export_to_wasm

pytest_plugins = ["exported_bundle", "pretend_host"]
pytestmark = pytest.mark.zig


NAMES = ["webgpu", "vulkan", Device("webgpu")]  # type: ignore[arg-type]


class TestBundles:
    pytestmark = pytest.mark.gpu

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
                return inputs[0] * 2**40 + 1  # int64 that leaves 32 bits

        export_to_wasm(Wide(), tmp_path, "wide", inputs={"x": "int64[n]"}, native=True)
        with pytest.warns(RuntimeWarning, match="'wide' runs on cpu, not on webgpu: .*32 bits"):
            model = load_model(tmp_path, "webgpu")
        assert [3 * 2**40 + 1] == model(np.array([3]))["output"].tolist()

    def test_a_call_with_numbers_that_are_too_large_is_answered_by_the_cpu_alone(self, tmp_path: Path) -> None:
        class Tripled(Module):
            def forward(self, *inputs: Any) -> Any:
                return inputs[0] * 3 + 1

        export_to_wasm(Tripled(), tmp_path, "tripled", inputs={"x": "int64[n]"}, native=True)
        Checker(json.loads((tmp_path / "tripled.json").read_text(encoding="utf-8")), tmp_path).check()
        model = load_model(tmp_path, "webgpu")
        with pytest.warns(RuntimeWarning, match="calls on cpu that webgpu cannot: input 'x' holds 10995") as warned:
            for value in (7, 2**40, 2**29, 2**29 - 1):
                assert [3 * value + 1] == model(np.array([value]))["output"].tolist()
        assert ([__file__], "webgpu") == ([w.filename for w in warned], model.device)

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
