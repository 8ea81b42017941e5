"""Tensors that stay on the GPU of a page: kept, given to the next model, taken from the page's own buffers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gpu_page import COUNTING, LOAD, OpenModel, oracle, samples

pytest_plugins = ["browser", "gpu_browser"]
pytestmark = [pytest.mark.browser, pytest.mark.zig]


def test_kept_outputs_go_into_the_next_model_without_a_download(open_models: OpenModel, gpu_bundle: Any) -> None:
    x = samples(3, 10)
    copies = """
    window.mapped = 0;
    const map = GPUBuffer.prototype.mapAsync;
    GPUBuffer.prototype.mapAsync = function (mode, from, size) {
      mapped += size ?? this.size;
      return map.apply(this, arguments);
    };
    """
    kinds, shape, values, answer, bytes_read, devices, disposed = open_models("mlp", "after", scripts=copies).evaluate(
        """async (x) => {
            const first = await mlp(undefined, { device: 'webgpu' });
            const second = await after(undefined, { device: 'webgpu' });
            const before = mapped;
            const { output } = await first.forward(x, { keep: true });
            const between = mapped - before;
            const answer = await second.forward({ input: output });
            const values = Array.from(await output.getData());
            const kinds = [output.constructor.name, typeof output.data];
            output.dispose();
            const disposed = await attempt(() => second.forward({ input: output }));
            return [kinds, output.shape, values, answer.output.toArray(), between,
                first.gpu.device === second.gpu.device, disposed];
        }""",
        x.tolist(),
    )
    # 4 bytes: the number of the call, by which it is known that it ran.
    assert (["GpuTensor", "undefined"], [3, 5], 4, True) == (kinds, shape, bytes_read, devices)
    middle = oracle(gpu_bundle, "mlp", input=x)["output"]
    np.testing.assert_allclose(np.reshape(values, (3, 5)), middle, atol=1e-5)
    np.testing.assert_allclose(answer, oracle(gpu_bundle, "after", input=middle)["output"], atol=1e-5)
    assert "disposed" == disposed["code"]


def test_kept_buffers_serve_again(open_models: OpenModel) -> None:
    made = open_models("mlp", scripts=COUNTING).evaluate(
        f"""async () => {{
            const model = {LOAD};
            const x = new Float32Array(10);
            (await model.forward(x, {{ keep: true }})).output.dispose();
            const before = made.createBuffer;
            for (let i = 0; i < 5; i++) (await model.forward(x, {{ keep: true }})).output.dispose();
            return made.createBuffer - before;
        }}"""
    )
    assert 0 == made


def test_a_tensor_that_is_disposed_of_before_its_turn_is_refused_and_no_other_is_read(open_models: OpenModel) -> None:
    early, late = open_models("mlp", "after").evaluate(
        """async () => {
            const first = await mlp(undefined, { device: 'webgpu' });
            const second = await after(undefined, { device: 'webgpu' });
            const ones = new Float32Array(10).fill(1);
            const { output } = await first.forward(ones, { keep: true });
            const expected = (await second.forward(output)).output.toArray().join();
            const busy = Array.from({ length: 3 }, () => second.forward(new Float32Array(5)));
            const early = attempt(() => second.forward(output));
            output.dispose();
            const other = await first.forward(ones.fill(9), { keep: true }); // takes the buffer
            await Promise.all(busy);
            const next = await first.forward(ones.fill(1), { keep: true });
            const late = second.forward(next.output);
            const same = (await late).output.toArray().join() === expected;
            other.output.dispose();
            return [await early, same];
        }"""
    )
    assert ("disposed", True) == (early.get("code"), late)


def test_a_model_on_wasm_takes_and_keeps_as_well(open_models: OpenModel, gpu_bundle: Any) -> None:
    x = samples(2, 10)
    answer, kept = open_models("mlp", "after").evaluate(
        """async (x) => {
            const first = await mlp(undefined, { device: 'webgpu' });
            const second = await after(undefined, { device: 'wasm' });
            const { output } = await first.forward(x, { keep: true });
            const answer = await second.forward(output, { keep: true });
            answer.output.dispose();
            return [answer.output.toArray(), Array.from(await answer.output.getData()).length];
        }""",
        x.tolist(),
    )
    middle = oracle(gpu_bundle, "mlp", input=x)["output"]
    np.testing.assert_allclose(answer, oracle(gpu_bundle, "after", input=middle)["output"], atol=1e-5)
    assert 6 == kept


@pytest.mark.parametrize("given", ["buffer", "model.createTensor([2, 10], buffer)"])
def test_a_buffer_of_the_page_is_an_input(open_models: OpenModel, gpu_bundle: Any, given: str) -> None:
    x = samples(2, 10)
    answer = open_models("mlp").evaluate(
        f"""async (x) => {{
            const model = {LOAD};
            const {{ device }} = model.gpu;
            const usage = GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
            const buffer = device.createBuffer({{ size: 80, usage }});
            device.queue.writeBuffer(buffer, 0, Float32Array.from(x.flat()));
            return (await model.forward({given})).output.toArray();
        }}""",
        x.tolist(),
    )
    np.testing.assert_allclose(answer, oracle(gpu_bundle, "mlp", input=x)["output"], atol=1e-5)


def test_a_buffer_that_cannot_be_read_is_the_callers_mistake(open_models: OpenModel) -> None:
    codes, device, recoveries = open_models("mlp").evaluate(
        f"""async () => {{
            const model = {LOAD};
            const {{ device }} = model.gpu;
            const foreign = await (await navigator.gpu.requestAdapter()).requestDevice();
            const buffers = [
                device.createBuffer({{ size: 40, usage: GPUBufferUsage.STORAGE }}),
                foreign.createBuffer({{ size: 40, usage: GPUBufferUsage.COPY_SRC }}),
                device.createBuffer({{ size: 44, usage: GPUBufferUsage.COPY_SRC }}),
                device.createBuffer({{ size: 40, usage: GPUBufferUsage.COPY_SRC }}),
            ];
            buffers.at(-1).destroy();
            const tensors = buffers.map((buffer) => model.createTensor([1, 10], buffer));
            const codes = [];
            for (const given of [...buffers, ...tensors.toSpliced(2, 1)]) {{
                codes.push((await attempt(() => model.forward(given))).code);
            }}
            return [codes, model.device, model.gpu.recoveries];
        }}"""
    )
    assert (["bad_input"] * 7, "webgpu", 0) == (codes, device, recoveries)
