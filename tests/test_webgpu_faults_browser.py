"""A GPU that fails, at any stage and in any way: the answer is right or the error typed, and never silently wrong.

Each fault is tried once. `NEURENIX_FAULT_REPEATS=20` in the environment tries each of them 20 times, as a release
should, and with `-s` the tests print how often each was tried, struck, was answered and was refused.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from gpu_faults import FAULTS, HARMLESS, fault_script
from gpu_page import REAL_ADAPTER, OpenModel, oracle, samples

pytest_plugins = ["browser", "gpu_browser"]
pytestmark = [pytest.mark.browser, pytest.mark.zig]

REPEATS = int(os.environ.get("NEURENIX_FAULT_REPEATS", "1"))
CODES = {"run_failed", "device_unavailable", "compile_failed", "verification_failed", "out_of_memory"}

# Where a fault strikes that a call on a prepared model never meets: to meet it, the model must prepare itself again.
PREPARING = ("Navigator", "GPU", "GPUAdapter", "createShaderModule", "createComputePipelineAsync", "createBuffer",
             "createBindGroup")  # fmt: skip

# Loads a model with a fault armed before (`early`) or after it is loaded, and calls it three times. `fresh` loses the
# device that there was before that.
TRY = """async ([name, early, strikes, device, fresh, x]) => {
  const loseAll = async () => { lose(); await Promise.all(devices.map(({ lost }) => lost)); };
  if (fresh && early) await loseAll();
  const reasons = [];
  const deadline = 60000;  // what hangs makes it pass, and nothing else: a busy machine compiles for seconds
  const options = { device, deadline, onFallback: ({ code, message }) => reasons.push(`${code} ${message}`) };
  if (early) arm(name, strikes);
  const loaded = await attempt(async () => {
    const model = await loadModel(undefined, options);
    await model.settled;
    return model;
  });
  const results = [];
  const model = loaded.value;
  if (fresh && !early) await loseAll();
  if (!early) arm(name, strikes);
  for (let i = 0; model && i < 3; i++) {
    const { value, ours, code, message } = await attempt(() => model.forward({ input: x }));
    results.push(value ? value.output.toArray() : { ours, code, message });
  }
  window.fault = '';
  const recoveries = model?.gpu?.recoveries ?? 0;
  const { ours, code, message } = loaded;
  const after = model?.device;
  model?.dispose();
  return { after, results, reasons, recoveries, struck, error: model ? null : { ours, code, message } };
}"""


def _again(name: str) -> bool:
    """Say whether a fault strikes only while a model prepares itself."""
    return any(part in PREPARING for part in FAULTS[name][0].partition("@")[0].split("."))


def _tries(page: Any, name: str, early: bool, strikes: int, device: str, x: Any) -> list[dict[str, Any]]:
    """Try a fault as often as is wanted. It must strike, and what the page then says must be true."""
    # A device that is there already is taken, and nobody asks for one.
    fresh = FAULTS[name][0].split(".")[0] in ("Navigator", "GPU", "GPUAdapter") if early else _again(name)
    tries = [page.evaluate(TRY, [name, early, strikes, device, fresh, x.tolist()]) for _ in range(REPEATS)]
    for found in tries:
        what = f"{name}: {found}"
        assert found["struck"] > 0, what
        for error in [found["error"], *(r for r in found["results"] if isinstance(r, dict))]:
            assert error is None or (error["ours"] and error["code"] in CODES), what
        for reason in found["reasons"]:
            assert reason.split()[0] in CODES, what
        if device == "auto" or not early:  # one word for each change over to WebAssembly, and none without
            assert ([] == found["reasons"]) == ("webgpu" == found["after"]), what
    counts = {
        "tries": len(tries),
        "right answers": sum(len(found["results"]) for found in tries),
        "refused": sum(found["error"] is not None for found in tries),
        "on wasm": sum(found["after"] == "wasm" for found in tries),
    }
    print(
        f"{name} ({device}, {'while loading' if early else 'later'}, {'once' if strikes == 1 else 'always'}):", counts
    )
    return tries


def _uncaught(page: Any) -> list[str]:
    """Return a list that will hold the errors that nobody awaited."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    return errors


def _names(group: int) -> list[str]:
    """A share of the faults."""
    return list(FAULTS)[group::4]


def _hold(found: dict[str, Any], expected: Any, what: str) -> None:
    """Every call was answered, and rightly."""
    assert 3 == len(found["results"]), what
    for result in found["results"]:
        assert not isinstance(result, dict), what
        np.testing.assert_allclose(result, expected, atol=1e-5, err_msg=what)


