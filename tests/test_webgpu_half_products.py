"""Claims about products that compute in float16: near enough at every size, without overflow, and only where proved."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from half_cases import between, half_printed
from hypothesis import given
from hypothesis import strategies as st
from op_cases import Array, Case, assert_close, reference
from tracing import traced

import neurenix
from neurenix import export, ops
from neurenix.compiler.wgsl import contractions
from neurenix.compiler.wgsl.half_products import HEADROOM, LEAST_SCALE, RUN, run_bound
from neurenix.compiler.wgsl.workgroup_memory import workgroup_bytes
from neurenix.golden_inputs import golden_cases
from neurenix.graph.shaders import HALF_FEATURE, LARGEST_HALF, ShaderPlan
from neurenix.nn import Linear, ReLU, Sequential
from neurenix.phynexus.webgpu import WebGPUEngine
from neurenix.phynexus.webgpu_device import find_adapter
from neurenix.tensor import Tensor
from neurenix.trace import trace
from neurenix.verification import half_error

# What half_products.py promises of the error, beside the |a * b| of a product; and what storing an answer may add.
BOUND, STORED = 2 * RUN * 2.0**-11, 2.0**-11
# Rows, depth and columns: around the edges of quads, of runs and of tiles (32 rows by 64 columns by 16).
PRODUCTS = (
    (5, 12, 8),
    (9, 320, 40),
    (33, 17, 6),
    (40, 3, 130),
    (70, 20, 36),
    (32, 16, 64),
    (31, 15, 63),
    (65, 49, 72),
)
# x (N, C, H, W), w (O, C / groups, KH, KW) and the window.
CONVOLUTIONS: tuple[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]], ...] = (
    ((2, 8, 9, 7), (16, 8, 3, 3), {"stride": (2, 2), "padding": (1, 1)}),
    ((2, 6, 7, 9), (10, 6, 5, 5), {"padding": (2, 2)}),
    ((1, 40, 6, 5), (24, 20, 3, 3), {"groups": 2, "padding": (2, 0)}),
    ((2, 6, 13, 9), (10, 3, 3, 3), {"groups": 2, "dilation": (2, 2)}),
    ((2, 20, 5, 7), (12, 20, 1, 1), {}),
)  # fmt: skip


def _case(op: str, *arrays: Array, **attrs: Any) -> Case:
    return Case(ops.get(op), tuple(a.astype(np.float32) for a in arrays), ops.get(op).bind(attrs))


def product_cases(rng: np.random.Generator) -> list[Case]:
    """Draw products and convolutions of all sizes above."""

    def drawn(*shape: int) -> Array:
        return rng.standard_normal(shape)

    cases = [_case("matmul", drawn(m, k), rng.choice([0.01, 0.1, 1, 5]) * drawn(k, n)) for m, k, n in PRODUCTS]
    return cases + [_case("conv2d", drawn(*x), drawn(*w) / 4, **window) for x, w, window in CONVOLUTIONS]


def in_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the smallest products made in tiles too."""
    monkeypatch.setattr(contractions, "TILED", 0)
    monkeypatch.setattr(contractions, "LEAST_SIDE", 0)


def _answers(cases: Sequence[Case]) -> tuple[ShaderPlan, list[tuple[Array, Array, Array]]]:
    """Return the shaders, and for each case what is right, what the GPU says, and the sums of the |a * b|."""
    graph, feeds = between(cases)
    plan, weights, shaders = half_printed(graph)
    engine = WebGPUEngine(plan, weights, shaders)
    assert "float16" == engine.precision
    assert shaders.half is not None
    expected, answers = reference(graph, feeds), engine.run(feeds, {})
    sums = reference(*between([replace(case, arrays=tuple(map(np.abs, case.arrays))) for case in cases]))
    return shaders.half, [(expected[f"y{i}"], answers[f"y{i}"], sums[f"y{i}"]) for i in range(len(cases))]


def _running(shaders: ShaderPlan) -> set[str]:
    """Return the names of the shaders whose products are float16."""
    return {name for name, shader in shaders.shaders.items() if re.search(r"part0 = vec4<f16>", shader.source)}


