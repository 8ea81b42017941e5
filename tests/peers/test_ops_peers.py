"""Every row of the op table against PyTorch's op: answers, dtypes and gradients of random cases, in both precisions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from op_cases import Case, random_case
from op_twins import ELEMENTWISE, LACKING, TWINS

from neurenix import ops
from neurenix.dtypes import dtype
from neurenix.errors import GraphError
from neurenix.ops import Family
from neurenix.ops.op import REQUIRED
from neurenix.tensor import Tensor, apply

pytestmark = pytest.mark.peers

Array = np.ndarray[Any, Any]

TOLERANCE = {"float64": 1e-9, "float32": 1e-5}

# Gradients that are a difference of nearly equal numbers: 1 - y * y, or y + 1, or what is left of a row of one or two
# elements, whose standardised values hardly depend on them, or of a mask that is the same for all keys. They are right
# to the weight's precision, not to their own.
CANCELLING = {"tanh", "elu", "selu", "celu", "standardize", "rms_norm", "attention"}

# PyTorch computes with these rows' constants in float32, even for float64: 1/6 in hardsigmoid's gradient, 1/alpha in
# celu's. Ours are in float64, so that there the two agree to float32's precision alone.
ROUNDED = {"hard_sigmoid", "celu"}


def test_every_row_has_its_twin_or_a_reason_to_have_none() -> None:
    assert sorted(ops.OPS) == sorted([*TWINS, *LACKING])
    assert all(len(reason.split()) > 5 for reason in LACKING.values())


def _case(name: str, seed: int, precision: str) -> Case:
    """Return a random case; the first of an elementwise row has the default attributes, PyTorch's own."""
    row = ops.get(name)
    case = random_case(row, seed, precision)
    if seed == 0 and row.family is Family.ELEMENTWISE and REQUIRED not in row.attrs.values():
        case = Case(row, case.arrays, row.bind({}))
    if name == "gru":  # the other way is ONNX's alone
        case = Case(row, case.arrays, {**case.attrs, "linear_before_reset": True})
    return case


def _near(expected: Array, actual: Array, tolerance: float, case: Case, what: str, floor: float = 0.0) -> None:
    """Compare each element: relatively, or where many are summed up against the largest, or against `floor`."""
    assert expected.shape == actual.shape, what
    assert expected.dtype == actual.dtype, what
    if expected.dtype.kind != "f":
        np.testing.assert_array_equal(expected, actual, err_msg=what)
        return
    largest = float(np.abs(expected[np.isfinite(expected)]).max(initial=0))
    if case.row.family is Family.ELEMENTWISE:
        largest = min(largest, 1.0)
    largest = max(largest, floor)
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * largest, err_msg=what)


