"""Symbolic sizes: the normal form means what was written, bounds hold every value, JSON brings sizes back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurenix import dims as dm
from neurenix.dims import Dim, Size
from neurenix.errors import DimensionError, GraphError

RANGES = {"n": (1, 9), "m": (2, 5), "batch": (1, 64)}
# A tree of ["+", a, b] and the like over names and numbers, as JSON spells it.
leaves = st.one_of(st.integers(-6, 12), st.sampled_from(sorted(RANGES)))
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["+", "*", "max", "min"]), inner, inner).map(list),
        st.tuples(st.just("//"), inner, st.one_of(st.integers(1, 7), st.sampled_from(sorted(RANGES)))).map(list),
    ),
    max_leaves=7,
)
values = st.fixed_dictionaries({name: st.integers(low, high) for name, (low, high) in RANGES.items()})
some = settings(max_examples=150, deadline=None)


def _plain(tree: Any, at: dict[str, int]) -> int:
    if not isinstance(tree, list):
        return at[tree] if isinstance(tree, str) else int(tree)
    function, (a, b) = tree[0], (_plain(t, at) for t in tree[1:])
    if function == "+":
        return a + b
    if function == "*":
        return a * b
    return a // b if function == "//" else max(a, b) if function == "max" else min(a, b)


@some
@given(trees, values)
def test_the_normal_form_has_the_value_of_what_was_written(tree: Any, at: dict[str, int]) -> None:
    assert _plain(tree, at) == dm.evaluate(dm.from_json(tree), at)


@some
@given(trees, values)
def test_bounds_hold_every_value(tree: Any, at: dict[str, int]) -> None:
    size = dm.from_json(tree)
    low, high = dm.bounds(size, RANGES)
    assert low <= dm.evaluate(size, at) <= high


@some
@given(trees)
def test_json_brings_back_an_equal_size(tree: Any) -> None:
    size = dm.from_json(tree)
    assert size == dm.from_json(json.loads(json.dumps(dm.to_json(size))))
    assert not isinstance(size, Dim) or hash(size) == hash(dm.from_json(dm.to_json(size)))


@some
@given(trees, trees, trees)
def test_equal_sums_and_products_are_equal_sizes(x: Any, y: Any, z: Any) -> None:
    a, b, c = map(dm.from_json, (x, y, z))
    assert a + b == b + a
    assert a * b == b * a
    assert (a + b) + c == a + (b + c)
    assert (a + b) * c == a * c + b * c
    assert a - a == 0
    assert dm.larger(a, b) == dm.larger(b, a)
    assert dm.smaller(a, b) == dm.smaller(b, a)
    assert (a * 6 + 3) // 3 == a * 2 + 1


n, m = Dim.symbol("n"), Dim.symbol("m")


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (n * 2 // 2, "n"), (n * m // m, "n"), (n * m // (n * m), "1"), ((n + 1) * 3, "(3 * n) + 3"), (n - n, "0"),
        ((4 * n + 3) // 4, "n"), (4 * n * m // (2 * n), "2 * m"), ((n + 7) // 8 * 8, "8 * ((n + 7) // 8)"),
        (5 // n, "5 // n"), (dm.larger(n, 3), "max(3, n)"), (1 - n, "(-1 * n) + 1"),
    ],
)  # fmt: skip
def test_sizes_are_simplified_and_shown(size: Size, text: str) -> None:
    assert text == str(size)


def test_symbols_and_products_of_shapes() -> None:
    assert frozenset({"n", "m"}) == dm.symbols((n + 1) // 2 * m)
    assert 6 * n == dm.product((2, n, 3))
    assert 1 == dm.product(())


@pytest.mark.parametrize(
    "data",
    [None, True, 1.5, [], ["+"], ["+", 1], ["+", 1, 2, 3], ["-", 1, 2], ["%", "n", 2], {"n": 1}, ["+", None, 1],
     [["+"], 1, 2], ["//", "n", 0], ["//", 4, 0], ["//", "n", ["+", "n", ["*", -1, "n"]]]],
)  # fmt: skip
def test_malformed_json_is_a_graph_error(data: Any) -> None:
    with pytest.raises(GraphError):
        dm.from_json(data)


def test_json_that_is_too_deep_is_refused() -> None:
    deep: Any = "n"
    for i in range(400):
        deep = ["max", deep, i]
    with pytest.raises(GraphError):
        dm.from_json(deep)


def test_unknown_symbols_are_named() -> None:
    with pytest.raises(DimensionError, match="'n' has no value"):
        dm.evaluate(n + 1, {})
    with pytest.raises(DimensionError, match="'n' has no declared range"):
        dm.bounds(n + 1, {})
    with pytest.raises(DimensionError, match="divides by 0"):
        dm.evaluate(6 // (n - 1), {"n": 1})


def test_a_symbolic_size_has_no_truth_value() -> None:
    with pytest.raises(GraphError, match="'n' is symbolic"):
        bool(n)
