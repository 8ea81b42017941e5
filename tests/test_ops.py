"""Every row of the op table: eager answers and gradients against independent definitions, and the oracles too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from op_cases import Case, assert_close, random_case, rows
from op_strategies import cases

from neurenix import autograd, ops
from neurenix.dtypes import dtype
from neurenix.errors import GraphError
from neurenix.ops import Family, Op
from neurenix.ops.convolution import to_last
from neurenix.tensor import Tensor, apply

ROWS = pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)


@ROWS
def test_every_row_can_be_sampled_and_explains_itself(row: Op) -> None:
    assert row.family is Family.ELEMENTWISE or row.samples is not None
    assert row.doc.endswith(".")
    case = random_case(row, 0)
    made = row.infer_dtype([dtype(a.dtype) for a in case.arrays], case.attrs)
    assert row.expr is not None or row.gradient is not None or made.numpy.kind != "f"


@ROWS
@settings(max_examples=25)
@given(data=st.data())
def test_eager_answers_equal_the_oracle(row: Op, data: st.DataObject) -> None:
    case = data.draw(cases(row))
    answer = row.evaluate(case.arrays, case.attrs)
    assert row.infer([a.shape for a in case.arrays], case.attrs) == answer.shape
    assert row.infer_dtype([dtype(a.dtype) for a in case.arrays], case.attrs).numpy == answer.dtype
    with np.errstate(all="ignore"):
        wide = (a.astype(np.float64) if a.dtype.kind == "f" else a for a in case.arrays)
        expected = row.oracle(*wide, **case.attrs)
    # eager NumPy in float32 rounds each step of a chain, exp(x) among them
    assert_close(expected, answer, max(row.tolerance, 2e-5), row.name)


@pytest.mark.parametrize("row", rows(Family.ELEMENTWISE), ids=lambda row: row.name)
@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 1, 2)])
def test_elementwise_rows_keep_empty_tensors(row: Op, shape: tuple[int, ...]) -> None:
    case = random_case(row, 0)
    attrs = case.attrs if row.name != "map" else row.bind({"expr": ops.get("tanh").expression({})})
    arrays = [np.zeros(shape, a.dtype) for a in case.arrays][: row.arity if row.arity > 0 else 1]
    assert shape == row.evaluate(arrays, attrs).shape


def test_the_sum_of_nothing_is_zero_and_nothing_is_largest_nowhere() -> None:
    empty = Tensor(np.zeros((0, 3), np.float32))
    assert [0.0, 0.0, 0.0] == empty.sum(0).tolist()
    with pytest.raises(GraphError, match=r"op 'argmax'.*\[0, 3\]"):
        empty.argmax(0)


@ROWS
@settings(max_examples=12)
@given(data=st.data())
def test_gradients_equal_central_differences(row: Op, data: st.DataObject) -> None:
    case = data.draw(cases(row, "float64"))
    if row.domain == (-80, 80):  # there the function is flat, or too steep for a difference
        case = Case(row, tuple(a / 20 for a in case.arrays), case.attrs)
    rng = np.random.default_rng(0)
    inputs = [Tensor(a, requires_grad=a.dtype.kind == "f") for a in case.arrays]
    y = apply(row.name, *inputs, **case.attrs)
    if not y.requires_grad:  # whole numbers and conditions have no slope
        assert y.dtype.numpy.kind != "f" or not any(x.requires_grad for x in inputs)
        return
    if "float32" in (y.dtype.name, *(x.dtype.name for x in inputs)):  # a cast: it rounds the steps away
        return
    weight = rng.standard_normal(y.numpy().shape)
    y.backward(weight)
    for i, x in enumerate(inputs):
        assert x.grad is None or (x.shape, x.dtype) == (x.grad.shape, x.grad.dtype)
        if not x.requires_grad or x.size == 0:
            continue
        ways = rng.standard_normal(x.numpy().shape)
        expected = _slope(case, i, ways, weight)
        found = 0.0 if x.grad is None else float((x.grad.numpy() * ways).sum())
        if row.name.endswith(("max_pool2d_scatter", "max_pool2d_gather")) and i == 0:
            assert x.grad is None  # the choice of the winners is flat
        assert expected == pytest.approx(found, rel=2e-5, abs=2e-6 * (1 + float(np.abs(weight).sum()))), f"input {i}"


def _slope(case: Case, index: int, ways: np.ndarray[Any, Any], weight: np.ndarray[Any, Any]) -> float:
    step = 1e-6 * max(1.0, float(np.abs(case.arrays[index]).min(initial=1.0)))
    if case.row.domain[0] > 0:  # a step must not leave a domain that is open at 0
        step = min(step, 1e-4 * float(case.arrays[index].min(initial=1.0)))
    sides = []
    for sign in (1, -1):
        moved = [a + sign * step * ways if i == index else a for i, a in enumerate(case.arrays)]
        with np.errstate(all="ignore"):
            sides.append(float((case.row.evaluate(moved, case.attrs) * weight).sum()))
    return (sides[0] - sides[1]) / (2 * step)


SMOOTH = ["mul", "div", "exp", "log", "sqrt", "tanh", "sigmoid", "silu", "pow", "expm1", "log1p", "sin", "atan",
          "asinh", "erf", "gelu", "softplus", "mish", "elu", "log_sigmoid", "sum", "permute", "matmul", "conv2d",
          "im2col", "col2im", "max_pool2d", "softmax", "log_softmax", "avg_pool2d", "adaptive_avg_pool2d",
          "adaptive_max_pool2d", "standardize", "rms_norm", "moments", "scale_shift", "product_sum", "linear",
          "biased_conv2d", "relu_gradient"]  # fmt: skip


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_can_be_differentiated_again(name: str) -> None:
    case = random_case(ops.get(name), 3, "float64")
    if case.row.domain == (-80, 80):
        case = Case(case.row, tuple(a / 40 for a in case.arrays), case.attrs)
    rng = np.random.default_rng(3)
    inputs = [Tensor(a, requires_grad=True) for a in case.arrays]
    shape = apply(name, *inputs, **case.attrs).numpy().shape
    weight, ways = rng.standard_normal(shape), rng.standard_normal(case.arrays[0].shape)

    def first(arrays: list[Any]) -> Tensor:
        tensors = [Tensor(a, requires_grad=True) for a in arrays]
        y = apply(name, *tensors, **case.attrs)
        part = autograd._gradients(y, Tensor(weight, requires_grad=True))[0]
        assert part is not None
        sources.append(tensors[0])
        return (part * Tensor(ways)).sum()

    sources: list[Tensor] = []
    result = first(list(case.arrays))
    result.backward()
    found = sources[0].grad
    step, move = 1e-6, rng.standard_normal(case.arrays[0].shape) * np.abs(case.arrays[0])
    up, down = (first([case.arrays[0] + s * step * move, *case.arrays[1:]]).item() for s in (1, -1))
    slope = 0.0 if found is None else float((found.numpy() * move).sum())
    assert (up - down) / (2 * step) == pytest.approx(slope, rel=1e-4, abs=1e-5 * (1 + abs(result.item())))


# ── the oracles themselves ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_softmax_oracles_equal_scipys(axis: int) -> None:
    x = np.random.default_rng(0).uniform(-50, 50, (3, 4, 5))
    np.testing.assert_allclose(scipy.special.softmax(x, axis), ops.get("softmax").oracle(x, axis=axis), rtol=1e-13)
    np.testing.assert_allclose(
        scipy.special.log_softmax(x, axis), ops.get("log_softmax").oracle(x, axis=axis), rtol=1e-13
    )


def test_sigmoid_oracle_equals_scipys() -> None:
    x = np.linspace(-700, 700, 2001)
    np.testing.assert_allclose(scipy.special.expit(x), ops.get("sigmoid").oracle(x), rtol=1e-13)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_conv2d_oracle_equals_scipys_correlation(seed: int, layout: str) -> None:
    case = random_case(ops.get("conv2d"), seed, "float64")
    x, w = case.arrays
    (sh, sw), (dh, dw), around = case.attrs["stride"], case.attrs["dilation"], case.attrs["padding"]
    top, left, bottom, right = around if len(around) == 4 else (*around, *around)
    spread = np.zeros((*w.shape[:2], dh * (w.shape[2] - 1) + 1, dw * (w.shape[3] - 1) + 1))
    spread[:, :, ::dh, ::dw] = w
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    expected = np.stack([
        np.stack([_correlated(image[_group(o, case)], kernel)[0, ::sh, ::sw]
                  for o, kernel in enumerate(spread)])
        for image in padded
    ])  # fmt: skip
    if layout == "NHWC":
        w = to_last(w, case.attrs["groups"])
        x, expected = x.transpose(0, 2, 3, 1), expected.transpose(0, 2, 3, 1)
    answer = ops.get("conv2d").oracle(x, w, **{**case.attrs, "layout": layout})
    np.testing.assert_allclose(expected, answer, atol=1e-12)


def _correlated(image: np.ndarray[Any, Any], kernel: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return SciPy's correlation where the kernel lies inside the image. scipy.signal takes a second to import."""
    whole = scipy.ndimage.correlate(image, kernel, mode="constant")
    return whole[tuple(slice(k // 2, k // 2 + n - k + 1) for n, k in zip(image.shape, kernel.shape))]


def _group(channel: int, case: Case) -> slice:
    """Return the channels of the image that an output channel of a grouped convolution is made from."""
    inner = case.arrays[1].shape[1]
    group = channel // (case.arrays[1].shape[0] // case.attrs["groups"])
    return slice(group * inner, (group + 1) * inner)
