"""Claims about shape arithmetic in ONNX models: it stays exact where it can, and is right where it cannot."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator
from onnx_models import model, node
from op_cases import NATIVE, run_forms

from neurenix.errors import NeurenixError, UnsupportedError
from neurenix.frontends.onnx import import_onnx
from neurenix.frontends.onnx.ratio import NotExact, Ratio
from neurenix.graph.graph import Graph
from neurenix.phynexus.reference import run_graph

RANGES = {"n": (2, 9), "m": (1, 7)}
SIZES = [{"n": 2, "m": 1}, {"n": 5, "m": 4}, {"n": 9, "m": 7}]
# What is left in a graph of a size that the run must tell: no arithmetic.
TOLD = {"dimension", "reshape", "concat"}

Draw = Callable[[st.SearchStrategy[Any]], Any]


def vector(*numbers: int) -> np.ndarray[Any, Any]:
    return np.array(numbers, np.int64)


@dataclass
class Program:
    """Nodes that compute with the sizes of x: float32[n, m, 3]. `lengths` has its values; None is a scalar."""

    nodes: list[onnx.NodeProto] = field(default_factory=lambda: [node("Shape", "x", "s")])
    constants: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    lengths: dict[str, int | None] = field(default_factory=lambda: {"s": 3})
    degrees: dict[str, int] = field(default_factory=lambda: {"s": 1})
    made: Any = field(default_factory=itertools.count)

    def add(self, op: str, inputs: str, length: int | None, degree: int | None = None, **attributes: Any) -> str:
        name = f"v{next(self.made)}"
        self.nodes.append(node(op, inputs, name, **attributes))
        self.lengths[name] = length
        self.degrees[name] = degree if degree is not None else max(self.degrees.get(i, 0) for i in inputs.split())
        return name

    def constant(self, array: Any) -> str:
        name = f"c{next(self.made)}"
        self.constants[name] = np.asarray(array)
        return name

    def drop(self, name: str) -> None:
        """Take a value that is no vector of sizes out of those that later steps draw from."""
        del self.lengths[name]

    def proto(self) -> onnx.ModelProto:
        last = list(self.lengths)[-3:]
        # The input is an output, too: ONNX's evaluator demands that it is used as more than a shape.
        return model(self.nodes, {"x": ["n", "m", 3]}, last, self.constants, opset=18)


def any_of(draw: Draw, p: Program) -> str:
    name: str = draw(st.sampled_from(sorted(p.lengths)))
    return name


def vector_of(draw: Draw, p: Program) -> str:
    name: str = draw(st.sampled_from(sorted(n for n, length in p.lengths.items() if length)))
    return name


def beside(draw: Draw, p: Program, v: str) -> str:
    """Return a value that broadcasts with another one without changing its shape."""
    fitting = [n for n, length in p.lengths.items() if length in (None, p.lengths[v]) and p.degrees[n] <= 4]
    if draw(st.booleans()) or not fitting:
        return p.constant(np.int64(draw(st.integers(0, 4))))
    name: str = draw(st.sampled_from(fitting))
    return name


def arithmetic(draw: Draw, p: Program) -> None:
    v = any_of(draw, p)
    op = draw(st.sampled_from(["Add", "Sub", "Min", "Max", "Mul"]))
    w = beside(draw, p, v)
    if op == "Mul" and p.degrees[v] + p.degrees.get(w, 0) > 6:
        op = "Add"
    degree = p.degrees[v] + p.degrees.get(w, 0) if op == "Mul" else None
    p.add(op, f"{v} {w}", p.lengths[v], degree)


def division(draw: Draw, p: Program) -> None:
    v, by = any_of(draw, p), p.constant(np.int64(draw(st.integers(1, 5))))
    p.add(draw(st.sampled_from(["Div", "Mod"])), f"{v} {by}", p.lengths[v])


def gather(draw: Draw, p: Program) -> None:
    v = vector_of(draw, p)
    n = p.lengths[v] or 0
    at = draw(st.one_of(st.integers(-n, n - 1), st.lists(st.integers(-n, n - 1), min_size=1, max_size=4)))
    p.add("Gather", f"{v} {p.constant(np.array(at, np.int64))}", None if isinstance(at, int) else len(at), axis=0)


def cut(draw: Draw, p: Program) -> None:
    v = vector_of(draw, p)
    ends = st.sampled_from([-(2**31), -3, -2, -1, 0, 1, 2, 3, 2**31 - 1, 2**63 - 1])
    start, end, step = draw(ends), draw(ends), draw(st.sampled_from([1, 2, -1]))
    length = len(range(*slice(start, end, step).indices(p.lengths[v] or 0)))
    if length:
        given = [p.constant(vector(s)) for s in (start, end, 0, step)]
        p.add("Slice", " ".join([v, *given]), length)


def join(draw: Draw, p: Program) -> None:
    a, b = vector_of(draw, p), vector_of(draw, p)
    length = (p.lengths[a] or 0) + (p.lengths[b] or 0)
    if length <= 8:
        p.add("Concat", f"{a} {b}", length, axis=0)


def axes(draw: Draw, p: Program) -> None:
    v, at = any_of(draw, p), p.constant(vector(0))
    if p.lengths[v] is None:
        p.add("Unsqueeze", f"{v} {at}", 1)
    elif p.lengths[v] == 1:
        p.add("Squeeze", f"{v} {at}", None)
    else:
        p.drop(column := p.add("Unsqueeze", f"{v} {p.constant(vector(-1))}", None))
        p.drop(row := p.add("Transpose", column, None))
        p.add("Reshape", f"{row} {p.constant(vector(-1))}", p.lengths[v])


def repeat(draw: Draw, p: Program) -> None:
    v, count = any_of(draw, p), draw(st.integers(1, 3))
    if p.lengths[v] in (None, 1):
        p.add("Expand", f"{v} {p.constant(vector(count))}", count)
    elif (p.lengths[v] or 0) <= 3:
        p.add("Tile", f"{v} {p.constant(vector(count))}", (p.lengths[v] or 0) * count)


def reduce(draw: Draw, p: Program) -> None:
    v = vector_of(draw, p)
    op, keep = draw(st.sampled_from(["ReduceSum", "ReduceProd", "ReduceMax", "ReduceMin"])), draw(st.booleans())
    degree = p.degrees[v] * (p.lengths[v] or 0)
    if op == "ReduceProd" and degree > 6:
        op = "ReduceSum"
    p.add(op, v, 1 if keep else None, degree if op == "ReduceProd" else None, keepdims=int(keep))


def choose(draw: Draw, p: Program) -> None:
    v = any_of(draw, p)
    op = draw(st.sampled_from(["Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual"]))
    limit = p.constant(np.int64(draw(st.sampled_from([-1, 0, 1, 3, 4, 100]))))
    p.drop(chosen := p.add(op, f"{v} {limit}", None))
    if draw(st.booleans()):
        p.drop(chosen := p.add("Not", chosen, None))
    p.add("Where", f"{chosen} {v} {beside(draw, p, v)}", p.lengths[v], 4)


def unary(draw: Draw, p: Program) -> None:
    v = any_of(draw, p)
    p.add(draw(st.sampled_from(["Neg", "Abs", "Identity"])), v, p.lengths[v])


def narrow(draw: Draw, p: Program) -> None:
    v = any_of(draw, p)
    if p.degrees[v] <= 4:
        p.drop(small := p.add("Cast", v, p.lengths[v], to=onnx.TensorProto.INT32))
        p.add("Cast", small, p.lengths[v], p.degrees[v], to=onnx.TensorProto.INT64)


def scale(draw: Draw, p: Program) -> None:
    v, n = any_of(draw, p), 0
    n = draw(st.sampled_from([2.0, 0.5, 0.25, 1.5, 1 / 3, 0.1, 0.7]))
    p.drop(real := p.add("Cast", v, p.lengths[v], to=onnx.TensorProto.FLOAT))
    by = p.constant(np.float32(n))
    p.drop(scaled := p.add(draw(st.sampled_from(["Mul", "Div"])), f"{real} {by}", p.lengths[v], p.degrees[v]))
    p.drop(whole := p.add(draw(st.sampled_from(["Floor", "Ceil"])), scaled, p.lengths[v]))
    p.add("Cast", whole, p.lengths[v], p.degrees[v], to=onnx.TensorProto.INT64)


EXACT = (arithmetic, gather, cut, join, axes, repeat, reduce, narrow)
STEPS = (*EXACT, arithmetic, division, choose, unary, scale)


@st.composite
def programs(draw: Draw, steps: tuple[Callable[[Draw, Program], None], ...] = STEPS) -> Program:
    program = Program()
    for _ in range(draw(st.integers(1, 9))):
        draw(st.sampled_from(steps))(draw, program)
    return program


@pytest.mark.slow
@given(programs())
@settings(max_examples=250)
def test_shape_arithmetic_gives_what_onnx_computes_for_known_sizes(program: Program) -> None:
    proto = program.proto()
    graph, evaluator = import_onnx(proto, dims=RANGES), ReferenceEvaluator(proto)
    for sizes in SIZES:
        x = np.zeros((sizes["n"], sizes["m"], 3), np.float32)
        expected = evaluator.run(None, {"x": x})
        actual = run_graph(graph, {"x": x}, sizes)
        for name, want, have in zip(proto.graph.output, expected, actual.values()):
            assert (np.asarray(want).tolist(), want.dtype) == (have.tolist(), have.dtype), name.name


@given(programs(EXACT))
@settings(max_examples=100)
def test_sums_products_and_moves_of_sizes_stay_exact(program: Program) -> None:
    graph = import_onnx(program.proto(), dims=RANGES)
    assert {n.op for n in graph.nodes} <= TOLD


@pytest.mark.zig
def test_compiled_code_computes_the_same_sizes() -> None:
    """(2 n + m - 9) / 2 is n + floor((m - 9) / 2): what is rounded there is negative, which C rounds the other way."""
    nodes = [
        node("Shape", "x", "s"), node("Gather", "s zero", "n"), node("Gather", "s one", "m"), node("Add", "n n", "nn"),
        node("Add", "nn m", "more"), node("Sub", "more nine", "less"), node("Max", "less zero", "some"),
        node("Div", "some two", "max_then_half"), node("Add", "less nine", "t"), node("Sub", "t five", "u"),
        node("Div", "u two", "half"), node("Mod", "u two", "odd"), node("Min", "n m", "min"), node("Mul", "n m", "all"),
    ]  # fmt: skip
    constants = {name: np.int64(v) for name, v in {"zero": 0, "one": 1, "two": 2, "five": 5, "nine": 9}.items()}
    outputs = ["max_then_half", "half", "odd", "min", "all"]
    proto = model(nodes, {"x": ["n", "m", 3]}, outputs, constants)
    graph, evaluator = import_onnx(proto, dims=RANGES), ReferenceEvaluator(proto)
    feeds = [({"x": np.zeros((n, m, 3), np.float32)}, {"n": n, "m": m}) for n in (2, 3, 9) for m in (1, 2, 7)]
    assert "n + ((m + -5) // 2)" in {str(node.attrs.get("size")) for node in graph.nodes}
    for _, answers in run_forms(graph, feeds, NATIVE[-1:]):
        for (arrays, _), answer in zip(feeds, answers):
            expected = evaluator.run(None, arrays)
            assert [int(e) for e in expected] == [int(a) for a in answer.values()]


def reshaped(nodes: list[onnx.NodeProto], shape: str, **constants: Any) -> Graph:
    """Read a model that gives x: float32[n, m, 3] a shape that it computes from x's."""
    arrays = {name: np.asarray(a) for name, a in constants.items()}
    proto = model(
        [node("Shape", "x", "s"), *nodes, node("Reshape", f"x {shape}", "y")], {"x": ["n", "m", 3]}, ["y"], arrays
    )
    return import_onnx(proto, dims=RANGES)


