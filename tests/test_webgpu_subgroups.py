"""Shaders for devices with subgroups: rows that invocations share, by subgroups of every size, and the oracles."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gpu_cases import printed
from gpu_page import OpenModel
from op_cases import Array, Case, assert_close, graph_of, reference
from runtime_page import complaints

import neurenix
from neurenix import ops
from neurenix.bundle.shaders import describe_shaders, read_shaders, shader_texts
from neurenix.compiler import passes
from neurenix.compiler.schedule import schedule
from neurenix.compiler.wgsl import print_wgsl
from neurenix.errors import VerificationError
from neurenix.golden_inputs import golden_cases
from neurenix.graph.graph import Graph
from neurenix.graph.plan import Plan
from neurenix.graph.shaders import ENABLE_SUBGROUPS, ShaderPlan
from neurenix.nn import TransformerEncoderLayer
from neurenix.phynexus.webgpu import WebGPUEngine
from neurenix.trace import trace
from neurenix.verification import verify

pytest_plugins = ["browser", "gpu_browser"]
with_subgroups = pytest.mark.gpu("subgroup")
Compiled = tuple[Plan, bytes, ShaderPlan]

# Every kernel of which some rows are shared, by a row of the op table, and attributes that leave the last axis to it.
SHARED: Mapping[str, Mapping[str, Any]] = {
    **{name: {"axis": -1} for name in ("softmax", "log_softmax", "argmax", "argmin")},
    **{name: {"axes": (-1,)} for name in ("sum", "mean", "prod", "max", "min", "any", "all", "l1_norm", "l2_norm")},
    "standardize": {},
}
LENGTHS = (1, 31, 32, 33, 63, 64, 100, 255, 256, 1023, 1024, 1025, 4100)
# Keeps what a shader does with a subgroup and says how many are in it: neighbours are read through memory instead.
EMULATED = """
var<workgroup> emulated: array<f32, 64>;
var<private> emulated_lane: i32;
fn emulated_neighbour(v: f32, mask: u32) -> f32 {
  workgroupBarrier();
  emulated[emulated_lane] = v;
  workgroupBarrier();
  return emulated[(emulated_lane ^ i32(mask)) % 64];
}
"""


def _operand(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Values near 1, so that long products stay numbers; some of them twice, so that the first of equal ones counts."""
    if name in ("any", "all"):
        return rng.random(shape) < (0.01 if name == "any" else 0.99)
    return np.round(rng.uniform(0.99, 1.01, shape), 3).astype(np.float32)


def shared_rows(length: int, seed: int = 0) -> tuple[list[Case], Graph, dict[str, Array]]:
    """Draw a case of everything that shares rows of a length, and all as one graph with its inputs."""
    rng = np.random.default_rng([seed, length])
    cases = [
        Case(ops.get(name), (_operand(name, (5, length), rng),), ops.get(name).bind(attrs))
        for name, attrs in SHARED.items()
    ]
    whole = rng.integers(-9, 9, (3, length)).astype(np.int32)
    cases += [Case(ops.get(n), (whole,), ops.get(n).bind(SHARED[n])) for n in ("sum", "max", "argmax", "argmin")]
    return cases, *graph_of(cases)


def _hold(cases: list[Case], graph: Graph, feeds: Mapping[str, Array], engine: WebGPUEngine) -> None:
    expected, answers = reference(graph, feeds), engine.run(feeds, {})
    for at, case in enumerate(cases):
        wanted, answer = expected[f"y{at}"], answers[f"y{at}"]
        if wanted.dtype.kind == "f":
            assert_close(wanted, answer, case.row.tolerance, repr(case))
        else:
            np.testing.assert_array_equal(wanted, answer, repr(case))


def _changed(made: Compiled, change: Any) -> Compiled:
    """Change the texts for subgroups."""
    plan, weights, shaders = made
    found = {n: replace(s, subgroups=change(s.subgroups)) if s.subgroups else s for n, s in shaders.shaders.items()}
    assert found != shaders.shaders
    return plan, weights, replace(shaders, shaders=found)


def _block() -> Graph:
    neurenix.manual_seed(3)
    layer = TransformerEncoderLayer(32, 4, 64, batch_first=True).eval()
    return trace(layer, {"x": "float32[n, t, 32]"}, {"n": (1, 2), "t": (1, 40)})


