"""The functions of nx_math.h: the error that each states, measured over all float32 exponents."""

from __future__ import annotations

import re

import numpy as np
import pytest
from op_cases import NATIVE, WASM, Array, Case, graph_of, run_forms

from neurenix import ops
from neurenix.resources import resource

# The bounds that nx_math.h states, in units in the last place of the right answer.
BOUNDS = {"exp": 2.0, "log": 2.0, "tanh": 2.0, "sqrt": 0.5}
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


@pytest.mark.parametrize("form", FORMS)
def test_stated_errors_hold(form: str, arguments: Array) -> None:
    cases = [Case(ops.get(name), (arguments,), {}) for name in BOUNDS]
    graph, feeds = graph_of(cases)
    found = list(run_forms(graph, [(feeds, {})], [form]))
    if not found:
        pytest.skip(f"this CPU has not the instructions of {form}")
    ((_, (answers,)),) = found
    with np.errstate(all="ignore"):
        wide = arguments.astype(np.float64)
        exact = {"exp": np.exp(wide), "log": np.log(wide), "tanh": np.tanh(wide), "sqrt": np.sqrt(wide)}
    worst = {}
    for at, name in enumerate(BOUNDS):
        ulps = _ulps(arguments, answers[f"y{at}"], exact[name])
        place = int(np.argmax(ulps))
        worst[name] = (float(ulps[place]), float(arguments[place]), float(answers[f"y{at}"][place]))
        print(f"{form} {name}: {worst[name][0]:.3f} ulp at {worst[name][1]!r}")
    assert {} == {name: w for name, w in worst.items() if not w[0] <= BOUNDS[name]}


@pytest.mark.zig
def test_exact_values_stay_exact() -> None:
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0], np.float32)
    cases = [Case(ops.get(name), (x,), {}) for name in BOUNDS]
    graph, feeds = graph_of(cases)
    for _, (answers,) in run_forms(graph, [(feeds, {})], NATIVE):
        np.testing.assert_array_equal(np.array([1, 1, np.inf, 0, np.nan, np.float32(np.e)], "f4"), answers["y0"])
        np.testing.assert_array_equal(np.array([-np.inf, -np.inf, np.inf, np.nan, np.nan, 0], "f4"), answers["y1"])
        np.testing.assert_array_equal([0, 0, 1, -1, np.nan], answers["y2"][:5])
        assert [False, True] == np.signbit(answers["y2"][:2]).tolist()  # tanh(-0) is -0
        np.testing.assert_array_equal([0, 0, np.inf, np.nan, np.nan, 1], answers["y3"])


def test_every_bound_is_the_headers() -> None:
    text = (resource("kernels", "c") / "nx_math.h").read_text(encoding="utf-8")
    stated = {}
    for comment, name in re.findall(r"((?://[^\n]*\n)+)NX_INLINE nx_f32 nx_(\w+)\(nx_f32 x\)", text):
        found = re.search(r"[Aa]t most ([\d.]+) ulp", comment)
        assert found is not None, f"nx_{name} states no bound"
        stated[name] = float(found.group(1))
    assert stated == {name: bound for name, bound in BOUNDS.items() if name != "sqrt"}  # an instruction, not a function