def test_a_shape_put_together_from_parts_stays_symbolic() -> None:
    graph = reshaped(
        [
            node("Gather", "s first", "n"), node("Gather", "s rest", "rest"), node("ReduceProd", "rest", "many"),
            node("Unsqueeze", "n zero", "row"), node("Concat", "row many", "shape", axis=0),
        ],
        "shape", first=np.int64(0), rest=vector(1, 2), zero=vector(0),
    )  # fmt: skip
    assert "[n, 3 * m]" == "[" + ", ".join(str(s) for s in graph.values["y"].shape).replace("m * 3", "3 * m") + "]"
    assert ["reshape"] == [n.op for n in graph.nodes]


def test_the_pattern_of_torchs_expand_is_decided_at_build_time() -> None:
    nodes = [
        node("Shape", "x", "s"), node("Equal", "s minus", "is"), node("Where", "is ones s", "shape"),
        node("Expand", "one shape", "y"),
    ]  # fmt: skip
    constants = {"minus": vector(-1), "ones": vector(1, 1, 1), "one": np.ones((1, 1, 1), np.float32)}
    graph = import_onnx(model(nodes, {"x": ["n", "m", 3]}, ["y"], constants), dims=RANGES)
    assert ["expand"] == [n.op for n in graph.nodes]


