"""Shaders: every row that has one, epilogues, dims and whole models on a GPU or a software one, against the oracles."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import test_dtypes
import test_float64
import test_maps
from exported_model import cnn
from gpu_cases import EPILOGUES, HOSTS, feeds_for, is_taken, long_cases, printed, taken, within_ends
from op_cases import Array, Case, assert_close, graph_of, random_case, reference, rows
from tracing import traced

import neurenix
from neurenix import ops
from neurenix.compiler.passes.lower import LOWERINGS
from neurenix.compiler.wgsl import LAUNCHES
from neurenix.dtypes import dtype
from neurenix.errors import CompileError, DeviceError, InputError, NeurenixError, UnsupportedError
from neurenix.graph.builder import GraphBuilder
from neurenix.graph.graph import Graph
from neurenix.graph.shaders import MOST_GROUPS, describe, folded
from neurenix.nn import LSTM, Linear, Module, ReLU, Sequential, Softmax, TransformerEncoderLayer
from neurenix.ops import Family
from neurenix.phynexus.webgpu import WebGPUEngine
from neurenix.phynexus.webgpu_device import request_device
from neurenix.tensor.selecting import non_max_suppression
from neurenix.trace import trace

pytestmark = pytest.mark.gpu

Feeds = Mapping[str, Array]


def _engine(graph: Graph) -> WebGPUEngine:
    return WebGPUEngine(*printed(graph))


def _hold(cases: Sequence[Case], exact: bool = False, together: int = 40) -> int:
    """Run cases by the dozen, each dozen as one graph, and compare every answer; return how many had a shader."""
    cases = taken(cases)
    for start in range(0, len(cases), together):
        part = cases[start : start + together]
        graph, feeds = graph_of(part)
        made = printed(graph)
        feeds = within_ends(made[2], feeds)
        expected, answers = reference(graph, feeds), WebGPUEngine(*made).run(feeds, {})
        for at, case in enumerate(part):
            wanted, answer = expected[f"y{at}"], answers[f"y{at}"]
            what = f"{case.row.name} {[(a.shape, a.dtype.name) for a in case.arrays]} {dict(case.attrs)}"
            if exact and answer.dtype.kind != "f":
                assert wanted.dtype == answer.dtype, what
                np.testing.assert_array_equal(wanted, answer, what)
            else:
                assert_close(wanted, answer, case.row.tolerance, what)
    return len(cases)


def _structured() -> list[str]:
    return [r.name for r in rows() if r.kernel is not None or r.name in LOWERINGS]


def test_every_kernel_has_a_shader() -> None:
    sources = {row.kernel.source for row in rows() if row.kernel is not None}
    assert set() == sources - LAUNCHES.keys()


def test_shaders_give_the_oracles_answers() -> None:
    names = _structured()
    cases = [random_case(ops.get(name), seed) for name in names for seed in range(100, 104)]
    assert _hold(cases) > 0.9 * len(cases)


def test_maps_give_the_oracles_answers() -> None:
    cases = [random_case(row, seed) for row in rows(Family.ELEMENTWISE) for seed in range(2)]
    cases += [random_case(ops.get("map"), seed) for seed in range(200, 220)]
    assert _hold(cases, together=80) > 0.9 * len(cases)


def test_whole_numbers_are_exact_and_wrap_as_numpys() -> None:
    cases = [*test_maps._cases(), *test_maps._own_cases()]
    assert _hold(cases, exact=True, together=80) > 0.6 * len(cases)


@pytest.mark.parametrize("name", test_dtypes.NAMES)
def test_every_row_answers_in_every_dtype_that_shaders_hold(name: str) -> None:
    cases = taken([case for case in test_dtypes._cases(name) if test_dtypes._is_compiled(case)])
    assert ("float64" == name) == (not cases)
    for start in range(0, len(cases), 60):
        part = cases[start : start + 60]
        graph, feeds = graph_of(part)
        made = printed(graph)
        feeds = within_ends(made[2], feeds)
        expected, answers = reference(graph, feeds), WebGPUEngine(*made).run(feeds, {})
        for at, case in enumerate(part):
            what = f"{case.row.name} of {[str(a.dtype) for a in case.arrays]}, {dict(case.attrs)}"
            test_dtypes._hold(expected[f"y{at}"], answers[f"y{at}"], what)


def test_every_adapter_rounds_to_float16_to_the_last_bit() -> None:
    cases = taken(test_float64.half_conversions())
    assert 4 == len(cases)
    graph, feeds = graph_of(cases)
    for summary, answers in _on_every_adapter(graph, feeds):
        test_float64.hold_conversions(cases, answers, summary)


def test_every_adapter_takes_remainders_and_nan_alike() -> None:
    """OpenGL leaves a remainder of negative numbers open, and its compilers turn a comparison that NaN fails around."""
    a, b = np.meshgrid([-7, -1, 0, 5, -(2**31)], [-3, -1, 2, 7])
    x = np.array([np.nan, -np.inf, np.inf, -1, 0, 9], np.float32)
    whole = (a.astype(np.int32), b.astype(np.int32))
    cases = [Case(ops.get(name), whole, {}) for name in ("mod", "floor_divide")]
    cases += [Case(ops.get(n), (x,), ops.get(n).bind({})) for n in ("relu", "relu6", "hard_tanh", "clip", "sign")]
    cases += [Case(ops.get(n), (x, x[::-1].copy()), {}) for n in ("maximum", "minimum", "lt", "le", "eq")]
    graph, feeds = graph_of(cases)
    expected = reference(graph, feeds)
    for summary, answers in _on_every_adapter(graph, feeds):
        for name, wanted in expected.items():
            np.testing.assert_array_equal(wanted, answers[name], f"{name} on {summary}")


def _on_every_adapter(graph: Graph, feeds: Feeds) -> Iterator[tuple[str, dict[str, Array]]]:
    """Yield each adapter of this host that has what every browser gives, and its answers; there is one at least."""
    import wgpu

    made, answered = printed(graph), 0
    for place, adapter in enumerate(wgpu.gpu.enumerate_adapters_sync()):
        try:
            engine = WebGPUEngine(*made, place)
        except DeviceError:
            continue
        yield adapter.summary, engine.run(feeds, {})
        answered += 1
    assert answered


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_structured_kernels_carry_nan_and_infinity_as_the_reference(value: float) -> None:
    """On this adapter: WGSL promises none of it. The first input of every kernel holds some."""
    cases = []
    for name in _structured():
        case = random_case(ops.get(name), 2)
        if case.arrays and case.arrays[0].dtype == np.float32:
            x = case.arrays[0].copy()
            x.reshape(-1)[::9] = value
            cases.append(replace(case, arrays=(x, *case.arrays[1:])))
    assert len(cases) > 30
    with np.errstate(all="ignore"):
        assert _hold(cases, together=80) > 0.9 * len(cases)


def test_bits_of_comparisons_are_conditions() -> None:
    graph, feeds, expected = test_maps.bits_of_conditions()
    for wanted, answer in zip(expected, _engine(graph).run(feeds, {}).values()):
        np.testing.assert_array_equal(wanted, answer)


def test_nan_and_infinity_are_told_by_their_bits() -> None:
    x = np.array([np.nan, -np.inf, np.inf, 0, -0.0, 3.4e38, 1e-45, 1], np.float32)
    cases = [Case(ops.get(name), (x,), {}) for name in ("isnan", "isinf", "isfinite")]
    assert 3 == _hold(cases, exact=True)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (lambda x: x.apply("isnan").float(), "asks for isnan"),
        (lambda x: (x < 0).apply("where", float("-inf"), x).softmax(-1), "uses the constant -inf"),
        (lambda x: x + neurenix.Tensor(np.array([0, 1, np.inf, 2], np.float32)), "holds NaN or an infinity"),
        (lambda x: x.softmax(-1).clip(0, 1) / 3, None),
    ],
    ids=["a test", "a mask", "a parameter", "nothing"],
)
def test_what_needs_nan_or_infinity_says_where_for_strict_to_keep_it_off(
    body: Callable[[Any], Any], says: str | None
) -> None:
    _, _, shaders = printed(traced(body, {"x": "float32[2, 4]"}))
    table = describe(shaders)
    assert (says is None) == ("special" not in table)
    assert says is None or says in table["special"]


# ── epilogues ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("host", HOSTS)
def test_epilogues_finish_what_their_kernel_made(host: str) -> None:
    spec, make = HOSTS[host]
    neurenix.manual_seed(1)
    dims = {"n": (1, 4)} if "[n" in spec else {}
    for name, finish in EPILOGUES.items():
        graph = traced(lambda x, finish=finish: finish(make(x), x), {"x": spec}, dims)
        assert_model(graph, [dict.fromkeys(dims, 3)], what=f"{host} with {name}")


# ── dims, and whole models ──────────────────────────────────────────────────────────────────────────────


def assert_model(graph: Graph, sizes: Sequence[Mapping[str, int]], tolerance: float = 2e-5, what: str = "") -> Any:
    engine = _engine(graph)
    for dims in sizes:
        feeds = feeds_for(graph, dims)
        expected, answers = reference(graph, feeds, dims), engine.run(feeds, dims)
        for name, wanted in expected.items():
            assert_close(wanted, answers[name], tolerance, f"{what} {name} for {dict(dims)}")
    return engine


def test_a_classifier_of_images_answers_as_the_reference() -> None:
    graph = trace(cnn(), {"image": "float32[n, 1, 8, 8]"}, {"n": (1, 9)})
    assert_model(graph, [{"n": 1}, {"n": 9}])


def test_a_perceptron_answers_as_the_reference() -> None:
    neurenix.manual_seed(2)
    model = Sequential(Linear(50, 70), ReLU(), Linear(70, 33), ReLU(), Linear(33, 10), Softmax()).eval()
    assert_model(trace(model, {"x": "float32[n, 50]"}, {"n": (1, 40)}), [{"n": 1}, {"n": 37}])
    assert_model(trace(model, {"x": "float32[1, 50]"}), [{}])


def test_a_transformer_layer_answers_as_the_reference_for_any_length() -> None:
    neurenix.manual_seed(3)
    layer = TransformerEncoderLayer(32, 4, 64, batch_first=True).eval()
    graph = trace(layer, {"x": "float32[n, t, 32]"}, {"n": (1, 2), "t": (1, 40)})
    assert_model(graph, [{"n": 2, "t": 40}, {"n": 1, "t": 7}])


class _Last(Module):
    """The last state of an LSTM, through a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = LSTM(6, 20, num_layers=2, batch_first=True, bidirectional=True), Linear(40, 3)

    def forward(self, *inputs: Any) -> Any:
        return self.head(self.lstm(inputs[0])[0][:, -1])


