"""Typed maps: elementwise ops on whole numbers and conditions, compiled for each form and held to NumPy's answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from op_cases import FORMS, Array, Case, answers_of, rows, run_forms

from neurenix import expr as ex
from neurenix import ops
from neurenix.compiler import passes
from neurenix.compiler.schedule import schedule
from neurenix.dtypes import dtype
from neurenix.errors import GraphError
from neurenix.graph.builder import GraphBuilder
from neurenix.graph.graph import Graph
from neurenix.ops import Family, Op
from neurenix.phynexus.reference import run_plan, unpack_tensors
from neurenix.tensor import Tensor

KINDS = ("int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8", "bool")


# Rows that need something other than equal inputs of any values.
OWN_CASES = ("map", "cast", "where", "pow", "bitwise_left_shift", "bitwise_right_shift")


def _edges(kind: str, rng: np.random.Generator) -> Array:
    """Return the ends of a dtype's range, what is around 0, and random values."""
    if kind == "bool":
        return rng.random(24) < 0.5
    info = np.iinfo(kind)
    known = [info.min, info.min + 1, info.max, info.max - 1, 0, 1, 2, 3, 7, 100, *([-1, -2, -7] if info.min else [])]
    spread = rng.integers(info.min, info.max, 24 - len(known), dtype=kind)
    return np.concatenate([np.array(known, kind), spread])


def _halves(kind: str) -> Array:
    """Return what every integer dtype holds, halves between, and the places where a float has fewer."""
    rng = np.random.default_rng(3)
    return np.concatenate([[0, -0.0, 0.5, 1.5, 2.5, 99.99], rng.uniform(0, 127, 9), np.arange(9) / 8]).astype(kind)


def _takes(row: Op, kind: str) -> bool:
    try:
        row.infer_dtype([dtype(kind)] * row.arity, row.bind({}))
    except GraphError:
        return False
    return True


def _cases() -> list[Case]:
    rng = np.random.default_rng(0)
    cases = []
    for row in rows(Family.ELEMENTWISE):
        for kind in KINDS:
            if row.name in OWN_CASES or not _takes(row, kind):
                continue
            if kind == "bool" and row.name in ("sign", "square"):
                continue
            x = _edges(kind, rng)
            arrays = (x,) if row.arity == 1 else (x[:, None], x[None, :])
            variants: list[dict[str, Any]] = [{}]
            if row.name == "clip":
                variants = [{"min": 2}, {"max": 90}, {"min": 3, "max": 77}]
            if row.name == "mod":
                variants = [{"fmod": False}, {"fmod": True}]
            cases += [Case(row, arrays, row.bind(attrs)) for attrs in variants]
    return cases


def _own_cases() -> list[Case]:
    rng = np.random.default_rng(1)
    cases = []
    for kind in KINDS[:-1]:
        x = _edges(kind, rng)
        exponents, shifts = np.arange(9).astype(kind), np.arange(70).astype(kind)
        choice, power = ops.get("where"), ops.get("pow")
        cases.append(Case(choice, (rng.random((5, 1)) < 0.5, x[None, :], x[::-1].copy()), choice.bind({})))
        cases.append(Case(power, (x[:, None], exponents), power.bind({})))
        for name in ("bitwise_left_shift", "bitwise_right_shift"):
            cases.append(Case(ops.get(name), (x[:, None], shifts), {}))
        for wanted in (*KINDS, "float32", "float64", "float16"):
            cases.append(Case(ops.get("cast"), (x,), {"dtype": wanted}))
        for wide in ("float16", "float32", "float64"):
            cases.append(Case(ops.get("cast"), (_halves(wide),), {"dtype": kind}))
    for wide in ("float16", "float32", "float64"):
        for wanted in ("float16", "float32", "float64"):
            cases.append(Case(ops.get("cast"), (_halves(wide),), {"dtype": wanted}))
    for wanted in KINDS:  # within every dtype's range: what lies beyond has no answer that NumPy promises
        x = np.concatenate([[0, -0.0, 0.9, 1.5, 126.9], rng.uniform(0, 127, 9)]).astype(np.float32)
        cases.append(Case(ops.get("cast"), (x,), {"dtype": wanted}))
    return cases


@pytest.mark.parametrize("forms", FORMS)
def test_whole_numbers_are_exact_and_wrap_as_numpys(forms: tuple[str, ...]) -> None:
    _compare(_cases(), forms)


@pytest.mark.parametrize("forms", FORMS)
def test_choices_powers_shifts_and_casts_are_exact(forms: tuple[str, ...]) -> None:
    _compare(_own_cases(), forms)


def _compare(cases: list[Case], forms: tuple[str, ...]) -> None:
    for case, form, wanted, answer in answers_of(cases, forms):
        what = f"{case.row.name} of {case.arrays[-1].dtype}, {dict(case.attrs)}, on {form}"
        if answer.dtype.kind == "f":  # the reference computes in float64
            with np.errstate(over="ignore"):
                wanted = wanted.astype(answer.dtype)
        assert wanted.dtype == answer.dtype, what
        np.testing.assert_array_equal(wanted, answer, what)


@pytest.mark.parametrize("row", [r for r in rows(Family.ELEMENTWISE) if r.name not in OWN_CASES], ids=lambda r: r.name)
def test_eager_whole_numbers_equal_the_oracle(row: Op) -> None:
    rng = np.random.default_rng(2)
    for kind in KINDS:
        if not _takes(row, kind):
            continue
        x = _edges(kind, rng)
        arrays = [x] if row.arity == 1 else [x[:, None], x[None, :]]
        attrs = row.bind({"max": 50} if row.name == "clip" else {})
        made = row.infer_dtype([dtype(kind)] * row.arity, attrs).numpy
        answer = row.evaluate(arrays, attrs)
        with np.errstate(all="ignore"):
            expected = np.asarray(row.oracle(*arrays, **attrs)).astype(made)
        assert made == answer.dtype
        np.testing.assert_array_equal(expected, answer, f"{row.name} of {kind}")