def test_a_condition_that_depends_on_dims_is_left_to_the_run() -> None:
    nodes = [node("Shape", "x", "s"), node("Less", "s five", "y")]
    proto = model(nodes, {"x": ["n", "m", 3]}, ["y"], {"five": vector(5)})
    graph = import_onnx(proto, dims=RANGES)
    x = np.zeros((7, 2, 3), np.float32)
    assert [False, True, True] == run_graph(graph, {"x": x}, {"n": 7, "m": 2})["y"].tolist()


@pytest.mark.parametrize("factor", [2.0, 0.5, 0.25, 1.5, 1 / 3, 0.2])
def test_sizes_scaled_by_a_float_and_rounded_stay_exact(factor: float) -> None:
    nodes = [
        node("Shape", "x", "s"), node("Cast", "s", "f", to=onnx.TensorProto.FLOAT), node("Mul", "f by", "g"),
        node("Floor", "g", "h"), node("Cast", "h", "t", to=onnx.TensorProto.INT64), node("ConstantOfShape", "t", "y"),
    ]  # fmt: skip
    proto = model(nodes, {"x": [7, "m", 30]}, ["y"], {"by": np.float32(factor)})
    graph = import_onnx(proto, dims={"m": (1, 99)})
    for m in (1, 5, 6, 50, 99):
        x = np.zeros((7, m, 30), np.float32)
        (expected,) = ReferenceEvaluator(proto).run(None, {"x": x})
        assert expected.shape == run_graph(graph, {"x": x}, {"m": m})["y"].shape


