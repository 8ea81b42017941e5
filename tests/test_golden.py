"""Golden values: the formula as FORMAT.md states it, the measure of an error, and the way to JSON and back."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from neurenix.bundle.golden import Formula, Golden, Stored, from_json, golden_dims, to_json
from neurenix.dims import Dim
from neurenix.dtypes import dtype
from neurenix.errors import BundleError
from neurenix.graph.plan import Buffer, Plan

BATCH = Dim.symbol("batch")
FLOAT32 = np.dtype(np.float32)


def plan(kind: str = "float32") -> Plan:
    """A plan with one input and one output, and no steps: all that golden values look at."""
    buffers = {
        "x": Buffer("x", dtype(kind), (BATCH, 3), 0, 96),
        "y": Buffer("y", dtype("float32"), (BATCH, 2), 128, 64),
    }
    return Plan("model", ("x",), ("y",), {"batch": (1, 8)}, buffers, {}, (), 0, 192)


def case(answers: Any, tolerance: float = 1e-4) -> Golden:
    expected = np.asarray(answers, dtype=np.float32)
    return Golden({"batch": len(expected)}, {"x": Formula(7)}, {"y": expected}, tolerance)


def hashed(i: int, seed: int) -> int:
    """FORMAT.md's hash in Python's unbounded integers, written without NumPy."""
    h = (i * 2654435761 + seed * 2246822519) % 2**32
    h = (h ^ (h >> 15)) * 2246822519 % 2**32
    h = (h ^ (h >> 13)) * 3266489917 % 2**32
    return h ^ (h >> 16)


@pytest.mark.parametrize("seed", [0, 1, 100, 2**31, 2**32 - 1])
def test_the_formula_is_the_one_of_the_format(seed: int) -> None:
    low, high = -1.5, 2.25
    expected = [np.float32(low + (high - low) * ((hashed(i, seed) >> 8) / 2**24)) for i in range(500)]
    actual = Formula(seed, low, high).values((5, 100), FLOAT32)
    assert actual.shape == (5, 100)
    assert expected == actual.ravel().tolist()


@pytest.mark.parametrize("kind", ["int64", "int32", "uint8"])
def test_an_integer_input_is_rounded_down(kind: str) -> None:
    expected = [int(10 * ((hashed(i, 3) >> 8) / 2**24)) for i in range(200)]
    actual = Formula(3, 0, 10).values((200,), np.dtype(kind))
    assert np.dtype(kind) == actual.dtype
    assert expected == actual.tolist()
    assert set(range(10)) == set(actual.tolist())


def test_negative_integers_are_rounded_down_and_not_towards_zero() -> None:
    values = Formula(3, -2, 0).values((100,), np.dtype(np.int32))
    assert {-2, -1} == set(values.tolist())


def test_formulas_stay_inside_their_range_and_differ_by_seed() -> None:
    a, b = (Formula(seed, 0.0, 1.0).values((10_000,), FLOAT32) for seed in (1, 2))
    assert 0 <= a.min() < 0.001 and 0.999 < a.max() <= 1
    assert abs(a.mean() - 0.5) < 0.01
    assert not (a == b).any() or (a == b).mean() < 0.001


@pytest.mark.parametrize(
    ("expected", "answer", "error"),
    [
        ([[1.0, 2.0]], [[1.0, 2.0]], 0.0),
        ([[0.0, 0.5]], [[0.25, 0.5]], 0.25),  # below 1 the error is absolute
        ([[100.0, 0.0]], [[101.0, 0.0]], 0.01),  # above 1 relative
        ([[np.nan, 1.0]], [[np.nan, 1.0]], 0.0),
        ([[np.nan, 1.0]], [[1.0, 1.0]], np.inf),
        ([[1.0, 1.0]], [[np.nan, 1.0]], np.inf),
        ([[np.inf, -np.inf]], [[np.inf, -np.inf]], 0.0),
        ([[1.0, 1.0]], [[np.inf, 1.0]], np.inf),
        ([[1.0, 1.0]], [[1.0], [1.0]], np.inf),  # another shape is another answer
    ],
)
def test_the_error_of_an_answer(expected: Any, answer: Any, error: float) -> None:
    found = case(expected).error({"y": np.asarray(answer, dtype=np.float32)})
    assert error == pytest.approx(found)


def test_infinities_of_unequal_sign_are_no_agreement() -> None:
    error = case([[np.inf, 1.0]]).error({"y": np.asarray([[-np.inf, 1.0]], dtype=np.float32)})
    assert not error <= 1e-4


def test_a_case_survives_json() -> None:
    golden = case([[0.1, np.float32(1) / 3], [-0.0, np.inf]])
    back = from_json(json.loads(json.dumps(to_json(golden))), plan())
    assert golden.dims == back.dims
    assert golden.inputs == back.inputs
    assert golden.tolerance == back.tolerance
    assert golden.outputs["y"].tobytes() == back.outputs["y"].tobytes()
    assert golden.feeds(plan())["x"].tobytes() == back.feeds(plan())["x"].tobytes()


def test_stored_inputs_survive_json() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    golden = Golden({"batch": 2}, {"x": Stored(values.tobytes())}, {"y": np.zeros((2, 2), np.float32)}, 0.0)
    data = to_json(golden)
    assert {"data": base64.b64encode(values.tobytes()).decode()} == data["inputs"]["x"]
    assert values.tolist() == from_json(data, plan()).feeds(plan())["x"].tolist()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("dims", {}),
        ("dims", {"batch": 9}),
        ("dims", {"batch": 1, "other": 1}),
        ("dims", None),
        ("inputs", {}),
        ("inputs", {"x": {"seed": 1, "low": 0}}),
        ("inputs", {"x": {"seed": 1, "low": float("inf"), "high": 1}}),
        ("inputs", {"x": {"data": "AAAA"}}),
        ("inputs", {"x": {"data": "not base64"}}),
        ("outputs", {}),
        ("outputs", {"y": "AAAA"}),
        ("outputs", {"y": 5}),
        ("tolerance", -1),
        ("tolerance", float("nan")),
        ("tolerance", None),
    ],
)
def test_a_malformed_case_is_refused(key: str, value: Any) -> None:
    data = to_json(case([[1.0, 2.0]])) | {key: value}
    with pytest.raises(BundleError, match="golden case of 'model'"):
        from_json(data, plan())


def test_cases_cover_the_smallest_dims_and_odd_ones() -> None:
    assert golden_dims(plan()) == [{"batch": 1}, {"batch": 3}]
