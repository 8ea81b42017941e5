"""Maps of float64 and float16: functions held to NumPy's to the last places, conversions to the last bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
import scipy.special
from op_cases import NATIVE, WASM, Array, Case, both, graph_of, run_forms

from neurenix import ops

FORMS = both(NATIVE[-1:], WASM[:1])


# NumPy's functions are off by a unit in the last place or two themselves.
PRECISION, POWERS = 4e-15, 1e-12
UNARY = {
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log2": np.log2, "log10": np.log10,
    "log1p": np.log1p, "sqrt": np.sqrt, "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin,
    "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "asinh": np.arcsinh,
    "acosh": np.arccosh, "atanh": np.arctanh, "erf": scipy.special.erf, "sigmoid": scipy.special.expit,
    "floor": np.floor, "ceil": np.ceil, "round": np.rint, "trunc": np.trunc,
}  # fmt: skip
BINARY = {
    "pow": np.power, "atan2": np.arctan2, "mod": np.remainder, "floor_divide": np.floor_divide,
    "maximum": np.maximum, "minimum": np.minimum,
}  # fmt: skip
SPECIAL = [
    0.0, -0.0, np.inf, -np.inf, np.nan, 5e-324, -1e-310, 2.3e-308, 1.7e308, -1.7e308, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5,
    709.7, 710.0, -745.0, 1e15, 2.0**52, 2.0**53 + 2, 1e22, 1e300, np.pi, 1048576.0,
]  # fmt: skip


def _values() -> Array:
    rng = np.random.default_rng(0)
    every = np.exp(rng.uniform(-700, 700, 400)) * rng.choice([-1, 1], 400)
    return np.concatenate([SPECIAL, every, rng.uniform(-20, 20, 400), rng.uniform(-1, 1, 400)])


def _hold(name: str, form: str, inputs: tuple[Array, ...], expected: Array, answer: Array, limit: float) -> None:
    with np.errstate(all="ignore"):
        off = np.abs(answer - expected) / np.maximum(np.abs(expected), 2.3e-308)
    same = (answer == expected) | (np.isnan(answer) & np.isnan(expected))
    bad = ~(same | (np.isfinite(answer) & (off <= limit)) | (np.abs(answer - expected) <= 1e-322))
    first = [(*(float(x[bad][i]) for x in inputs), expected[bad][i], answer[bad][i]) for i in range(min(4, bad.sum()))]
    assert not bad.any(), f"{name} on {form}: (x, expected, got) {first}"
    signs = np.signbit(answer) == np.signbit(expected)
    assert (signs | np.isnan(expected)).all(), f"{name} on {form}: signs of zero"


@pytest.mark.parametrize("forms", FORMS)
def test_functions_of_float64_are_right_to_the_last_places(forms: tuple[str, ...]) -> None:
    x = _values()
    pairs = np.concatenate([SPECIAL, np.random.default_rng(1).uniform(-5, 5, 30)])
    a, b = (np.ascontiguousarray(v).ravel() for v in np.meshgrid(pairs, pairs))
    cases = [Case(ops.get(name), (x,), {}) for name in UNARY]
    cases += [Case(ops.get(name), (a, b), ops.get(name).bind({})) for name in BINARY]
    graph, feeds = graph_of(cases)
    for form, (answers,) in run_forms(graph, [(feeds, {})], forms):
        for at, (name, function) in enumerate({**UNARY, **BINARY}.items()):
            with np.errstate(all="ignore"):
                expected = function(*cases[at].arrays)
                limit = POWERS if name == "pow" else PRECISION
                _hold(name, form, cases[at].arrays, expected, answers[f"y{at}"], limit)


def half_conversions() -> list[Case]:
    """Return casts from every float16, and to it from all of them, from what lies between two and from beside that."""
    every = np.arange(65536, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)].astype(np.float64)
    between = np.sort(finite)[:-1] + np.diff(np.sort(finite)) / 2  # ties, and what lies just beside them
    beside = [between * (1 + 1e-9), between * (1 - 1e-9), [1e30, 65519.9]]
    wide = np.concatenate([every.astype(np.float64), between, *beside])
    cast = ops.get("cast")
    with np.errstate(invalid="ignore"):  # NumPy minds NaN that signal
        narrow = wide.astype(np.float32)
    return [Case(cast, (every,), {"dtype": "float32"}), Case(cast, (every,), {"dtype": "float64"}),
            Case(cast, (wide,), {"dtype": "float16"}), Case(cast, (narrow,), {"dtype": "float16"}),
            Case(cast, (every,), {"dtype": "bool"}),
            Case(ops.get("maximum"), (every, every[::-1].copy()), {})]  # fmt: skip


def hold_conversions(cases: Sequence[Case], answers: Mapping[str, Array], where: str) -> None:
    """Compare answers to `half_conversions`, the sign of zeros too."""
    for at, case in enumerate(cases):
        with np.errstate(all="ignore"):
            expected = case.row.oracle(*case.arrays, **case.attrs)
        answer = answers[f"y{at}"]
        assert expected.dtype == answer.dtype
        np.testing.assert_array_equal(expected, answer, f"{case} on {where}")
        if expected.dtype.kind == "f":
            assert (np.signbit(expected) == np.signbit(answer))[~np.isnan(expected)].all(), f"{case} on {where}"


@pytest.mark.parametrize("forms", FORMS)
def test_float16_is_converted_to_the_last_bit(forms: tuple[str, ...]) -> None:
    cases = half_conversions()
    graph, feeds = graph_of(cases)
    for form, (answers,) in run_forms(graph, [(feeds, {})], forms):
        hold_conversions(cases, answers, form)


@pytest.mark.parametrize("forms", FORMS)
def test_floats_beyond_every_integer_are_defined(forms: tuple[str, ...]) -> None:
    """NumPy promises nothing here; what docs/ops.md says is the same in every compiled form."""
    x = np.array([1e30, -1e30, np.nan, np.inf, 300.7, -1.5, 2.0**63], np.float32)
    lowest = -(2**63)
    wanted = {
        "int64": [lowest, lowest, lowest, lowest, 300, -1, lowest],
        "uint64": [2**63, 2**63, 2**63, 2**63, 300, 2**64 - 1, 2**63],
        "int32": [0, 0, 0, 0, 300, -1, 0],
        "uint8": [0, 0, 0, 0, 44, 255, 0],
    }
    kinds = ("float32", "float64")
    cases = [Case(ops.get("cast"), (x.astype(wide),), {"dtype": name}) for wide in kinds for name in wanted]
    graph, feeds = graph_of(cases)
    for form, (answers,) in run_forms(graph, [(feeds, {})], forms):
        for at, case in enumerate(cases):
            assert wanted[case.attrs["dtype"]] == answers[f"y{at}"].tolist(), f"{case} on {form}"