def test_a_recurrent_model_answers_as_the_reference_for_any_length() -> None:
    neurenix.manual_seed(4)
    graph = trace(_Last().eval(), {"x": "float32[n, t, 6]"}, {"n": (1, 3), "t": (1, 12)})
    assert_model(graph, [{"n": 3, "t": 12}, {"n": 1, "t": 5}])


def test_a_call_creates_nothing_but_command_buffers() -> None:
    graph = trace(cnn(), {"image": "float32[n, 1, 8, 8]"}, {"n": (1, 9)})
    engine = assert_model(graph, [{"n": 2}])
    made: list[str] = []
    for name in [n for n in dir(engine._device) if n.startswith("create_")]:
        original = getattr(engine._device, name)
        setattr(engine._device, name, lambda *a, n=name, f=original, **k: (made.append(n), f(*a, **k))[1])
    for count in (2, 5):
        engine.run(feeds_for(graph, {"n": count}), {"n": count})
    assert {"create_command_encoder"} == set(made)


@pytest.mark.parametrize("limit", [70, 2**63 - 1])
def test_many_boxes_are_kept_as_the_reference_keeps_them(limit: int) -> None:
    graph = traced(
        lambda boxes, scores: non_max_suppression(boxes, scores, limit, 0.3, 0.1),
        {"boxes": "float32[n, m, 4]", "scores": "float32[n, 5, m]"}, {"n": (1, 2), "m": (1, 300)},
    )  # fmt: skip
    engine, rng = _engine(graph), np.random.default_rng(6)
    for dims in ({"n": 2, "m": 300}, {"n": 1, "m": 65}, {"n": 1, "m": 1}):
        corners = rng.random((dims["n"], dims["m"], 2))
        boxes = np.concatenate([corners, corners + 0.2 * rng.random(corners.shape)], -1).astype(np.float32)
        feeds = {"boxes": boxes, "scores": rng.random((dims["n"], 5, dims["m"]), np.float32)}
        (expected,), (answer,) = reference(graph, feeds, dims).values(), engine.run(feeds, dims).values()
        np.testing.assert_array_equal(expected, answer)
        assert (dims["m"] == 1) == (len(answer) < 64), "rows of several runs are moved together"


