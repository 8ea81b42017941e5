"""Every kernel and every map, compiled for each form of this machine, against the oracles in float64."""

from __future__ import annotations

import numpy as np
import pytest
from op_cases import FORMS, Case, answers_of, assert_close, random_case, rows
from op_strategies import collected

from neurenix import ops
from neurenix.compiler.passes.lower import LOWERINGS
from neurenix.ops import Family

SPECIAL = np.array(
    [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-45, 1e-40, -1e-40, 1.1754944e-38, 3.4028235e38, -3.4028235e38,
     1.0, -1.0, 0.5, 88.0, -87.0, -100.0, 1e-20, 1e20],
    dtype=np.float32,
)  # fmt: skip


def _compiled(cases: list[Case], forms: tuple[str, ...], relative: bool = False) -> None:
    for case, form, wanted, answer in answers_of(cases, forms):
        what = f"{case.row.name} {[a.shape for a in case.arrays]} {dict(case.attrs)} on {form}"
        assert_close(wanted, answer, case.row.tolerance, what, relative)


def _kernels() -> list[Case]:
    structured = [row for row in rows() if row.kernel is not None or row.name in LOWERINGS]
    return [case for row in structured for case in collected(row, 5)]


def _maps() -> list[Case]:
    cases = [case for row in rows(Family.ELEMENTWISE) if row.name != "map" for case in collected(row, 2)]
    return cases + [random_case(ops.get("map"), seed) for seed in range(200, 230)]


def _specials() -> list[Case]:
    cases = []
    for row in rows(Family.ELEMENTWISE):
        if row.name != "map":
            low, high = row.domain
            steep = -low == high > 10  # outside the domain of an exponential there is nothing to keep
            x = SPECIAL[~np.isfinite(SPECIAL) | (np.abs(SPECIAL) <= high)] if steep else SPECIAL
            case = random_case(row, 0)
            if row.arity in (1, 2) and all(a.dtype == np.float32 for a in case.arrays):
                arrays = (x,) if row.arity == 1 else (x[:, None], x[None, :])
                cases.append(Case(row, arrays, case.attrs))
    return cases


def _nan_rows() -> list[Case]:
    cases = []
    for seed in range(3):
        for name in ("softmax", "log_softmax", "standardize", "max_pool2d", "avg_pool2d", "adaptive_max_pool2d"):
            case = random_case(ops.get(name), seed)
            (x,) = (a.copy() for a in case.arrays)
            flat = x.reshape(-1)
            flat[:: max(1, flat.size // 5)] = np.nan
            flat[1 :: max(1, flat.size // 3)] = -np.inf
            cases.append(Case(case.row, (x,), case.attrs))
    return cases


@pytest.mark.parametrize("forms", FORMS)
def test_kernels_give_the_oracles_answers(forms: tuple[str, ...]) -> None:
    _compiled(_kernels(), forms)


@pytest.mark.parametrize("forms", FORMS)
def test_maps_give_the_oracles_answers(forms: tuple[str, ...]) -> None:
    _compiled(_maps(), forms)


@pytest.mark.parametrize("forms", FORMS)
def test_maps_keep_nan_infinity_and_denormals(forms: tuple[str, ...]) -> None:
    _compiled(_specials(), forms, relative=True)


@pytest.mark.parametrize("forms", FORMS)
def test_softmax_and_pools_pass_nan_on(forms: tuple[str, ...]) -> None:
    _compiled(_nan_rows(), forms)
