"""Claims about the whole numbers that an input may hold: found in what reads it."""

from __future__ import annotations

import numpy as np
import pytest

from neurenix.dtypes import dtype
from neurenix.graph.builder import GraphBuilder
from neurenix.graph.graph import Graph, Value
from neurenix.graph.index_ranges import index_limit


class Reading:
    """A graph of one input `ids` of shape [n, 3], and what reads it."""

    def __init__(self, of: str = "int64") -> None:
        self.builder = GraphBuilder("reading", {"n": (1, 8)})
        self.ids = self.builder.input("ids", dtype(of), (4, 3))

    def table(self, rows: int) -> Value:
        return self.builder.constant(np.zeros((rows, 2), np.float32))

    def number(self, value: int) -> Value:
        return self.builder.constant(np.array(value, np.int64))

    def graph(self, result: Value) -> Graph:
        return self.builder.finish({"y": result})


def test_an_index_stays_below_the_rows_of_its_table() -> None:
    r = Reading()
    assert 30 == index_limit(r.graph(r.builder.add("gather", [r.table(30), r.ids], {"axis": 0})), "ids")


def test_the_smallest_of_several_tables_counts() -> None:
    r = Reading()
    first = r.builder.add("gather", [r.table(30), r.ids], {"axis": 0})
    second = r.builder.add("gather", [r.table(7), r.ids], {"axis": 0})
    assert 7 == index_limit(r.graph(r.builder.add("add", [first, second], {})), "ids")


def test_an_index_is_known_through_moves_and_arithmetic() -> None:
    r = Reading()
    flat = r.builder.add("reshape", [r.ids], {"shape": (12,)})
    turned = r.builder.add("maximum", [flat, r.number(0)], {})
    assert 5 == index_limit(r.graph(r.builder.add("gather", [r.table(5), turned], {"axis": 0})), "ids")


def test_what_is_compared_with_classes_is_one_of_them() -> None:
    r = Reading()
    wide = r.builder.add("reshape", [r.ids], {"shape": (4, 3, 1)})
    classes = r.builder.constant(np.arange(9, dtype=np.int64))
    assert 9 == index_limit(r.graph(r.builder.add("eq", [wide, classes], {})), "ids")


@pytest.mark.parametrize("to", ["float32", "bool"])
def test_what_becomes_a_float_or_a_condition_is_a_mask(to: str) -> None:
    r = Reading()
    assert 2 == index_limit(r.graph(r.builder.add("cast", [r.ids], {"dtype": to})), "ids")


def test_bytes_that_become_floats_are_no_mask() -> None:
    r = Reading("uint8")
    assert index_limit(r.graph(r.builder.add("cast", [r.ids], {"dtype": "float32"})), "ids") is None


def test_what_is_gathered_says_nothing_about_the_indices_of_others() -> None:
    r = Reading()
    picked = r.builder.add("gather", [r.ids, r.number(1)], {"axis": 0})
    assert index_limit(r.graph(picked), "ids") is None