@pytest.mark.gpu(HALF_FEATURE)
@pytest.mark.parametrize("tiled", [False, True], ids=["direct", "in tiles"])
def test_products_in_float16_keep_their_bound_at_every_size(tiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if tiled:
        in_tiles(monkeypatch)
    cases = product_cases(np.random.default_rng(5))
    shaders, found = _answers(cases)
    running = _running(shaders)
    assert len(cases) == sum(d.shader in running for d in shaders.dispatches)
    assert tiled == all("tile_a" in shaders.shaders[name].source for name in running)
    for case, (wanted, answer, sums) in zip(cases, found):
        error = np.abs(wanted - answer)
        assert (error <= BOUND * sums + STORED * np.abs(wanted) + 1e-6).all(), repr(case)
        assert np.sqrt((error**2).mean()) < 2.0**-11 * sums.mean(), repr(case)


@pytest.mark.gpu(HALF_FEATURE)
@pytest.mark.parametrize("tiled", [False, True], ids=["direct", "in tiles"])
def test_the_largest_numbers_there_are_overflow_no_run(tiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if tiled:
        in_tiles(monkeypatch)
    rng = np.random.default_rng(6)
    signs = rng.choice([-1.0, 1.0], (40, 24))
    signs[20:] = -signs[:20]  # the sums cancel, the runs do not
    largest = np.full((33, 40), float(LARGEST_HALF))
    cases = [_case("matmul", largest, size * signs) for size in (0.02, 1.0, 12.0)]
    pixels, taps = np.full((1, 40, 5, 5), float(LARGEST_HALF)), np.full((24, 40, 3, 3), 0.5)
    taps[:, 20:] *= -1
    shaders, found = _answers([*cases, _case("conv2d", pixels, taps)])
    assert 4 == sum(d.shader in _running(shaders) for d in shaders.dispatches)
    for wanted, answer, sums in found:
        assert np.isfinite(answer).all()
        assert (np.abs(wanted - answer) <= BOUND * sums + 1e-6).all()


@pytest.mark.gpu(HALF_FEATURE)
def test_products_closer_to_0_than_float16_goes_are_lifted() -> None:
    rng = np.random.default_rng(9)
    drawn = (size * rng.uniform(1, 2, (40, 40)) for size in (2e-3, 3e-5))
    x, w = (a.astype(np.float16).astype(np.float32) for a in drawn)  # x * w is 6e-8, the least that there is
    plan, weights, shaders = half_printed(traced(lambda x: x.relu() @ Tensor(w), {"x": "float32[40, 40]"}))
    assert shaders.half is not None
    assert 1 == len(_running(shaders.half))
    (answer,) = WebGPUEngine(plan, weights, shaders).run({"x": x}, {}).values()
    expected = x.astype(np.float64) @ w
    assert (np.abs(answer - expected) <= BOUND * expected).all()


@pytest.mark.gpu(HALF_FEATURE)
def test_the_error_does_not_grow_with_the_length_of_a_sum() -> None:
    rng = np.random.default_rng(7)
    cases = [_case("matmul", rng.random((8, k)), rng.random((k, 8))) for k in (2 * RUN, 512 * RUN)]
    short, long = ((np.abs(wanted - answer) / sums).max() for wanted, answer, sums in _answers(cases)[1])
    assert long < 2 * short + STORED


@pytest.mark.gpu(HALF_FEATURE)
def test_a_device_without_float16_runs_the_shaders_for_float32() -> None:
    cases = product_cases(np.random.default_rng(5))
    graph, feeds = between(cases)
    plan, weights, shaders = half_printed(graph)
    assert "f16" not in shaders.text()
    engine = WebGPUEngine(plan, weights, shaders, device=find_adapter().request_device_sync())
    assert "float32" == engine.precision
    answers = engine.run(feeds, {})
    for name, wanted in reference(graph, feeds).items():
        assert_close(wanted, answers[name], 1e-5, name)


@pytest.mark.gpu(HALF_FEATURE)
def test_tiles_of_one_operand_in_float16_and_one_that_is_an_input(monkeypatch: pytest.MonkeyPatch) -> None:
    in_tiles(monkeypatch)
    rng = np.random.default_rng(8)
    x, w = (rng.standard_normal((40, 40)).astype(np.float16).astype(np.float32) for _ in range(2))
    plan, weights, shaders = half_printed(traced(lambda x: (x @ Tensor(w)) @ x, {"x": "float32[40, 40]"}))
    assert shaders.half is not None
    kinds = [re.findall(r"tile_[ab]: array<vec4<(f..)>", s.source) for s in shaders.half.shaders.values()]
    assert [["f32", "f16"], ["f16", "f32"]] == kinds
    (answer,) = WebGPUEngine(plan, weights, shaders).run({"x": x}, {}).values()
    x64 = x.astype(np.float64)
    sums = np.abs(x64 @ w) @ np.abs(x64)
    assert (np.abs(answer - x64 @ w @ x64) <= 1.1 * STORED * sums).all()


def _halves(*cases: Case) -> ShaderPlan:
    shaders = half_printed(between(cases)[0])[2].half
    assert shaders is not None
    return shaders


def test_what_has_no_proof_computes_in_float32() -> None:
    x, w = np.ones((9, 40)), np.ones((40, 8))
    assert _running(_halves(_case("matmul", x, w)))
    spoilt = w.copy()
    spoilt[3, 5] = np.nan
    scaled_too_far = w * 1.01 * HEADROOM / RUN * 2.0**-LEAST_SCALE
    for weights in (spoilt, scaled_too_far):
        assert not _running(_halves(_case("matmul", x, weights)))
    assert not _running(_halves(_case("batch_matmul", x[None], w[None])))
    assert not _running(_halves(_case("matmul", x[:1], w)))  # one row: memory is what it waits for
    graph = traced(lambda x: x @ Tensor(w.astype(np.float32)), {"x": "float32[9, 40]"})
    shaders = half_printed(graph)[2].half
    assert shaders is not None and not _running(shaders)


@pytest.mark.gpu(HALF_FEATURE)
def test_products_compute_in_float32_where_the_build_measures_too_large_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    neurenix.manual_seed(4)
    graph = trace(Sequential(Linear(40, 64), ReLU(), Linear(64, 9)).eval(), {"x": "float32[8, 40]"})
    plan, weights, shaders = half_printed(graph)
    cases, said = golden_cases(graph, plan, 1e-4), list[str]()
    error = half_error(plan, weights, shaders, cases)
    monkeypatch.setattr(export, "HALF_TOLERANCE", 2.02 * error)
    assert shaders is export.with_near_half(plan, weights, shaders, cases, said.append)
    assert not said
    monkeypatch.setattr(export, "HALF_TOLERANCE", 1.98 * error)
    settled = export.with_near_half(plan, weights, shaders, cases, said.append)
    assert settled.half is not None
    assert (True, False) == tuple(bool(_running(s.half)) for s in (shaders, settled) if s.half is not None)
    assert ["they compute in float32"] == [line.split(": ")[-1] for line in said]
    assert 0 < half_error(plan, weights, settled, cases) < error
    assert shaders.text() == settled.text()


def test_tiles_of_float16_take_half_of_a_workgroups_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    in_tiles(monkeypatch)
    x, w = np.ones((70, 40)), np.ones((40, 72))
    cases = _case("matmul", x, w), _case("batch_matmul", x[None], w[None])
    plain, half = half_printed(between(cases)[0])[2], _halves(*cases)
    taken = [
        [workgroup_bytes(s.source) for s in found.shaders.values() if "tile_a" in s.source] for found in (plain, half)
    ]  # fmt: skip
    assert [[6144, 6144], [3072, 3072]] == taken


@given(st.integers(1, 40), st.integers(1, 300), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_the_bound_of_a_run_is_the_largest_sum_of_its_weights(rows: int, columns: int, run: int, seed: int) -> None:
    matrix = np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float16).astype(np.float32)
    expected = max(np.abs(matrix[at : at + run]).sum(0).max() for at in range(max(rows - run, 0) + 1))
    assert expected == pytest.approx(run_bound(matrix, run))


def test_weights_that_are_not_finite_have_no_bound() -> None:
    assert [np.inf, np.inf] == [run_bound(np.array([[1.0, bad]]), RUN) for bad in (np.nan, -np.inf)]
    assert LARGEST_HALF == run_bound(np.array([[1e30]]), RUN)  # that is what is stored