@with_subgroups
@pytest.mark.parametrize("length", LENGTHS)
def test_shared_rows_give_the_oracles_answers_with_subgroups_and_without(length: int) -> None:
    cases, graph, feeds = shared_rows(length)
    made = printed(graph)
    for subgroups in (True, False):
        engine = WebGPUEngine(*made, subgroups=subgroups)
        assert subgroups == engine.subgroups
        _hold(cases, graph, feeds, engine)
    least = {"standardize": 0, "argmax": 256, "argmin": 256}  # and 32 for all others
    expected = {d.op: length >= least.get(d.op, 32) for d in made[2].dispatches if d.op in SHARED}
    assert expected == {d.op: bool(made[2].shaders[d.shader].subgroups) for d in made[2].dispatches if d.op in SHARED}


@with_subgroups
def test_shared_columns_and_the_beginnings_of_longer_rows_give_the_oracles_answers() -> None:
    rng = np.random.default_rng(7)
    x = rng.uniform(0.99, 1.01, (1100, 6)).astype(np.float32)
    cases = [Case(ops.get(n), (x,), ops.get(n).bind({"axes": (0,)})) for n in ("sum", "max", "prod")]
    cases += [Case(ops.get(n), (x,), ops.get(n).bind({"axis": 0})) for n in ("argmax", "argmin", "softmax")]
    graph, feeds = graph_of(cases)
    _hold(cases, graph, feeds, WebGPUEngine(*printed(graph)))

    def along(x: Any) -> Any:
        return x.softmax(-1), x.sum(-1), x.argmax(-1), x.var(-1), x.amax(-1)

    class Along(neurenix.nn.Module):
        def forward(self, *inputs: Any) -> Any:
            return along(inputs[0])

    graph = trace(Along(), {"x": "float32[m, n]"}, {"m": (1, 7), "n": (1, 1100)})
    engine = WebGPUEngine(*printed(graph))
    assert engine.subgroups
    for m, n in ((1, 1), (7, 15), (2, 65), (3, 1100)):
        feeds = {"x": rng.standard_normal((m, n)).astype(np.float32)}
        answers = engine.run(feeds, {"m": m, "n": n})
        for name, wanted in reference(graph, feeds, {"m": m, "n": n}).items():
            assert_close(wanted, answers[name], 1e-5, f"{name} of {(m, n)}")


@with_subgroups
@pytest.mark.parametrize("subgroups", [True, False])
def test_of_equal_elements_the_first_is_found_and_nan_beats_all(subgroups: bool) -> None:
    n = 1500
    x = np.zeros((8, n), np.float32)
    x[1, [700, 3, 1499]] = 5
    x[2, [9, 1000]] = np.nan
    x[3, -1] = -1
    x[4] = np.nan
    x[5, [63, 64]] = np.inf
    x[6, ::2] = -0.0
    x[7] = np.arange(n) % 65
    cases = [Case(ops.get(name), (x,), ops.get(name).bind({"axis": 1})) for name in ("argmax", "argmin")]
    graph, feeds = graph_of(cases)
    answers = WebGPUEngine(*printed(graph), subgroups=subgroups).run(feeds, {})
    assert np.argmax(x, 1).tolist() == answers["y0"].tolist()
    assert np.argmin(x, 1).tolist() == answers["y1"].tolist()


def _emulated(text: str, size: int) -> str:
    """Put subgroups of another size in place of the device's own, in a shader whose values are floats."""
    text = text.replace("i32(subgroup)", str(size)).replace("@builtin(subgroup_size) subgroup: u32", "")
    text, count = re.subn(r"subgroupAll\(.*\);", "true;", text)
    assert count == 1 and "subgroupShuffleXor(lane" not in text
    text = text.replace("subgroupShuffleXor(", "emulated_neighbour(")
    return text.replace("let lane = i32(lid);", "let lane = i32(lid); emulated_lane = lane;") + EMULATED