def test_a_factor_whose_product_rounds_to_another_whole_number_is_left_to_the_run() -> None:
    """41 * float32(1 / 41) is less than 1: its floor is 0, and that of 41 / 41 is 1."""
    assert 0 == np.floor(np.float32(41) * np.float32(1 / 41))
    with pytest.raises(NotExact):
        Ratio(41) * Ratio.of(float(np.float32(1 / 41)), np.dtype(np.float32))


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 0.7, 1e-9, 3.0e9])
def test_floats_that_are_no_simple_fraction_are_not_exact(number: float) -> None:
    with pytest.raises(NotExact):
        Ratio.of(float(np.float32(number)), np.dtype(np.float32)) * Ratio(3)


def test_range_up_to_a_symbolic_size() -> None:
    nodes = [
        node("Shape", "x", "s"), node("Gather", "s zero", "n"), node("Range", "two n three", "y"),
    ]  # fmt: skip
    constants = {"zero": np.int64(0), "two": np.int64(2), "three": np.int64(3)}
    proto = model(nodes, {"x": ["n"]}, ["y"], constants)
    graph = import_onnx(proto, dims={"n": (1, 20)})
    for n in (1, 2, 3, 5, 6, 20):
        actual = run_graph(graph, {"x": np.zeros(n, np.float32)}, {"n": n})["y"]
        assert list(range(2, n, 3)) == actual.tolist()


