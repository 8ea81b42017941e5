"""Movement beyond the table: symbolic sizes, joins in place, indices that lie outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from op_cases import NATIVE, assert_close, run_forms
from tracing import traced

from neurenix import Tensor, arange, cat, full, ops, stack, zeros
from neurenix.compiler import passes
from neurenix.compiler.schedule import schedule
from neurenix.dims import Dim, evaluate
from neurenix.errors import GraphError, InputError
from neurenix.ops.spans import span
from neurenix.phynexus.reference import run_graph
from neurenix.tensor.interpolation import Rule

Array = np.ndarray[Any, Any]
N = Dim.symbol("n")
FORMS = (NATIVE[0], "scalar")
Model = Callable[..., Tensor]


# ── slices of symbolic axes ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("step", [1, 2, 3, -1, -2, -3])
def test_spans_of_symbolic_axes_are_pythons(step: int) -> None:
    positions = (None, 0, 1, 2, 5, 9, -1, -2, -4, -9)
    for start in positions:
        for stop in positions:
            first, count = span(N, start, stop, step)
            for n in range(1, 8):
                expected = range(n)[slice(start, stop, step)]
                found = evaluate(count, {"n": n})
                assert len(expected) == found, (start, stop, step, n)
                if found:
                    assert expected[0] == evaluate(first, {"n": n}), (start, stop, step, n)


def test_a_symbolic_axis_cut_at_both_ends_has_one_size() -> None:
    assert span(N, 1, None, 1)[1] == span(N, None, -1, 1)[1] == N - 1
    assert span(N, 2, None, 1)[1] == span(N, None, -2, 1)[1]
    assert span(N, None, N, 1) == (0, N)


# ── compiled, with symbolic sizes ───────────────────────────────────────────────────────────────────

FLOATS = {"x": "float32[n, 4]"}
SYMBOLIC: dict[str, tuple[Mapping[str, str], Model]] = {
    "join along the axis": (FLOATS, lambda x: cat([x, x * 2, x[:1]], 0)),
    "join across it": (FLOATS, lambda x: cat([x, x.exp()], 1)),
    "stack": (FLOATS, lambda x: stack([x, x + 1, x], 1)),
    "neighbours": (FLOATS, lambda x: x[1:] - x[:-1]),
    "every other": (FLOATS, lambda x: x[::2].sum(0) + x[1::2].sum(0)),
    "backwards": (FLOATS, lambda x: x.flip(0) + x[:, ::-1]),
    "first and last": (FLOATS, lambda x: x[0] + x[-1] + x[-2]),
    "a few": (FLOATS, lambda x: x[:3].sum(0)),
    "roll": (FLOATS, lambda x: x.roll(1, 0) + x.roll(-1, 0)),
    "pad": (FLOATS, lambda x: x.pad((1, 2, 3, 1), value=7.0)),
    "pad reflect": (FLOATS, lambda x: x.pad((0, 0, 1, 1), "reflect")),
    "pad replicate": (FLOATS, lambda x: x.pad((0, 0, 2, 1), "replicate")),
    "pad circular": (FLOATS, lambda x: x.pad((0, 0, 2, 1), "circular")),
    "repeat": (FLOATS, lambda x: x.repeat(2, 3)),
    "repeat each": (FLOATS, lambda x: x.repeat_interleave(2, 0)),
    "causal": (FLOATS, lambda x: (x @ x.T).tril()),
    "count": (FLOATS, lambda x: x + arange(x.shape[0]).unsqueeze(1).cast("float32")),
    "zeros": (FLOATS, lambda x: cat([zeros(x.shape[0], 2), x, full((x.shape[0], 1), 3.0)], 1)),
    "expand": ({"x": "float32[n, 1]"}, lambda x: x.expand(3, x.shape[0], 4) * 2),
    "transpose": ({"x": "float32[n, 3, m]"}, lambda x: x.transpose(0, 2) + 1),
    "embed": ({"i": "int64[n, m]"}, lambda i: Tensor(np.eye(5, 3, dtype=np.float32))[i]),
    "one hot": ({"i": "int32[n]"}, lambda i: i.one_hot(4)),
    "nearest": ({"x": "float32[n, 2, m, 3]"}, lambda x: x.interpolate(scale_factor=2)),
    "bilinear": ({"x": "float32[n, 2, 4, 3]"}, lambda x: x.interpolate(scale_factor=2, mode="bilinear")),
    "shuffle": ({"x": "float32[n, 8, m, 3]"}, lambda x: x.pixel_shuffle(2)),
    "batched places": ({"x": "float32[n, 4]", "i": "int64[n, 2, 1]"},
                       lambda x, i: x.apply("gather_nd", i, batch_dims=1)),
    "written": ({"x": "float32[n, 4]", "i": "int64[n, 4]"}, lambda x, i: (x * 2).scatter_add(1, i, x)),
}  # fmt: skip


def _feeds(specs: Mapping[str, str], dims: Mapping[str, int]) -> dict[str, Array]:
    rng = np.random.default_rng(0)
    feeds = {}
    for name, spec in specs.items():
        kind, sizes = spec.rstrip("]").split("[")
        shape = [dims.get(s.strip()) or int(s) for s in sizes.split(",")]
        values = rng.standard_normal(shape) if kind == "float32" else rng.integers(-3, 3, shape)
        feeds[name] = values.astype(kind)
    return feeds


@pytest.mark.zig
@pytest.mark.wasm
@pytest.mark.parametrize("name", SYMBOLIC)
def test_movement_of_symbolic_sizes_compiles_and_agrees(name: str) -> None:
    specs, model = SYMBOLIC[name]
    symbols = [s for s in ("n", "m") if any(s in spec.split("[")[1] for spec in specs.values())]
    graph = traced(model, specs, dict.fromkeys(symbols, (3, 9)))
    cases = [dict.fromkeys(symbols, size) for size in (3, 4, 9)]
    given = [(_feeds(specs, dims), dims) for dims in cases]
    for form, answers in run_forms(graph, given, FORMS):
        for (feeds, dims), answer in zip(given, answers):
            eager = model(*map(Tensor, feeds.values())).numpy()
            assert_close(eager, answer["output"], 1e-5, f"{name} for {dims} on {form}")


# ── in place ────────────────────────────────────────────────────────────────────────────────────────

IN_PLACE: dict[str, Model] = {
    "written to twice": lambda x: (x + 1).apply("place", x[1:2], starts=(0, 0)).apply("place", x[:1], starts=(2, 0)),
    "read again": lambda x: (lambda y: y.apply("place", x[:1], starts=(2, 0)) * y)(x.exp()),
    "read again through a reshape": lambda x: (
        lambda y: y.apply("place", x[:1], starts=(2, 0)).reshape(-1) * y.reshape(-1))(x.exp()),
    "an input": lambda x: x.apply("place", x[:1] * 2, starts=(2, 0)) + x,
    "into itself": lambda x: (lambda y: y.apply("place", y, starts=(0, 0)))(x.exp()),
    "its own values": lambda x: (lambda y: y.apply("scatter", Tensor(np.array([2, 1, 0])), y))(x.exp()),
    "a constant": lambda x: zeros(3, 4).apply("place", x, starts=(0, 0)),
    "an output": lambda x: (x * 3).apply("place", x[1:2], starts=(0, 0)),
}  # fmt: skip


@pytest.mark.zig
@pytest.mark.parametrize("name", IN_PLACE)
@pytest.mark.parametrize("optimize", [True, False])
def test_what_is_written_in_place_is_read_by_nobody_else(name: str, optimize: bool) -> None:
    x = np.random.default_rng(1).standard_normal((3, 4)).astype(np.float32)
    graph = traced(IN_PLACE[name], {"x": "float32[3, 4]"})
    expected = IN_PLACE[name](Tensor(x)).numpy()
    for form, (answers,) in run_forms(graph, [({"x": x}, {})], NATIVE[:1], optimize):
        assert_close(expected, answers["output"], 1e-6, f"{name} on {form}")


def test_a_join_copies_each_part_once() -> None:
    graph = traced(lambda x: cat([x, x + 1, x * 2], 1) * 1.5, {"x": "float32[3, 4]"})
    plan, _ = schedule(passes.run(graph))
    assert ["map", "map", "map", "pad", "place", "place"] == sorted(s.op for s in plan.steps)
    assert len({s.output for s in plan.steps if s.op in ("pad", "place")}) == 1


# ── indices that lie outside ────────────────────────────────────────────────────────────────────────

OUTSIDE = np.array([0, 7, -9, 2, -1, 1 << 40], np.int64)


@pytest.mark.parametrize("op", ["gather", "gather_elements", "gather_nd", "scatter", "scatter_elements", "scatter_nd"])
def test_eager_indices_outside_are_refused(op: str) -> None:
    x = Tensor(np.zeros(3, np.float32))
    index = Tensor(OUTSIDE[:2] if not op.endswith("nd") else OUTSIDE[:2, None])
    values = [Tensor(np.zeros(2, np.float32))] if op.startswith("scatter") else []
    with pytest.raises(InputError, match=f"'{op}': the index 7 is out of range for 3 elements"):
        x.apply(op, index, *values)


@pytest.mark.zig
@pytest.mark.wasm
def test_compiled_reads_outside_are_clamped_and_writes_dropped() -> None:
    def model(x: Tensor, i: Tensor) -> Tensor:
        read = cat([x.apply("gather", i), x.apply("gather_elements", i), x.apply("gather_nd", i.unsqueeze(1))], 0)
        values = read[:6]
        written = [x.apply(op, i if op != "scatter_nd" else i.unsqueeze(1), values, reduction="add")
                   for op in ("scatter", "scatter_elements", "scatter_nd")]  # fmt: skip
        return cat([read, *written], 0)

    x = np.array([1, 2, 4], np.float32)
    graph = traced(model, {"x": "float32[3]", "i": "int64[6]"})
    clamped = x[[0, 2, 0, 2, 2, 2]]
    written = x + [clamped[0], 0, clamped[3] + clamped[4]]
    expected = np.concatenate([clamped] * 3 + [written] * 3)
    feeds: dict[str, Array] = {"x": x, "i": OUTSIDE}
    np.testing.assert_array_equal(expected, run_graph(graph, feeds, {})["output"])
    for form, (answers,) in run_forms(graph, [(feeds, {})], FORMS):
        assert_close(expected, answers["output"], 1e-6, form)


# ── errors ──────────────────────────────────────────────────────────────────────────────────────────

REFUSED: dict[str, tuple[Model, str]] = {
    "join of other shapes": (lambda x: cat([x, x[:, :2]], 0), r"\[3, 4\] and \[3, 2\] cannot be joined along axis 0"),
    "join of nothing": (lambda x: cat([]), "at least one tensor"),
    "place outside": (lambda x: x.apply("place", x, starts=(1, 0)), "leaves"),
    "a step of 0": (lambda x: x[::0], "step of a slice is not 0"),
    "pad below 0": (lambda x: x.apply("pad", 0.0, before=(-1, 0), after=(0, 0)), "padding starts at 0"),
    "reflect too far": (lambda x: x.pad((4, 0), "reflect"), "pads an axis of 4 by 3 at most"),
    "pad mode": (lambda x: x.pad((1, 1), "mirror"), "pad mode 'mirror'"),
    "scatter shape": (lambda x: x.apply("scatter", Tensor(np.array([0])), x), r"take an x of \[1, 4\], got \[3, 4\]"),
    "reduction": (lambda x: x.scatter_reduce(0, np.array([[0]]), x, "mean"), "reduction 'mean'"),
    "narrow": (lambda x: x.narrow(1, 2, 3), "3 from 2 on leaves an axis of 4"),
    "split sizes": (lambda x: x.split([1, 1]), "do not add up to 3"),
    "interpolate of a matrix": (lambda x: x.interpolate(size=2), r"takes \(N, C"),
    "a rule": (lambda x: x.resize(sizes=(2, 2), rule=Rule(coordinates="corner")), "coordinates 'corner'"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused(name: str) -> None:
    model, text = REFUSED[name]
    with pytest.raises(GraphError, match=text):
        model(Tensor(np.zeros((3, 4), np.float32)))


def test_bool_has_no_sums() -> None:
    x = Tensor(np.zeros(3, bool))
    with pytest.raises(GraphError, match="bool has no 'add'"):
        x.apply("scatter", Tensor(np.array([0])), Tensor(np.ones(1, bool)), reduction="add")
    assert [True, False, False] == x.apply("scatter", Tensor(np.array([0])), Tensor(np.ones(1, bool))).tolist()


def test_iota_and_symbolic_sizes_need_a_model_being_traced() -> None:
    with pytest.raises(GraphError, match="symbolic"):
        arange(N)
    with pytest.raises(GraphError, match="symbolic"):
        zeros(N, 2)
    assert ops.get("iota").infer([], {"size": N, "dtype": "int64"}) == (N,)
