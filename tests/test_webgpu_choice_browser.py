"""Which device a page's model runs on: what `auto` takes for a GPU, and when WebAssembly answers instead."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gpu_page import LEAST_LIMITS, REAL_ADAPTER, OpenModel, oracle, samples

pytest_plugins = ["browser", "gpu_browser"]
pytestmark = [pytest.mark.browser, pytest.mark.zig]


def test_auto_stays_on_wasm_for_a_small_model(open_models: OpenModel) -> None:
    page = open_models("mlp", scripts=REAL_ADAPTER)
    settled, reasons, requested = page.evaluate(
        """async () => {
            const reasons = [];
            const model = await loadModel(undefined, { onFallback: ({ code }) => reasons.push(code) });
            const loaded = performance.getEntriesByType('resource').map(({ name }) => name.split('/').at(-1));
            return [await model.settled, reasons, loaded.filter((name) => /webgpu|wgsl/.test(name))];
        }"""
    )
    assert ("wasm", [], []) == (settled, reasons, requested)


def test_auto_answers_from_wasm_until_the_gpu_has_proved_itself(open_models: OpenModel, gpu_bundle: Any) -> None:
    x = samples(2, 1, 8, 8)
    before, after, answers, reasons = open_models("cnn", scripts=REAL_ADAPTER).evaluate(
        """async (x) => {
            const reasons = [];
            const model = await loadModel(undefined, { onFallback: ({ code }) => reasons.push(code) });
            const before = model.device;
            const early = (await model.forward({ image: x })).output.toArray();
            await model.settled;
            const late = (await model.forward({ image: x })).output.toArray();
            return [before, model.device, [early, late], reasons];
        }""",
        x.tolist(),
    )
    assert ("wasm", "webgpu", []) == (before, after, reasons)
    expected = oracle(gpu_bundle, "cnn", image=x)["output"]
    for answer in answers:
        np.testing.assert_allclose(answer, expected, atol=1e-5)


def test_auto_never_takes_a_software_adapter(open_models: OpenModel) -> None:
    settled, reasons, gpu = open_models("cnn").evaluate(
        """async () => {
            const reasons = [];
            const onFallback = ({ code, message }) => reasons.push([code, message]);
            const model = await loadModel(undefined, { onFallback });
            return [await model.settled, reasons, model.gpu];
        }"""
    )
    assert ("wasm", None) == (settled, gpu)
    ((code, message),) = reasons
    assert "device_unavailable" == code
    assert "software" in message


def test_a_model_that_needs_infinities_stays_off_the_gpu_under_strict(open_models: OpenModel) -> None:
    lax, strict, reasons, refused = open_models("masked", scripts=REAL_ADAPTER).evaluate(
        """async () => {
            const reasons = [];
            const onFallback = ({ code, message }) => reasons.push([code, message]);
            const lax = await loadModel(undefined, { onFallback });
            const strict = await loadModel(undefined, { strict: true, onFallback });
            const refused = await attempt(() => loadModel(undefined, { device: 'webgpu', strict: true }));
            return [await lax.settled, await strict.settled, reasons, refused];
        }"""
    )
    assert ("webgpu", "wasm", "unsupported") == (lax, strict, refused["code"])
    ((code, message),) = reasons
    assert "unsupported" == code
    assert "constant -inf" in message
    assert "constant -inf" in refused["message"]


def test_an_adapter_that_gives_too_little_is_refused_by_name_and_wasm_answers(open_models: OpenModel) -> None:
    refused, answer, settled, reasons = open_models("wide", scripts=(REAL_ADAPTER, LEAST_LIMITS)).evaluate(
        """async () => {
            const reasons = [];
            const refused = await attempt(() => loadModel(undefined, { device: 'webgpu' }));
            const onFallback = ({ code, message }) => reasons.push([code, message]);
            const model = await loadModel(undefined, { onFallback });
            const settled = await model.settled;
            const { output } = await model.forward(new Float32Array(1024).fill(2));
            return [refused, output.data.reduce((sum, value) => sum + value), settled, reasons];
        }"""
    )
    ((code, message),) = reasons
    assert (2048, "wasm") == (answer, settled)
    assert ["device_unavailable"] * 2 == [refused["code"], code]
    for text in (refused["message"], message):
        assert "gives maxStorageBufferBindingSize = 134217728; the model needs 138444800" in text