# ── limits ──────────────────────────────────────────────────────────────────────────────────────────────


def test_rows_that_workgroups_share_give_the_oracles_answers() -> None:
    cases = long_cases()
    assert len(cases) == _hold(cases)


def test_more_workgroups_than_an_axis_has_are_folded() -> None:
    assert [(0, 0), (1, 1), (MOST_GROUPS, 1), (MOST_GROUPS, 2)] == [
        folded(n) for n in (0, 1, MOST_GROUPS, MOST_GROUPS + 1)
    ]
    graph = traced(lambda x: x.softmax(-1), {"x": "float32[n, 40]"}, {"n": (1, MOST_GROUPS + 100)})
    engine = _engine(graph)
    x = np.random.default_rng(0).standard_normal((MOST_GROUPS + 7, 40)).astype(np.float32)
    expected = reference(graph, {"x": x}, {"n": len(x)})
    (answer,) = engine.run({"x": x}, {"n": len(x)}).values()
    assert_close(next(iter(expected.values())), answer, 1e-5, "softmax of many rows")


def test_a_dispatch_never_reads_and_writes_one_buffer() -> None:
    neurenix.manual_seed(3)
    layer = TransformerEncoderLayer(16, 2, 32, batch_first=True).eval()
    cases = [random_case(ops.get(n), 100) for n in _structured()]
    for graph in (
        trace(layer, {"x": "float32[n, t, 16]"}, {"n": (1, 2), "t": (1, 8)}),
        trace(cnn(), {"image": "float32[n, 1, 8, 8]"}, {"n": (1, 9)}),
        graph_of([case for case in cases if is_taken(case)])[0],
    ):
        _, _, shaders = printed(graph)
        for d in shaders.dispatches:
            access = list(zip(d.bindings, shaders.shaders[d.shader].writes))
            written = {shaders.regions[n].buffer for n, w in access if w}
            assert not written & {shaders.regions[n].buffer for n, w in access if not w}, d
            assert len(written) == sum(w for _, w in access), d