@with_subgroups
@pytest.mark.parametrize("size", [4, 8, 16, 32, 64, 128])
def test_subgroups_of_every_size_give_the_oracles_answers(size: int) -> None:
    rng = np.random.default_rng(size)
    floats = ("softmax", "standardize", "sum", "max")
    cases = [
        Case(ops.get(name), (_operand(name, (9, n), rng),), ops.get(name).bind(SHARED[name]))
        for n in (100, 1030)
        for name in floats
    ]
    graph, feeds = graph_of(cases)
    made = _changed(printed(graph), lambda text: _emulated(text, size))
    _hold(cases, graph, feeds, WebGPUEngine(*made))


@with_subgroups
def test_lanes_that_are_no_neighbours_stand_for_themselves() -> None:
    """Nothing says that a subgroup's invocations follow each other, or that there are as many as it says."""
    cases, graph, feeds = shared_rows(1100)
    made = printed(graph)
    for other in ("(lane ^ 3)", "0"):
        change = _changed(made, lambda text, other=other: text.replace("(lane ^ (reach / 2))", other))
        _hold(cases, graph, feeds, WebGPUEngine(*change))
    lying = _changed(made, lambda text: text.replace("i32(subgroup)", "64"))  # lavapipe has 4 to 16
    _hold(cases, graph, feeds, WebGPUEngine(*lying))


def test_the_table_finds_both_texts_and_only_shaders_that_share_rows_have_two() -> None:
    plan, weights = schedule(passes.run(_block()))
    shaders = replace(print_wgsl(plan, weights), half=print_wgsl(plan, weights, half=True))
    found = read_shaders(describe_shaders("block", shaders), shader_texts("block", shaders))
    assert shaders.shaders == found.shaders
    assert found.half is not None and shaders.half is not None
    assert shaders.half.shaders == found.half.shaders
    for each in (*found.shaders.values(), *found.half.shaders.values()):
        assert each.subgroups.startswith(ENABLE_SUBGROUPS) == ("standardize" in each.name), each.name
        assert "subgroup" not in each.source


@pytest.mark.gpu("subgroup", "shader-f16")
def test_a_build_proves_every_text() -> None:
    graph = _block()
    plan, weights = schedule(passes.run(graph))
    half = replace(print_wgsl(plan, weights, half=True), tolerance=0.01)
    shaders = replace(print_wgsl(plan, weights), half=half)
    cases = golden_cases(graph, plan, 1e-4)
    agreement = verify(plan, weights, [], cases, 0, shaders)
    forms = {f"webgpu{half}{wide}" for half in ("", "-float16") for wide in ("", "-subgroups")}
    assert {"reference", *forms} == set(agreement)
    _, _, wrong = _changed((plan, weights, shaders), lambda text: text.replace("sqrt(variance", "sqrt(1.2 * variance"))
    with pytest.raises(VerificationError, match="the webgpu-subgroups form of 'model' is off by"):
        verify(plan, weights, [], cases, 0, wrong)


@pytest.mark.browser
@pytest.mark.zig
def test_a_page_uses_subgroups_and_goes_without_those_that_answer_wrongly(open_models: OpenModel) -> None:
    page = open_models("rows")
    told = page.evaluate(
        """async () => {
            const create = GPUDevice.prototype.createShaderModule;
            const texts = [];
            const load = async (change) => {
                texts.length = 0;
                GPUDevice.prototype.createShaderModule = function ({ label, code }) {
                    texts.push(code);
                    return create.call(this, { label, code: change(code) });
                };
                const reasons = [];
                const model = await loadModel(undefined, { device: 'webgpu', onFallback: (e) => reasons.push(e) });
                const { passed } = await model.selfTest();
                const wide = texts.some((text) => text.startsWith('enable subgroups;'));
                const found = [model.device, model.gpu.subgroups, passed, wide, reasons.length];
                model.dispose();
                return found;
            };
            const has = (await navigator.gpu.requestAdapter()).features.has('subgroups');
            const good = await load((code) => code);
            const wrong = await load((code) => code.replace('mask *= 2', 'mask *= 4'));
            const bad = await load((code) => code.replace('mask *= 2', 'mask *= none'));
            return [has, good, wrong, bad];
        }"""
    )
    has, good, wrong, bad = told
    assert ["webgpu", has, True, has, 0] == good
    assert ["webgpu", False, True, has, 0] == wrong == bad
    assert [] == [line for line in complaints(page) if "none" not in line]
