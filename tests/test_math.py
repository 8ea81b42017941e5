"""The functions of nx_math.h: the error that each states, measured over all float32 exponents."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import scipy.special
from op_cases import NATIVE, WASM, Array, Case, graph_of, run_forms

from neurenix import expr as ex
from neurenix import ops
from neurenix.resources import resource

# The right answers, in float64. sqrt is an instruction and not a function of ours.
EXACT: dict[str, Callable[..., Array]] = {
    **{name: getattr(np, name) for name in (
        "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh"
    )},
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan,
    "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh,
    "erf": scipy.special.erf, "sigmoid": scipy.special.expit,
}  # fmt: skip
EXACT_OF_TWO: dict[str, Callable[..., Array]] = {
    "pow": np.power, "atan2": np.arctan2, "fmod": np.fmod, "mod": np.remainder, "floordiv": np.floor_divide
}  # fmt: skip
ROUNDINGS: dict[str, Callable[..., Array]] = {
    "floor": np.floor, "ceil": np.ceil, "round": np.rint, "trunc": np.trunc
}  # fmt: skip


def _stated() -> dict[str, float]:
    """Return the bound that the headers state for each function, 0 for what they call exact."""
    bounds = {"sqrt": 0.5}
    for path in (resource("kernels", "c")).iterdir():
        if path.name in ("nx_exp.h", "nx_wide.h", "nx_trig.h", "nx_round.h"):
            text = path.read_text(encoding="utf-8")
            for comment, name in re.findall(r"((?://[^\n]*\n)+)NX_INLINE nx_f32 nx_(\w+)\(nx_f32 ", text):
                found = re.search(r"[Aa]t most ([\d.]+) ulp", comment)
                if found or "Exact" in comment:
                    bounds[name] = float(found.group(1)) if found else 0.0
    return bounds


BOUNDS = _stated()
FORMS = [
    *(pytest.param(form, marks=pytest.mark.zig) for form in NATIVE),
    *(pytest.param(form, marks=[pytest.mark.zig, pytest.mark.wasm]) for form in WASM),
]


def _near(centre: float, count: int = 400) -> Array:
    """Return the floats around a branch point, one by one."""
    bits = np.float32(centre).view(np.int32) + np.arange(-count, count + 1, dtype=np.int32)
    return bits.view(np.float32)


def _arguments() -> Array:
    """Return all exponents and both signs with 64 mantissas each, and the neighbourhoods of the branch points."""
    rng = np.random.default_rng(0)
    exponents = np.arange(256, dtype=np.uint32)[:, None] << np.uint32(23)
    mantissas = np.concatenate([[0, 1, (1 << 23) - 1], rng.integers(0, 1 << 23, 61)]).astype(np.uint32)
    positive = (exponents | mantissas).ravel().view(np.float32)
    points = [0.625, np.sqrt(0.5), 1.0, np.sqrt(2.0), 88.72284, 87.33655, 103.97208, 104.0, 89.0, np.log(2) / 2]
    points += [0.5, 0.92, 4.0, 17.33, 8388608.0, 131072.0, np.pi / 4, np.pi, 1e8 * np.pi, 128.0, np.tan(np.pi / 8)]
    spread = np.concatenate([_near(p) for p in points]).astype(np.float32)
    usual = rng.uniform(0, 104, 20000).astype(np.float32)
    log_range = np.exp(rng.uniform(-1.0, 1.0, 20000)).astype(np.float32)
    magnitudes = np.concatenate([positive, spread, usual, log_range])
    return np.concatenate([magnitudes, -magnitudes])


@pytest.fixture(scope="module")
def arguments() -> Array:
    return _arguments()


def _ulps(x: Array, answer: Array, exact: Array) -> Array:
    """Return each error in units in the last place, denormals by their own spacing; infinite for a wrong NaN or inf."""
    with np.errstate(all="ignore"):
        rounded = exact.astype(np.float32)
        unit = np.spacing(np.minimum(np.abs(rounded), np.finfo(np.float32).max)).astype(np.float64)
        error = np.abs(answer.astype(np.float64) - exact) / unit
    error[np.isnan(exact) & np.isnan(answer)] = 0
    error[rounded == answer] = np.fmin(error[rounded == answer], 0.5)  # two infinities differ by NaN
    return np.where(np.isnan(error), np.inf, error)


def _map(name: str, *arrays: Array) -> Case:
    row = ops.get("map")
    return Case(row, arrays, row.bind({"expr": ex.call(name, *map(ex.operand, range(len(arrays))))}))


def _answers(cases: Mapping[str, Case], form: str) -> dict[str, Array]:
    graph, feeds = graph_of(list(cases.values()))
    found = list(run_forms(graph, [(feeds, {})], [form]))
    if not found:
        pytest.skip(f"this CPU has not the instructions of {form}")
    ((_, (answers,)),) = found
    return {name: answers[f"y{at}"] for at, name in enumerate(cases)}


def _beyond(answers: Mapping[str, Array], exact: Mapping[str, Array], arguments: Array, form: str) -> dict[str, Any]:
    """Return the functions whose largest error is more than they state, with that error and where it is."""
    beyond = {}
    for name, answer in answers.items():
        ulps = _ulps(arguments, answer, exact[name])
        place = int(np.argmax(ulps))
        print(f"{form} {name}: {ulps[place]:.3f} ulp at {arguments[place]!r}")
        if not ulps[place] <= max(BOUNDS[name], 0.5):
            beyond[name] = (float(ulps[place]), arguments[place], float(answer[place]))
        signs = np.signbit(answer) == np.signbit(exact[name])
        wrong = ~(signs | np.isnan(exact[name]))
        if wrong.any():
            beyond[f"sign of {name}"] = arguments[wrong][:3]
    return beyond


@pytest.mark.parametrize("form", FORMS)
def test_stated_errors_hold(form: str, arguments: Array) -> None:
    answers = _answers({name: _map(name, arguments) for name in EXACT}, form)
    with np.errstate(all="ignore"):
        exact = {name: function(arguments.astype(np.float64)) for name, function in EXACT.items()}
    assert {} == _beyond(answers, exact, arguments, form)


def _pairs() -> tuple[Array, Array]:
    """Return two arguments each: the special values with one another, and random ones of every exponent."""
    rng = np.random.default_rng(1)
    special = np.array([np.nan, np.inf, -np.inf, 0, -0.0, 1e-45, -1e-45, 1e-40, 1, -1, 0.5, -0.5, 2, -2, 3, -3, 1e38,
                        -1e38, 16777216, 16777215, -16777217, 2.5, -2.5, 1e-20], np.float32)  # fmt: skip
    a = [np.repeat(special, len(special)), rng.uniform(-10, 10, 9000), np.exp(rng.uniform(-20, 20, 9000)),
         1 + rng.uniform(-0.01, 0.01, 9000), rng.integers(-50, 50, 9000)]  # fmt: skip
    b = [np.tile(special, len(special)), rng.uniform(-10, 10, 9000), rng.uniform(-9, 9, 9000),
         rng.uniform(-8000, 8000, 9000), rng.integers(-9, 9, 9000)]  # fmt: skip
    bits = rng.integers(0, 2**32, (2, 20000), dtype=np.uint32).view(np.float32)
    with np.errstate(invalid="ignore"):
        return np.concatenate([*a, bits[0]]).astype(np.float32), np.concatenate([*b, bits[1]]).astype(np.float32)


@pytest.mark.parametrize("form", FORMS)
def test_functions_of_two_arguments_keep_every_special_case(form: str) -> None:
    a, b = _pairs()
    answers = _answers({name: _map(name, a, b) for name in EXACT_OF_TWO}, form)
    exact = {}
    with np.errstate(all="ignore"):
        for name, function in EXACT_OF_TWO.items():
            wide = name in ("pow", "atan2")  # the others are defined by the floats that they give
            exact[name] = (
                function(*(x.astype(np.float64) for x in (a, b))) if wide else function(a, b).astype(np.float64)
            )
    assert {} == _beyond(answers, exact, np.stack([a, b], axis=1), form)


@pytest.mark.parametrize("form", FORMS)
def test_roundings_are_exact(form: str, arguments: Array) -> None:
    halves = np.arange(-9, 9, 0.5, dtype=np.float32)
    x = np.concatenate([halves, arguments])
    answers = _answers({name: _map(name, x) for name in ROUNDINGS}, form)
    for name, function in ROUNDINGS.items():
        with np.errstate(all="ignore"):
            expected = function(x)
        np.testing.assert_array_equal(expected, answers[name], name)
        np.testing.assert_array_equal(np.signbit(expected[~np.isnan(x)]), np.signbit(answers[name][~np.isnan(x)]), name)


@pytest.mark.zig
def test_powers_that_a_float_holds_are_exact() -> None:
    base = np.arange(-40, 41, dtype=np.float32)
    for exponent in (4.0, 1.0, 0.0, -1.0):
        exact = base.astype(np.float64) ** exponent if exponent >= 0 else 1 / np.where(base == 0, np.inf, base)
        kept = (exact.astype(np.float32) == exact) & (base != 0)
        answers = _answers({"pow": _map("pow", base, np.full_like(base, exponent))}, NATIVE[-1])
        np.testing.assert_array_equal(exact[kept], answers["pow"][kept])


@pytest.mark.zig
def test_exact_values_stay_exact() -> None:
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0], np.float32)
    for form in NATIVE[-1:]:
        answers = _answers({name: _map(name, x) for name in ("exp", "log", "tanh", "sqrt", "log2", "sin", "erf")}, form)
        np.testing.assert_array_equal(np.array([1, 1, np.inf, 0, np.nan, np.float32(np.e)], "f4"), answers["exp"])
        np.testing.assert_array_equal([-np.inf, -np.inf, np.inf, np.nan, np.nan, 0], answers["log"])
        np.testing.assert_array_equal([0, 0, 1, -1, np.nan], answers["tanh"][:5])
        np.testing.assert_array_equal([0, 0, np.inf, np.nan, np.nan, 1], answers["sqrt"])
        np.testing.assert_array_equal([0, 0, np.nan, np.nan, np.nan], answers["sin"][:5])
        np.testing.assert_array_equal([0, 0, 1, -1, np.nan], answers["erf"][:5])
        powers = np.float32(2) ** np.arange(-149, 128, dtype=np.float32)
        answers = _answers({"log2": _map("log2", powers)}, form)
        np.testing.assert_array_equal(np.arange(-149, 128), answers["log2"])


def test_every_function_states_its_bound() -> None:
    functions = {
        row.name for row in ex.PRIMITIVES.values() if row.kind == "float" and row.c.startswith("nx_")
    } - {"to_float"}  # fmt: skip
    assert {*EXACT, "atan2"} == functions
    assert {*functions, *EXACT_OF_TWO} <= {*BOUNDS}


@pytest.mark.parametrize(("precision", "bound"), [("float32", 2.0), ("float64", 4.0)])
def test_numpys_missing_error_function_is_as_good(precision: str, bound: float) -> None:
    x = np.concatenate([np.linspace(-7, 7, 20001), np.logspace(-300, 0, 300), [np.inf, -np.inf]]).astype(precision)
    exact = scipy.special.erf(x.astype(np.float64))
    answer = ex.evaluate(ex.erf(ex.operand(0)), [x])
    assert precision == answer.dtype
    unit = np.spacing(np.maximum(np.abs(exact.astype(precision)), np.finfo(precision).tiny)).astype(np.float64)
    assert bound >= (np.abs(answer.astype(np.float64) - exact) / unit).max()
    assert np.isnan(ex.evaluate(ex.erf(ex.operand(0)), [np.array([np.nan], precision)])[0])