@pytest.fixture
def expected(gpu_bundle: Any) -> tuple[Any, Any]:
    x = samples(2, 5)
    return x, oracle(gpu_bundle, "quick", input=x)["output"]


@pytest.mark.parametrize("strikes", [1, 1000], ids=["once", "always"])
@pytest.mark.parametrize("group", range(4))
def test_a_gpu_that_fails_while_loading(open_models: OpenModel, expected: Any, group: int, strikes: int) -> None:
    """Under `auto` every call is answered; under `webgpu` every call of a model that could be loaded.

    A device that is lost once is replaced.
    """
    page = open_models("quick", scripts=(REAL_ADAPTER, fault_script()))
    uncaught = _uncaught(page)
    x, wanted = expected
    for name in _names(group):
        for found in _tries(page, name, True, strikes, "auto", x):
            assert found["error"] is None, f"{name}: {found}"
            _hold(found, wanted, f"{name}, auto: {found}")
            if name.startswith("lost") and strikes == 1:
                assert "webgpu" == found["after"], f"{name}: {found}"
        for found in _tries(page, name, True, strikes, "webgpu", x):
            if not found["error"]:
                _hold(found, wanted, f"{name}, webgpu: {found}")
    assert [] == uncaught


@pytest.mark.parametrize("strikes", [1, 1000], ids=["once", "always"])
@pytest.mark.parametrize("group", range(4))
def test_a_gpu_that_fails_between_calls(open_models: OpenModel, expected: Any, group: int, strikes: int) -> None:
    """Every call is answered, rightly: by a fresh device when it failed once, by WebAssembly when it goes on to."""
    page = open_models("quick", scripts=(REAL_ADAPTER, fault_script()))
    uncaught = _uncaught(page)
    x, wanted = expected
    for name in _names(group):
        for found in _tries(page, name, False, strikes, "webgpu", x):
            what = f"{name}: {found}"
            assert found["error"] is None, what
            _hold(found, wanted, what)
            if strikes == 1 and not _again(name):
                assert "webgpu" == found["after"], what
            elif strikes > 1 and name not in HARMLESS:
                assert ("wasm", 1) == (found["after"], len(found["reasons"])), what
    assert [] == uncaught


def test_a_device_lost_between_calls_is_replaced(open_models: OpenModel, expected: Any) -> None:
    x, wanted = expected
    answers, recoveries, device, times = open_models("quick", scripts=fault_script()).evaluate(
        """async ([x, count]) => {
            const model = await loadModel(undefined, { device: 'webgpu' });
            const answers = [], times = [];
            for (let i = 0; i < count; i++) {
                model.gpu.device.destroy();
                const start = performance.now();
                answers.push((await model.forward({ input: x })).output.toArray());
                times.push(performance.now() - start);
            }
            return [answers, model.gpu.recoveries, model.device, times];
        }""",
        [x.tolist(), 3 * REPEATS],
    )
    assert (3 * REPEATS, "webgpu") == (recoveries, device)
    for answer in answers:
        np.testing.assert_allclose(answer, wanted, atol=1e-5)
    print("median ms to an answer after a loss:", float(np.median(times)))


def test_strict_gives_the_error_and_the_next_call_an_answer(open_models: OpenModel, expected: Any) -> None:
    x, wanted = expected
    failed, answer, device = open_models("quick", scripts=fault_script()).evaluate(
        """async (x) => {
            const model = await loadModel(undefined, { device: 'webgpu', strict: true });
            arm('lost after submitting', 1000);
            const failed = await attempt(() => model.forward({ input: x }));
            window.fault = '';
            return [failed, (await model.forward({ input: x })).output.toArray(), model.device];
        }""",
        x.tolist(),
    )
    assert (True, "webgpu") == (failed["ours"], device)
    assert failed["code"] in CODES
    np.testing.assert_allclose(answer, wanted, atol=1e-5)


def test_tensors_on_a_lost_device_are_a_typed_error(open_models: OpenModel) -> None:
    codes = open_models("quick", scripts=fault_script()).evaluate(
        """async () => {
            const model = await loadModel(undefined, { device: 'webgpu' });
            const kept = await model.forward({ input: new Float32Array(5) }, { keep: true });
            lose();
            const got = await attempt(() => kept.output.getData());
            const asInput = await attempt(() => model.forward({ input: kept.output }));
            const next = await attempt(() => model.forward({ input: new Float32Array(5) }));
            return [got.code, asInput.code, next.value.output.shape.join(), model.device, model.gpu?.recoveries];
        }"""
    )
    assert ["run_failed", "run_failed", "1,5", "webgpu", 1] == codes