def test_half_of_an_axis_of_unknown_parity_is_refused_with_the_way_out() -> None:
    proto = model([node("Split", "x", "a b", axis=0)], {"x": ["n", 2]}, ["a", "b"], opset=13)
    with pytest.raises(UnsupportedError, match="splits an axis of n into 2 equal parts: fix that dim"):
        import_onnx(proto)


def test_parts_of_a_symbolic_axis_with_the_rest_in_the_last_one() -> None:
    proto = model([node("Split", "x", "a b c", axis=0, num_outputs=3)], {"x": ["n", 2]}, ["a", "b", "c"], opset=18)
    graph = import_onnx(proto, dims={"n": (5, 20)})
    for n in (5, 6, 7, 20):
        x = np.arange(2.0 * n, dtype=np.float32).reshape(n, 2)
        part = -(-n // 3)
        expected = [x[:part], x[part : 2 * part], x[2 * part :]]
        actual = run_graph(graph, {"x": x}, {"n": n})
        assert [e.tolist() for e in expected] == [a.tolist() for a in actual.values()]


def test_the_last_elements_of_a_symbolic_number_are_cut_out() -> None:
    """x[-n:] of a cache of past and new elements."""
    nodes = [
        node("Shape", "new", "s"), node("Gather", "s one", "n", axis=0), node("Neg", "n", "from"),
        node("Concat", "past new", "all", axis=1), node("Slice", "all from most one", "y"),
    ]  # fmt: skip
    constants = {"one": vector(1), "most": vector(2**31 - 1)}
    proto = model(nodes, {"past": [2, "p"], "new": [2, "q"]}, ["y"], constants)
    graph = import_onnx(proto, dims={"p": (1, 9), "q": (1, 9)})
    assert "q" == str(graph.values["y"].shape[1])
    past, new = np.zeros((2, 4), np.float32), np.ones((2, 3), np.float32)
    assert np.array_equal(new, run_graph(graph, {"past": past, "new": new}, {"p": 4, "q": 3})["y"])


def test_large_constants_beside_a_size_are_data() -> None:
    """A table of 10,000 positions plus an offset is added at run time, and not element by element while reading."""
    nodes = [node("Shape", "x", "s"), node("Add", "s table", "y")]
    proto = model(nodes, {"x": ["n"]}, ["y"], {"table": np.arange(10_000)})
    graph = import_onnx(proto)
    assert ["dimension", "reshape", "add"] == [n.op for n in graph.nodes]
    y = run_graph(graph, {"x": np.zeros(3, np.float32)}, {"n": 3})["y"]
    assert np.array_equal(np.arange(10_000) + 3, y)


@pytest.mark.parametrize("shape", [[-1, 2**40], [-1, -1], [2**31, 1], [2**62, 4]])
def test_sizes_beyond_reason_are_refused(shape: list[int]) -> None:
    proto = model([node("Expand", "x s", "y")], {"x": [1, 1]}, ["y"], {"s": vector(*shape)})
    with pytest.raises(NeurenixError, match=r"y.*Expand"):
        import_onnx(proto)