@pytest.mark.filterwarnings("ignore:index_reduce:UserWarning")  # in beta, PyTorch says
@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", TWINS)
def test_answers_and_gradients_equal_pytorchs(name: str, seed: int, precision: str) -> None:
    case, tolerance = _case(name, seed, precision), TOLERANCE[precision]
    arrays = [np.array(a) for a in case.arrays]
    ours = [Tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    theirs = [torch.from_numpy(a.copy()).requires_grad_(a.dtype.kind == "f") for a in arrays]
    y, z = apply(name, *ours, **case.attrs), TWINS[name](*theirs, **case.attrs)
    what = f"{name} {dict(case.attrs)} of {[a.shape for a in case.arrays]}"
    _near(z.detach().numpy(), y.numpy(), tolerance, case, what)

    weight = np.random.default_rng(seed).standard_normal(tuple(z.shape))
    weight = np.asarray(weight, y.numpy().dtype)
    if y.requires_grad:
        y.backward(weight)
    if z.requires_grad:
        z.backward(torch.from_numpy(weight))
    floor = float(np.abs(weight).max(initial=0)) if name in CANCELLING else 0.0
    tolerance = TOLERANCE["float32"] if name in ROUNDED else tolerance
    for i, (a, b, array) in enumerate(zip(ours, theirs, arrays)):
        # no gradient is one of zeros, to either library
        expected, actual = (np.zeros_like(array) if t.grad is None else t.grad.numpy() for t in (b, a))
        _near(expected, actual, tolerance, case, f"gradient of input {i} of {what}", floor)


# ── where functions bend, break off and end ─────────────────────────────────────────────────────────

CORNERS = np.array([0, -0.0, 0.5, -0.5, 1, -1, 1.5, -1.5, 2.5, -2.5, 3, -3, 6, -6, 30, -30])
EXTREMES = np.array([*CORNERS, 1e30, -1e30, np.inf, -np.inf, np.nan])
WHOLE = {
    "int64": np.array([0, 1, -1, 2, 3, -3, 7, -7, 100]),
    "int32": np.array([0, 1, -1, 2, 3, -3, 7, -7, 100], np.int32),
    "uint8": np.array([0, 1, 2, 7, 100, 255], np.uint8),
    "bool": np.array([False, True]),
}
WITH_DEFAULTS = [n for n in ELEMENTWISE if REQUIRED not in ops.get(n).attrs.values() and n != "where"]


def _grid(name: str, points: Array) -> list[Array]:
    """Return all combinations of points, but for those that PyTorch answers otherwise, or not at all."""
    grid = [a.ravel() for a in np.meshgrid(*[points] * ops.get(name).arity, indexing="ij")]
    keep = np.ones(grid[0].shape, bool)
    if name == "sign":
        keep = ~np.isnan(grid[0])  # PyTorch's sign of NaN is 0; ours stays NaN, as NumPy's
    elif name == "prelu":
        keep = np.isfinite(grid[1])  # `torch.where` of x and slope * x has 0 * inf where it takes neither
    elif name in ("floor_divide", "mod") and points.dtype.kind in "iu":
        keep = grid[1] != 0  # PyTorch raises; ours is 0, as NumPy's
    elif name.endswith("shift"):
        keep = (grid[1] >= 0) & (grid[1] < 8)  # beyond the width PyTorch leaves it open
    return [np.array(a[keep]) for a in grid]


@pytest.mark.parametrize("name", WITH_DEFAULTS)
def test_extreme_values_give_pytorchs_answers(name: str) -> None:
    row, compared = ops.get(name), 0
    for points in (EXTREMES, *WHOLE.values()):
        grid = _grid(name, points)
        try:
            row.infer_dtype([dtype(a.dtype) for a in grid], row.bind({}))
        except GraphError:
            continue  # not a dtype of this row
        expected = TWINS[name](*map(torch.from_numpy, grid), **row.bind({})).numpy()
        actual = apply(name, *map(Tensor, grid)).numpy()
        assert expected.dtype == actual.dtype
        np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=0, err_msg=f"{name} of {points.dtype}")
        compared += 1
    assert compared


# Where PyTorch chooses otherwise, deliberately or out of a function's domain.
OTHER_SLOPES = {
    # equal ones: the first takes the gradient, as in the C kernels' comparison; PyTorch halves it
    "maximum": lambda a, b: a == b,
    "minimum": lambda a, b: a == b,
    # outside of the domain, or at its end, where the slope is infinite, of either sign, or is none
    "acosh": lambda x: x <= 1,
}


@pytest.mark.parametrize("name", [n for n in WITH_DEFAULTS if not n.startswith("bitwise")])
def test_slopes_at_corners_are_pytorchs(name: str) -> None:
    grid = _grid(name, CORNERS)
    if name in OTHER_SLOPES:
        keep = ~OTHER_SLOPES[name](*grid)
        grid = [a[keep] for a in grid]
    ours, theirs = [Tensor(a, requires_grad=True) for a in grid], [torch.from_numpy(a).requires_grad_() for a in grid]
    y, z = apply(name, *ours), TWINS[name](*theirs, **ops.get(name).bind({}))
    if y.requires_grad:
        y.sum().backward()
    if z.requires_grad:
        z.sum().backward()
    tolerance = 1e-6 if name in ROUNDED else 1e-9
    for i, (a, b) in enumerate(zip(ours, theirs)):
        expected, actual = (np.zeros_like(grid[i]) if t.grad is None else t.grad.numpy() for t in (b, a))
        np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=1e-12, err_msg=f"{name}, input {i}")