def test_the_dispatch_table_is_json_and_finds_every_shader_in_the_text() -> None:
    _, _, shaders = printed(trace(cnn(), {"image": "float32[n, 1, 8, 8]"}, {"n": (1, 9)}))
    table = json.loads(json.dumps(describe(shaders), allow_nan=False))
    text = shaders.text().encode()
    for row in table["shaders"]:
        source = text[row["from"] : row["to"]].decode()
        assert shaders.shaders[row["name"]].source == source
        assert len(row["bindings"]) + bool(row["params"]) == source.count("@binding(")
    assert len(text) == table["shaders"][-1]["to"]
    assert len(shaders.dispatches) == len(table["dispatches"])
    assert {} == table["limits"]


def test_layers_of_one_kind_share_a_shader() -> None:
    model = Sequential(*(layer for width in (24, 24, 24) for layer in (Linear(width, width), ReLU()))).eval()
    _, _, shaders = printed(trace(model, {"x": "float32[n, 24]"}, {"n": (1, 40)}))
    assert 3 == len(shaders.dispatches)
    assert 1 == len(shaders.shaders)


# ── what is refused ─────────────────────────────────────────────────────────────────────────────────────


def _program(op: str, kind: str, other: Any = None, clipped: bool = False) -> Graph:
    builder = GraphBuilder("whole", {})
    x = builder.input("x", dtype("float32" if clipped else kind), (4,))
    if clipped:
        x = builder.add("cast", [builder.add("clip", [x], {"min": -2e9, "max": 2e9})], {"dtype": kind})
    operands = [x] if other is None else [x, builder.constant(np.asarray(other, kind))]
    return builder.finish({"y": builder.add(op, operands, {"axis": 0} if op.startswith("cum") else {})})


@pytest.mark.parametrize(("op", "other"), [("add", 2**30), ("mul", 2), ("cumsum", None), ("cumprod", None)])
def test_int64_that_may_leave_32_bits_is_refused_by_name(op: str, other: Any) -> None:
    graph = _program(op, "int64", other, clipped=True)
    with pytest.raises(UnsupportedError, match=f"op '{op if op.startswith('cum') else 'map'}'.* makes int64 .*32 bits"):
        printed(graph)


