"""WebGPU in Chromium, on SwiftShader: the bundle's shaders give the golden answers, and a call creates nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gpu_page import COUNTING, LOAD, MODELS, OpenModel, oracle, samples
from runtime_page import complaints

pytest_plugins = ["browser", "gpu_browser"]
pytestmark = [pytest.mark.browser, pytest.mark.zig]


@pytest.mark.parametrize("name", [n for n in MODELS if n != "after"])
def test_a_model_proves_itself_on_the_gpu(open_models: OpenModel, name: str) -> None:
    page = open_models(name)
    result = page.evaluate(
        f"""async () => {{
            const model = {LOAD};
            const {{ passed, maxError, cases }} = await model.selfTest();
            return [model.device, model.variant, passed, maxError, cases.length, model.gpu.software];
        }}"""
    )
    device, variant, passed, error, cases, software = result
    assert ("webgpu", "wgsl", True, True) == (device, variant, passed, software)
    assert cases >= 1
    assert error <= 1e-5
    assert [] == complaints(page)


def test_any_sizes_give_the_references_answers(open_models: OpenModel, gpu_bundle: Any) -> None:
    sizes = [(2, 9), (1, 4), (2, 1), (1, 9), (2, 9)]
    given = [samples(n, t, 16) for n, t in sizes]
    answers = open_models("block").evaluate(
        f"""async (given) => {{
            const model = {LOAD};
            const answers = [];
            for (const x of given) answers.push((await model.forward({{ x }})).output.toArray());
            return answers;
        }}""",
        [x.tolist() for x in given],
    )
    for x, answer in zip(given, answers):
        np.testing.assert_allclose(answer, oracle(gpu_bundle, "block", x=x)["output"], atol=2e-5)


def test_a_call_creates_nothing_but_its_commands(open_models: OpenModel) -> None:
    first, later, gpu = open_models("cnn", scripts=COUNTING).evaluate(
        f"""async () => {{
            const model = {LOAD};
            const first = {{ ...made }};
            for (const batch of [1, 4, 4, 2]) await model.forward(new Float32Array(64 * batch));
            for (const name of Object.keys(first)) made[name] -= first[name];
            const {{ device, ...gpu }} = model.gpu;
            return [first, made, gpu];
        }}"""
    )
    assert {name: count for name, count in later.items() if count} == {"createCommandEncoder": 4}
    assert first["createComputePipelineAsync"] == gpu["pipelines"]
    assert first["createBindGroup"] == gpu["bindGroups"] == gpu["dispatches"]
    assert first["createBuffer"] == gpu["buffers"]


# A map that takes a tenth of a second, and how often the page asked for the word of an error scope.
SLOW_MAPS = """
window.asked = 0;
const { popErrorScope } = GPUDevice.prototype;
GPUDevice.prototype.popErrorScope = function () { asked += 1; return popErrorScope.call(this); };
const { mapAsync } = GPUBuffer.prototype;
GPUBuffer.prototype.mapAsync = async function (...args) {
  await mapAsync.apply(this, args);
  await new Promise((resolve) => setTimeout(resolve, 100));
};
"""


def test_a_call_that_takes_long_makes_the_browser_look_a_few_times_and_no_more(open_models: OpenModel) -> None:
    asked = open_models("quick", scripts=SLOW_MAPS).evaluate(
        f"""async () => {{
            const model = {LOAD};
            asked = 0;
            await model.forward(new Float32Array(5));
            return asked;
        }}"""
    )
    assert 3 + 4 == asked


def test_overlapping_calls_get_their_own_answers(open_models: OpenModel, gpu_bundle: Any) -> None:
    answers = open_models("mlp").evaluate(
        f"""async () => {{
            const model = {LOAD};
            const shared = new Float32Array(10);
            const calls = Array.from({{ length: 20 }}, (_, i) => {{
                shared.fill(i);
                return model.forward(shared);
            }});
            return (await Promise.all(calls)).map(({{ output }}) => output.toArray()[0]);
        }}"""
    )
    x = np.repeat(np.arange(20, dtype=np.float32)[:, None], 10, axis=1)
    expected = np.concatenate([oracle(gpu_bundle, "mlp", input=row[None])["output"] for row in x])
    np.testing.assert_allclose(answers, expected, rtol=1e-5, atol=1e-5)


def test_whole_numbers_go_in_and_come_out(open_models: OpenModel, gpu_bundle: Any) -> None:
    ids = np.array([3, 0, 10, -1], np.int64)
    rows, best, kind, kept, kept_kind = open_models("chosen").evaluate(
        f"""async (ids) => {{
            const model = {LOAD};
            const {{ rows, best }} = await model.forward(BigInt64Array.from(ids, BigInt));
            const kept = await model.forward(BigInt64Array.from(ids, BigInt), {{ keep: true }});
            const downloaded = await kept.best.getData();
            return [rows.toArray(), best.toArray().map(Number), best.data.constructor.name,
                Array.from(downloaded, Number), downloaded.constructor.name];
        }}""",
        ids.tolist(),
    )
    expected = oracle(gpu_bundle, "chosen", ids=ids)
    np.testing.assert_allclose(rows, expected["rows"])
    assert (expected["best"].tolist(), "BigInt64Array") == (best, kind) == (kept, kept_kind)


def test_a_number_beyond_32_bits_is_answered_by_wasm_and_refused_under_strict(open_models: OpenModel) -> None:
    wide = "BigInt64Array.of(2n ** 32n)"
    same, device, reasons, strict = open_models("chosen").evaluate(
        f"""async () => {{
            const reasons = [];
            const onFallback = ({{ code }}) => reasons.push(code);
            const model = await loadModel(undefined, {{ device: 'webgpu', onFallback }});
            const answer = await attempt(async () => (await model.forward({wide})).rows.toArray());
            const wasm = await loadModel(undefined, {{ device: 'wasm' }});
            const expected = await attempt(async () => (await wasm.forward({wide})).rows.toArray());
            const strict = await loadModel(undefined, {{ device: 'webgpu', strict: true }});
            const refused = await attempt(() => strict.forward({wide}));
            return [JSON.stringify(answer) === JSON.stringify(expected), model.device, reasons, refused];
        }}"""
    )
    assert (True, "webgpu", ["unsupported"]) == (same, device, reasons)  # this call, and not the next
    assert ("unsupported", True) == (strict["code"], "4294967296" in strict["message"])


def test_a_number_for_which_the_model_may_leave_32_bits_is_answered_by_wasm(open_models: OpenModel) -> None:
    found, reasons, device, strict = open_models("tripled").evaluate(
        """async () => {
            const reasons = [];
            const onFallback = ({ code, message }) => reasons.push([code, message]);
            const model = await loadModel(undefined, { device: 'webgpu', onFallback });
            const found = [], told = [];
            for (const value of [2n ** 29n - 1n, -(2n ** 29n), 2n ** 29n, 2n ** 40n, 7n]) {
                const { output } = await model.forward(BigInt64Array.of(value));
                found.push(String(output.data[0]), reasons.length);
            }
            const strict = await loadModel(undefined, { device: 'webgpu', strict: true });
            const refused = await attempt(() => strict.forward(BigInt64Array.of(2n ** 29n)));
            return [found, reasons, model.device, [refused, String((await strict.forward([1])).output.data[0])]];
        }"""
    )
    values = [2**29 - 1, -(2**29), 2**29, 2**40, 7]
    assert [x for value, told in zip(values, (0, 0, 1, 2, 2)) for x in (str(3 * value + 1), told)] == found
    assert ("webgpu", ["unsupported"] * 2) == (device, [code for code, _ in reasons])
    assert "Input 'x' holds 536870912; only from -536870912 to 536870911" in reasons[0][1]
    assert ("unsupported", "4") == (strict[0]["code"], strict[1])  # refused, and the GPU still answers


def test_a_buffer_of_the_page_is_looked_at_where_its_numbers_may_be_too_large(open_models: OpenModel) -> None:
    found, reasons, wrong, device = open_models("tripled").evaluate(
        """async () => {
            const reasons = [], found = [];
            const onFallback = ({ code }) => reasons.push(code);
            const model = await loadModel(undefined, { device: 'webgpu', onFallback });
            const usage = GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
            for (const value of [5, 2 ** 30]) {
                const buffer = model.gpu.device.createBuffer({ size: 4, usage });
                model.gpu.device.queue.writeBuffer(buffer, 0, Int32Array.of(value));
                found.push(String((await model.forward(buffer)).output.data[0]));
            }
            const hidden = model.gpu.device.createBuffer({ size: 4, usage: GPUBufferUsage.STORAGE });
            const wrong = await attempt(() => model.forward(hidden));
            return [found, reasons, wrong.code, [model.device, model.gpu.recoveries]];
        }"""
    )
    assert (["16", str(3 * 2**30 + 1)], ["unsupported"]) == (found, reasons)
    assert ("bad_input", ["webgpu", 0]) == (wrong, device)


def test_a_kept_tensor_is_looked_at_where_its_numbers_may_be_too_large(open_models: OpenModel) -> None:
    found, reasons = open_models("tripled").evaluate(
        """async () => {
            const reasons = [], found = [];
            const onFallback = ({ code }) => reasons.push(code);
            const model = await loadModel(undefined, { device: 'webgpu', onFallback });
            for (const value of [5n, 2n ** 28n]) {
                const { output } = await model.forward(BigInt64Array.of(value), { keep: true });
                const next = await model.forward(output, { keep: true });
                found.push(String((await next.output.getData())[0]), reasons.length);
                output.dispose();
            }
            return [found, reasons];
        }"""
    )
    assert (["49", 0, str(9 * 2**28 + 4), 1], ["unsupported"]) == (found, reasons)


def test_float16_is_taken_kept_handed_on_and_given_back(open_models: OpenModel, gpu_bundle: Any) -> None:
    x = np.array([[1, -0.0, 6e4, 65504, 6e-8], [0.333, 7, -2.5, 250, -1e-7]], np.float16)
    found, kinds, reasons = open_models("halves").evaluate(
        """async (bits) => {
            const reasons = [];
            const onFallback = ({ message }) => reasons.push(message);
            const model = await loadModel(undefined, { device: 'webgpu', onFallback });
            const given = model.createTensor([2, 5], Uint16Array.from(bits), 'float16');
            const { output } = await model.forward(given);
            const kept = await model.forward(given, { keep: true });
            const twice = await model.forward(kept.output);
            const wasm = await loadModel(undefined, { device: 'wasm' });
            const elsewhere = await wasm.forward(kept.output);
            const downloaded = await kept.output.getData();
            const all = [output.data, downloaded, twice.output.data, elsewhere.output.data];
            const kinds = [kept.output.dtype, model.device, ...all.map((data) => data.constructor.name)];
            return [all.map((data) => Array.from(data)), kinds, reasons];
        }""",
        x.view(np.uint16).ravel().tolist(),
    )
    once = oracle(gpu_bundle, "halves", x=x)["output"]
    twice = oracle(gpu_bundle, "halves", x=once)["output"]
    assert np.isinf(once).any() and (np.abs(once) < 6.1e-5).any()  # overflow, and denormals
    assert [a.view(np.uint16).ravel().tolist() for a in (once, once, twice, twice)] == found
    assert (["float16", "webgpu", *["Uint16Array"] * 4], []) == (kinds, reasons)


def test_an_output_whose_size_depends_on_data_is_cut(open_models: OpenModel) -> None:
    x = samples(12)
    found = open_models("kept").evaluate(
        f"""async (x) => {{
            const model = {LOAD};
            const all = await model.forward(Float32Array.from(x, Math.sign));
            const {{ output }} = await model.forward(Float32Array.from(x, (v) => Math.max(v, 0)));
            const kept = await model.forward(x, {{ keep: true }});
            return [all.output.shape, output.shape, output.toArray().flat().map(Number), kept.output.constructor.name];
        }}""",
        x.tolist(),
    )
    positive = np.flatnonzero(x > 0)
    assert ([1, 12], [1, len(positive)]) == (found[0], found[1])
    assert (positive.tolist(), "Tensor") == (found[2], found[3])


@pytest.mark.parametrize("n", [0, 3])
def test_tensors_without_elements_are_answered_and_kept(open_models: OpenModel, gpu_bundle: Any, n: int) -> None:
    x = samples(n, 5)
    answers, kept, reasons = open_models("empty").evaluate(
        """async (x) => {
            const reasons = [];
            const onFallback = ({ message }) => reasons.push(message);
            const model = await loadModel(undefined, { device: 'webgpu', onFallback });
            const given = model.createTensor([x.length, 5], Float32Array.from(x.flat()));
            const answers = await model.forward({ x: given });
            const kept = await model.forward({ x: given }, { keep: true });
            const plain = ([name, { shape, data }]) => [name, [shape, Array.from(data)]];
            const got = await Promise.all(Object.entries(kept).map(async ([name, tensor]) => {
                return plain([name, { shape: tensor.shape, data: await tensor.getData() }]);
            }));
            return [Object.fromEntries(Object.entries(answers).map(plain)), Object.fromEntries(got), reasons];
        }""",
        x.tolist(),
    )
    assert [] == reasons
    for name, wanted in oracle(gpu_bundle, "empty", x=x).items():
        for shape, values in (answers[name], kept[name]):
            assert [*wanted.shape] == shape, name
            np.testing.assert_allclose(values, wanted.ravel(), atol=1e-6, err_msg=name)


def test_more_workgroups_than_an_axis_has_are_folded(open_models: OpenModel) -> None:
    rows = 16_500  # 4 workgroups each: 66,000
    wrong, y, groups, limit = open_models("wide").evaluate(
        f"""async () => {{
            window.groups = [];
            const dispatch = GPUComputePassEncoder.prototype.dispatchWorkgroups;
            GPUComputePassEncoder.prototype.dispatchWorkgroups = function (...counts) {{
                groups.push(counts);
                return dispatch.apply(this, counts);
            }};
            const model = {LOAD};
            const x = Float32Array.from({{ length: {rows} * 1024 }}, (_, i) => (i % 1009) - 500);
            const {{ output }} = await model.forward(x);
            const wrong = output.data.reduce((sum, value, i) => sum + (value !== Math.max(x[i], 0)), 0);
            return [wrong, output.shape, groups.at(-1), model.gpu.device.limits.maxStorageBufferBindingSize];
        }}"""
    )
    assert (0, [rows, 1024], [65535, 2, 1]) == (wrong, y, groups)
    assert limit >= 33_800 * 1024 * 4 > 2**27  # it was asked for
