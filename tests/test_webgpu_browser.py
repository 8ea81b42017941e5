"""WebGPU in Chromium, on SwiftShader: the bundle's shaders give the golden answers, and a call creates nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gpu_page import COUNTING, LEAST_LIMITS, MODELS, REAL_ADAPTER, OpenModel
from runtime_page import complaints

from neurenix import load_model

pytest_plugins = ["browser", "gpu_browser"]
pytestmark = [pytest.mark.browser, pytest.mark.zig]

Array = np.ndarray[Any, Any]
LOAD = "(await loadModel(undefined, { device: 'webgpu' }))"


def oracle(gpu_bundle: Any, name: str, **inputs: Array) -> dict[str, Array]:
    return load_model(gpu_bundle(name) / f"{name}.json", device="reference").forward(inputs)


def samples(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


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


# ── tensors that stay there ─────────────────────────────────────────────────────────────────────────────


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


# ── sizes ───────────────────────────────────────────────────────────────────────────────────────────────


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


# ── which device ────────────────────────────────────────────────────────────────────────────────────────


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


# ── lives ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_call_can_be_aborted_and_the_next_is_right(open_models: OpenModel) -> None:
    codes = open_models("mlp").evaluate(
        f"""async () => {{
            const model = {LOAD};
            const control = new AbortController();
            const calls = [undefined, control.signal, undefined].map(
                (signal) => attempt(() => model.forward(new Float32Array(10), {{ signal }})));
            control.abort();
            return (await Promise.all(calls)).map(({{ value, code }}) => code ?? value.output.shape.join('x'));
        }}"""
    )
    assert ["1x5", "aborted", "1x5"] == codes


def test_a_disposed_model_refuses_and_frees_its_buffers(open_models: OpenModel) -> None:
    freed = """
    window.destroyed = 0;
    const destroy = GPUBuffer.prototype.destroy;
    GPUBuffer.prototype.destroy = function () { destroyed += 1; return destroy.call(this); };
    """
    codes, buffers, gone, other = open_models("mlp", "after", scripts=freed).evaluate(
        """async () => {
            const model = await mlp(undefined, { device: 'webgpu' });
            const other = await after(undefined, { device: 'webgpu' });
            const { buffers } = model.gpu;
            const running = attempt(() => model.forward(new Float32Array(10)));
            const waiting = attempt(() => model.forward(new Float32Array(10)));
            await new Promise((resolve) => setTimeout(resolve));
            model.dispose();
            const later = attempt(() => model.forward(new Float32Array(10)));
            const codes = (await Promise.all([running, waiting, later])).map(({ code }) => code);
            return [codes, buffers, destroyed, (await other.selfTest()).passed];
        }"""
    )
    assert (["disposed"] * 3, True) == (codes, other)
    assert buffers == gone


def test_a_load_can_be_aborted(open_models: OpenModel) -> None:
    error = open_models("mlp").evaluate(
        """() => {
            const control = new AbortController();
            setTimeout(() => control.abort(), 5);
            return attempt(() => loadModel(undefined, { device: 'webgpu', signal: control.signal }));
        }"""
    )
    assert "aborted" == error["code"]