def _whole(x: Any) -> Any:
    """Whole numbers of which nothing can be asked, as it can of a model's own inputs."""
    return x.clip(-2e9, 2e9).long()


@pytest.mark.parametrize(
    "body",
    [
        lambda x: _whole(x) * 2 < 5,
        lambda x: (_whole(x) * 2).float(),
        lambda x: (_whole(x) + 2**30).maximum(0) % 7,
        lambda x: x.long() + 1,
    ],
    ids=["compared", "a float", "a remainder", "from floats"],
)
def test_int64_that_may_leave_32_bits_on_the_way_is_refused(body: Callable[[Any], Any]) -> None:
    with pytest.raises(UnsupportedError, match="32 bits"):
        printed(traced(body, {"x": "float32[4]"}))


def test_int64_that_conditions_and_clipped_floats_bound_is_shown_to_fit() -> None:
    """Indices as resampling, reversing and masking make them; additions may wrap where the sum does not."""
    ends = np.array([0, 2, 2**31 - 1, -(2**31), 5], np.int64)

    def indices(x: Any, ids: Any) -> Any:
        steps = neurenix.Tensor(np.arange(5))
        place = (x * 3.5 - 1).clip(0, 4).floor().reshape(5, 1).expand(5, 2).long() * 5 + 2
        turned = (steps < ids).apply("where", ids - 1 - steps, steps)
        return place, turned, (ids == 2).apply("where", ids - ids, ids), ids + 7 - 7, ids % 6

    graph = traced(indices, {"x": "float32[5]", "ids": "int64[5]"})
    feeds = {"x": np.linspace(-3, 3, 5, dtype=np.float32), "ids": ends}
    expected, answers = reference(graph, feeds), _engine(graph).run(feeds, {})
    for name, wanted in expected.items():
        np.testing.assert_array_equal(wanted, answers[name], name)


def test_int64_that_is_shown_to_fit_is_not() -> None:
    def masked(x: Any, ids: Any) -> Any:
        table = neurenix.Tensor(np.arange(20, dtype=np.float32).reshape(5, 4))
        best = x.argmax(-1)
        return table[ids] + (best + 1000).float().unsqueeze(-1), (best * 7 + 3) % 5

    graph = traced(masked, {"x": "float32[n, 9]", "ids": "int64[n]"}, {"n": (1, 6)})
    assert_model(graph, [{"n": 6}, {"n": 1}])


def test_an_input_beyond_32_bits_is_refused() -> None:
    engine = _engine(_program("bitwise_not", "int64"))
    assert [-1, -3, 6, -(2**31)] == engine.run({"x": np.array([0, 2, -7, 2**31 - 1])}, {})["y"].tolist()
    with pytest.raises(InputError, match="'x' holds 2147483648"):
        engine.run({"x": np.array([0, 2, -7, 2**31])}, {})


def test_a_constant_beyond_32_bits_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="4294967296"):
        printed(_program("eq", "int64", [1, 2, 3, 2**32]))


def test_what_has_no_shader_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(LAUNCHES, "softmax.c")
    with pytest.raises(UnsupportedError, match=r"op 'softmax'.*runs on wasm"):
        printed(graph_of([random_case(ops.get("softmax"), 0)])[0])


@pytest.mark.parametrize("fault", ["fn main( {", "@compute @workgroup_size(512) fn main() {}"])
def test_a_shader_that_is_none_is_an_error_and_no_zeros(fault: str) -> None:
    plan, weights, shaders = printed(traced(lambda x: x.exp(), {"x": "float32[4]"}))
    broken = {n: replace(s, source=fault) for n, s in shaders.shaders.items()}
    with pytest.raises(CompileError, match="shaders of"):
        WebGPUEngine(plan, weights, replace(shaders, shaders=broken))


def test_a_limit_that_no_adapter_has_is_named() -> None:
    with pytest.raises(DeviceError, match="maxStorageBufferBindingSize"):
        request_device({"maxStorageBufferBindingSize": 1 << 60})


def test_a_lost_device_is_an_error_and_no_zeros() -> None:
    graph = traced(lambda x: x.exp(), {"x": "float32[4]"})
    engine = _engine(graph)
    engine._device.destroy()
    with pytest.raises(NeurenixError):
        engine.run({"x": np.ones(4, np.float32)}, {})
