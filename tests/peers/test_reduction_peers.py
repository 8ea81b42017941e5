"""Reductions, scans and sorting against PyTorch's methods of the same names: values, indices and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from neurenix.tensor import Tensor

pytestmark = pytest.mark.peers

X = np.random.default_rng(0).standard_normal((3, 4, 5))
TIED = np.random.default_rng(1).integers(-1, 2, (3, 4, 5)).astype(np.float64)  # equal ones and zeros everywhere
NAN = np.where(np.random.default_rng(2).random((3, 4, 5)) < 0.2, np.nan, TIED)
METHODS: dict[str, Callable[[Any], Any]] = {
    "sum": lambda x: x.sum(),
    "sum dim": lambda x: x.sum((0, -1), keepdim=True),
    "mean": lambda x: x.mean(1),
    "prod": lambda x: x.prod(),
    "prod dim": lambda x: x.prod(-1, keepdim=True),
    "amax": lambda x: x.amax((0, 2)),
    "amin": lambda x: x.amin((0, 2), keepdim=True),
    "max": lambda x: x.max(),
    "min": lambda x: x.min(),
    "max dim": lambda x: x.max(1),
    "min dim": lambda x: x.min(-1, keepdim=True),
    "argmax": lambda x: x.argmax(),
    "argmax dim": lambda x: x.argmax(1, keepdim=True),
    "argmin": lambda x: x.argmin(0),
    "any": lambda x: x.any(0),
    "all": lambda x: x.all(),
    "var": lambda x: x.var(),
    "var biased": lambda x: x.var(1, unbiased=False),
    "var correction": lambda x: x.var((0, 2), correction=3, keepdim=True),
    "std": lambda x: x.std(2),
    "std of constants": lambda x: (x * 0).std(2),
    "variance of one": lambda x: x.reshape(60, 1).var(1),
    "norm": lambda x: x.norm(),
    "norm of zeros": lambda x: (x * 0).norm(dim=1),
    "norm 1": lambda x: x.norm(1, 1),
    "norm 3": lambda x: x.norm(3, (0, 1), keepdim=True),
    "norm inf": lambda x: x.norm(float("inf"), 1),
    "norm 0": lambda x: x.norm(0, 2),
    "logsumexp": lambda x: (x * 500).logsumexp(1),
    "logsumexp dims": lambda x: x.logsumexp((0, 2), keepdim=True),
    "count_nonzero": lambda x: x.count_nonzero(1),
    "cumsum": lambda x: x.cumsum(1),
    "cumprod": lambda x: x.cumprod(-1),
    "argsort": lambda x: x.argsort(dim=1, stable=True),
    "argsort descending": lambda x: x.argsort(descending=True, stable=True),
    "sort": lambda x: x.sort(dim=1, stable=True),
    "sort descending": lambda x: x.sort(dim=0, descending=True, stable=True),
    "topk": lambda x: x.topk(3),
    "topk smallest": lambda x: x.topk(2, 0, largest=False),
    "kthvalue": lambda x: x.kthvalue(2),
    "kthvalue dim": lambda x: x.kthvalue(3, 0, keepdim=True),
    "median": lambda x: x.median(),
    "median odd": lambda x: x.median(2),
    "median even": lambda x: x.median(1, keepdim=True),
    "median of a scalar": lambda x: x.sum().median(0),
    "quantile": lambda x: x.quantile(0.3),
    "quantile ends": lambda x: x.quantile(1.0, 1) + x.quantile(0.0, 1),
    "quantile dim": lambda x: x.quantile(0.77, -1, keepdim=True),
    "quantile lower": lambda x: x.quantile(0.4, 1, interpolation="lower"),
    "quantile higher": lambda x: x.quantile(0.4, 1, interpolation="higher"),
    "quantile midpoint": lambda x: x.quantile(0.4, 0, keepdim=True, interpolation="midpoint"),
    "quantile nearest": lambda x: x.quantile(0.5, 1, interpolation="nearest"),
    "a scalar": lambda x: x.sum().max(0),
}
# PyTorch does not say which of equal elements these point at, and where one is NaN there is no gradient to agree on.
ANY_OF_EQUAL = [name for name in METHODS if name.startswith(("topk", "kthvalue", "median ", "quantile"))]


@pytest.mark.filterwarnings("ignore:.*degrees of freedom")
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("data", [X, TIED], ids=["distinct", "tied"])
def test_methods_and_their_gradients_equal_pytorchs(name: str, data: np.ndarray[Any, Any]) -> None:
    if data is TIED and name in ANY_OF_EQUAL:
        data = -X
    mine, theirs = Tensor(data, requires_grad=True), torch.tensor(data, requires_grad=True)
    y, expected = METHODS[name](mine), METHODS[name](theirs)
    _compare(expected, y)
    if isinstance(y, tuple):
        y, expected = y.values, expected.values
    if y.dtype.numpy.kind == "f" and name != "norm 0":
        weight = np.random.default_rng(3).standard_normal(y.shape)
        expected.backward(torch.tensor(weight))
        y.backward(weight)
        np.testing.assert_allclose(theirs.grad.numpy(), mine.grad.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.filterwarnings("ignore:.*degrees of freedom")
@pytest.mark.parametrize("name", METHODS)
def test_nan_goes_where_pytorch_has_it(name: str) -> None:
    expected, found = METHODS[name](torch.tensor(NAN)), METHODS[name](Tensor(NAN))
    if name in ANY_OF_EQUAL and isinstance(found, tuple):
        expected, found = expected.values, found.values
    _compare(expected, found)


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool"])
def test_dtypes_of_integer_results_are_pytorchs(dtype: str) -> None:
    data = np.array([[1, 0, 3], [4, 5, 0]]).astype(dtype)
    for name in ("sum", "prod", "any", "all", "count_nonzero", "cumsum", "cumprod", "argsort", "argmax"):
        if (name, dtype) in (("argmax", "bool"), ("any", "uint8"), ("all", "uint8")):
            continue  # PyTorch has no argmax of bool, and answers 0 and 1 for uint8
        arguments = (1,) if name in ("cumsum", "cumprod") else ()
        expected = getattr(torch.tensor(data), name)(*arguments)
        _compare(expected, getattr(Tensor(data), name)(*arguments))


def test_quantiles_of_several_shares_equal_pytorchs() -> None:
    shares = [0.0, 0.25, 0.5, 1.0]
    for options in ({}, {"keepdim": True}, {"dim": 1}, {"dim": -1, "keepdim": True}):
        expected = torch.tensor(X).quantile(torch.tensor(shares, dtype=torch.float64), **options)
        _compare(expected, Tensor(X).quantile(shares, **options))


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_medians_and_kth_values_of_equal_and_missing_elements_equal_pytorchs(dim: int) -> None:
    for data in (TIED, NAN, TIED.astype(np.int64)):
        expected, found = torch.tensor(data).median(dim).values, Tensor(data).median(dim)
        _compare(expected, found.values)
        taken = np.take_along_axis(data, np.expand_dims(found.indices.numpy(), dim), dim).squeeze(dim)
        np.testing.assert_array_equal(expected.numpy(), taken)
        _compare(torch.tensor(data).median(), Tensor(data).median())
        if data is not NAN:
            _compare(torch.tensor(data).kthvalue(2, dim).values, Tensor(data).kthvalue(2, dim).values)


def _compare(expected: Any, found: Any) -> None:
    if isinstance(found, tuple):
        for a, b in zip((expected.values, expected.indices), found, strict=True):
            _compare(a, b)
        return
    assert str(expected.dtype).removeprefix("torch.") == found.dtype.name
    np.testing.assert_allclose(expected.detach().numpy(), found.numpy(), rtol=1e-9, atol=1e-12)