@pytest.mark.parametrize("forms", FORMS)
def test_fused_chains_of_several_kinds_keep_whole_numbers_whole(forms: tuple[str, ...]) -> None:
    """A float becomes a whole number, is computed with beyond 2**24, and becomes a float again."""
    from neurenix.graph.builder import GraphBuilder

    x = np.array([1.5, 3.9, -7.2, 120.0, 0.0], np.float32)
    builder = GraphBuilder("chain", {})
    value = builder.input("x", dtype("float32"), x.shape)
    whole = builder.add("cast", [value], {"dtype": "int64"})
    large = builder.add("mul", [whole, builder.constant(np.array(1_000_003, np.int64))], {})
    rest = builder.add("mod", [large, builder.constant(np.array(97, np.int64))], {})
    even = builder.add("eq", [builder.add("bitwise_and", [whole, builder.constant(np.array(1, np.int64))], {}),
                              builder.constant(np.array(0, np.int64))], {})  # fmt: skip
    back = builder.add("cast", [rest], {"dtype": "float32"})
    chosen = builder.add("where", [even, back, builder.add("neg", [value], {})], {})
    graph = builder.finish({"y": chosen})
    kept = x.astype(np.int64)
    expected = np.where(kept % 2 == 0, (kept * 1_000_003 % 97).astype(np.float32), -x)
    for form, (answers,) in run_forms(graph, [({"x": x}, {})], forms):
        np.testing.assert_array_equal(expected, answers["y"], form)


def bits_of_conditions() -> tuple[Graph, dict[str, Array], list[Array]]:
    """Return a graph that joins comparisons by operations on bits and goes on with numbers, inputs, and the answers."""
    x, flags = np.array([-1, 0, 0.5, 1, 2], np.float32), np.array([True, False, True, False, True])
    builder = GraphBuilder("bits", {})
    value, flag = builder.input("x", dtype("float32"), x.shape), builder.input("flags", dtype("bool"), x.shape)
    zero, one = (builder.constant(np.float32(v)) for v in (0, 1))
    pairs = [
        (builder.add("lt", [value, one], {}), builder.add("lt", [zero, value], {})),
        (builder.add("lt", [value, one], {}), flag),
        tuple(builder.add("logical_not", [builder.add("le", pair, {})], {}) for pair in ([one, value], [value, zero])),
    ]
    expected, outputs = [], {}
    for right, (a, b) in zip((x > 0, flags, x > 0), pairs):
        for name, joined in (("and", np.bitwise_and), ("or", np.bitwise_or), ("xor", np.bitwise_xor)):
            number = builder.add("cast", [builder.add(f"bitwise_{name}", [a, b], {})], {"dtype": "float32"})
            outputs[f"y{len(outputs)}"] = builder.add("mul", [number, value], {})
            expected.append(joined(x < 1, right) * x)
    return builder.finish(outputs), {"x": x, "flags": flags}, expected


@pytest.mark.parametrize("forms", FORMS)
def test_bits_of_comparisons_are_conditions(forms: tuple[str, ...]) -> None:
    graph, feeds, expected = bits_of_conditions()
    for form, (answers,) in run_forms(graph, [(feeds, {})], forms):
        for wanted, answer in zip(expected, answers.values()):
            np.testing.assert_array_equal(wanted, answer, form)


def test_expressions_of_whole_numbers_have_no_vectors() -> None:
    x = ex.operand(0)
    assert ex.vectorises(ex.exp(x) + ex.where(x < 0, 1, x))
    assert not ex.vectorises(ex.call("bitand", x, 3))
    assert not ex.vectorises(ex.cast(x, "int64") * 2)


def test_int64_arithmetic_is_exact_where_a_double_is_not() -> None:
    big = Tensor(np.array([2**53 + 1, 2**62 + 1, -(2**53) - 1]))
    assert [2**53 + 2, 2**62 + 2, -(2**53)] == (big + 1).tolist()
    assert [2**53 + 1, 2**62 + 1, 2**53 + 1] == abs(big).tolist()
    assert [2**53 + 1, 2**62 + 1, 0] == big.relu().tolist()
    assert [2**53 + 1, 2**53 + 1, -(2**53) - 1] == big.minimum(2**53 + 1).tolist()


def test_conditions_joined_by_operators_run_as_a_plan() -> None:
    """`&` of two comparisons, fused: bits of numbers beside a float would be no integers."""
    builder = GraphBuilder("m", {})
    with builder.recording():
        x = Tensor(builder.input("x", dtype("float32"), (5,)))
        joined = [(x > 0) & (x < 1), (x < 0) | (x > 1), (x > 0) ^ (x > 1)]
        graph = builder.finish({f"y{i}": t.traced for i, t in enumerate(joined) if t.traced})
    plan, weights = schedule(passes.run(graph, True))
    array = np.array([-1, 0, 0.5, 1, 2], np.float32)
    y = run_plan(plan, unpack_tensors(plan, weights), {"x": array}, {})
    inside = [False, False, True, False, False]
    assert [inside, [True, False, False, False, True], [False, False, True, True, False]] == [
        v.tolist() for v in y.values()
    ]
