"""Scalar expressions: evaluated, differentiated, printed and written as JSON, for expressions made at random."""

from __future__ import annotations

import gc
import json
import math
import weakref
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from op_cases import random_expr

from neurenix import expr as ex
from neurenix.errors import GraphError

seeds = st.integers(0, 10**6)
few = settings(max_examples=60, deadline=None)


def _made(seed: int) -> tuple[ex.Expr, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(seed)
    return random_expr(rng, 3), rng.uniform(0.1, 2, (3, 7))


@few
@given(seeds)
def test_derivatives_equal_central_differences(seed: int) -> None:
    expression, x = _made(seed)
    for i in range(3):
        step = np.zeros((3, 1))
        step[i] = 1e-6
        slope = (ex.evaluate(expression, list(x + step)) - ex.evaluate(expression, list(x - step))) / 2e-6
        found = np.broadcast_to(ex.evaluate(ex.derivative(expression, i), list(x)), (7,))
        np.testing.assert_allclose(np.broadcast_to(slope, (7,)), found, rtol=1e-4, atol=1e-4)


@few
@given(seeds)
def test_json_brings_back_the_same_object(seed: int) -> None:
    expression, _ = _made(seed)
    assert expression is ex.from_json(json.loads(json.dumps(ex.to_json(expression), allow_nan=False)))


@few
@given(seeds, seeds)
def test_substitution_is_composition(outer: int, inner: int) -> None:
    expression, x = _made(outer)
    parts = [_made(inner + i)[0] for i in range(3)]
    composed = ex.substitute(expression, parts)
    expected = ex.evaluate(expression, [ex.evaluate(p, list(x)) for p in parts])
    with np.errstate(all="ignore"):
        found = ex.evaluate(composed, list(x))
    np.testing.assert_allclose(np.broadcast_to(expected, (7,)), np.broadcast_to(found, (7,)), rtol=1e-12)


@few
@given(seeds)
def test_printed_c_names_every_shared_part_once(seed: int) -> None:
    expression, _ = _made(seed)
    lines, result = ex.print_c(expression, ["a", "b", "c"])
    names = [line.split()[2] for line in lines]
    assert [f"t{i}" for i in range(len(lines))] == names
    for at, line in enumerate(lines):  # nothing is read before it is made
        assert all(f"t{later}" not in _words(line.split("=", 1)[1]) for later in range(at, len(lines)))
    assert {"a", "b", "c"} >= _words(" ".join([result, *lines])) & {"a", "b", "c"}


def _words(text: str) -> set[str]:
    return set("".join(c if c.isalnum() or c == "_" else " " for c in text).split())


@few
@given(seeds)
def test_tree_size_counts_the_json(seed: int) -> None:
    expression, _ = _made(seed)

    def count(data: Any) -> int:
        return 1 if not isinstance(data, list) or data[0] == "x" else 1 + sum(map(count, data[1:]))

    assert count(ex.to_json(expression)) == ex.tree_size(expression)
    parts = [ex.operand(0) + ex.operand(1), ex.operand(2), ex.exp(ex.operand(0))]
    sizes = [ex.tree_size(p) for p in parts]
    assert ex.tree_size(expression, sizes) >= ex.tree_size(ex.substitute(expression, parts))


def test_equal_expressions_are_one_object() -> None:
    x = ex.operand(0)
    assert ex.exp(x) + 1 is ex.exp(x) + 1
    assert ex.const(0.0) is not ex.const(-0.0)
    assert ex.const(math.nan) is ex.const(math.nan)
    assert 3 * x is not x * 3


def test_what_changes_nothing_is_left_out() -> None:
    x = ex.operand(0)
    assert all(e is x for e in (x + 0, 0 + x, x * 1, 1 * x, x - 0, x / 1))
    assert 7.0 == (ex.const(3) + 4).value
    assert ex.where(ex.const(1) < ex.const(2), x, -x) is x
    assert "neg(x0)" == repr(ex.substitute(ex.where(x < 0, -ex.operand(1), x), [ex.const(-1), x]))


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 1e300, -1e300, 1e-300, 1e-45, 0.1, -0.0])
def test_constants_of_any_size_survive_json_and_c(value: float) -> None:
    e = ex.const(value)
    assert repr(e.value) == repr(ex.from_json(json.loads(json.dumps(ex.to_json(e), allow_nan=False))).value)
    _, text = ex.print_c(e, [])
    with np.errstate(over="ignore"):
        single = float(np.float32(value))
    inner = text.removeprefix("nx_set(").removesuffix(")")
    if math.isfinite(single):
        assert repr(single) == repr(float(inner.removesuffix("f")))
    else:
        assert inner in ("__builtin_inff()", "-__builtin_inff()", '__builtin_nanf("")')


def test_comparisons_are_numbers_where_numbers_are_wanted() -> None:
    x = ex.operand(0)
    at = [np.array([-1.0, 0.0, 2.0])]
    assert [2.0, 2.0, 0.0] == ex.evaluate((x < 1) * 2, at).tolist()
    assert [7.0, 8.0, 7.0] == ex.evaluate(ex.where(x, 7, 8), at).tolist()
    assert [1.0, 1.0, 0.0] == ex.evaluate(ex.number(x < 1), at).tolist()
    assert "add(select(lt(x0, 1), 1, 0), x0)" == repr((x < 1) + x)


def test_evaluation_keeps_the_operands_precision() -> None:
    x = ex.operand(0)
    e = ex.where(x < 0, 0.1 * x, ex.exp(x) + 0.3)
    for precision in (np.float32, np.float64):
        assert precision == ex.evaluate(e, [np.ones(3, precision)]).dtype


@pytest.mark.parametrize(
    "data",
    [None, True, "x", [], ["x"], ["x", -1], ["x", 1.5], ["x", True, 1], ["add", 1], ["add", 1, 2, 3], ["power", 1, 2],
     [["add"], 1, 2], {"add": 1}, ["exp", "x0"], ["select", 1, 2]],
)  # fmt: skip
def test_malformed_json_is_a_graph_error(data: Any) -> None:
    with pytest.raises(GraphError, match="is not a scalar expression"):
        ex.from_json(data)


def test_json_that_is_too_deep_is_refused() -> None:
    deep: Any = ["x", 0]
    for _ in range(300):
        deep = ["neg", deep]
    with pytest.raises(GraphError):
        ex.from_json(deep)


def test_evaluating_lets_its_arrays_go_without_a_garbage_collection() -> None:
    x = np.ones(5)
    left = weakref.ref(x)
    gc.disable()
    try:
        ex.evaluate(ex.operand(0) * 2 + ex.operand(0), [x])
        del x
        assert left() is None
    finally:
        gc.enable()
