"""The initial weights: their spread, their bounds, their repeatability, and the layers' defaults."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import Tensor
from neurenix.errors import InputError
from neurenix.nn import Conv2d, Linear, init

Fill = Callable[[Tensor], Tensor]


def drawn(fill: Fill, shape: tuple[int, ...] = (200, 50, 2, 2)) -> np.ndarray[Any, Any]:
    neurenix.manual_seed(3)
    tensor = Tensor(np.zeros(shape, np.float32))
    assert fill(tensor) is tensor
    return tensor.numpy()


# fan_in of (200, 50, 2, 2) is 200, fan_out 800.
BOUNDS: list[tuple[Fill, float]] = [
    (lambda t: init.uniform_(t, -3, 3), 3.0),
    (lambda t: init.xavier_uniform_(t, gain=2.0), 2 * math.sqrt(6 / 1000)),
    (init.kaiming_uniform_, math.sqrt(6 / 200)),
    (lambda t: init.kaiming_uniform_(t, a=math.sqrt(5)), 1 / math.sqrt(200)),
    (lambda t: init.kaiming_uniform_(t, mode="fan_out", nonlinearity="tanh"), 5 / 3 * math.sqrt(3 / 800)),
]
DEVIATIONS: list[tuple[Fill, float]] = [
    (lambda t: init.normal_(t, 0, 0.3), 0.3),
    (init.xavier_normal_, math.sqrt(2 / 1000)),
    (init.kaiming_normal_, math.sqrt(2 / 200)),
    (lambda t: init.kaiming_normal_(t, mode="fan_out", nonlinearity="relu"), math.sqrt(2 / 800)),
]


@pytest.mark.parametrize(("fill", "bound"), BOUNDS)
def test_uniform_draws_fill_their_bounds(fill: Fill, bound: float) -> None:
    values = drawn(fill)
    assert bound == pytest.approx(float(np.abs(values).max()), rel=1e-3)
    assert bound / math.sqrt(3) == pytest.approx(float(values.std()), rel=0.02)
    np.testing.assert_array_equal(values, drawn(fill))


@pytest.mark.parametrize(("fill", "deviation"), DEVIATIONS)
def test_normal_draws_have_their_deviation(fill: Fill, deviation: float) -> None:
    values = drawn(fill)
    assert deviation == pytest.approx(float(values.std()), rel=0.02)
    assert 0.0 == pytest.approx(float(values.mean()), abs=0.02 * deviation)


def test_truncated_draws_stay_inside_and_go_to_the_edge() -> None:
    values = drawn(lambda t: init.trunc_normal_(t, mean=1.0, std=2.0, a=0.0, b=2.0))
    assert values.min() >= 0 and values.max() <= 2
    assert values.min() < 0.01 and values.max() > 1.99
    assert 1.0 == pytest.approx(float(values.mean()), abs=0.02)
    with pytest.raises(InputError, match="more than 4 deviations"):
        init.trunc_normal_(Tensor(np.zeros(3, np.float32)), 0.0, 0.1, 2.0, 3.0)
    with pytest.raises(InputError, match="a must be less than b"):
        init.trunc_normal_(Tensor(np.zeros(3, np.float32)), a=1.0, b=1.0)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (3, 2, 2, 2)])
def test_orthogonal_rows_or_columns_are_orthonormal(shape: tuple[int, ...]) -> None:
    matrix = drawn(lambda t: init.orthogonal_(t, gain=2.0), shape).reshape(shape[0], -1).astype(np.float64)
    small = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(4 * np.eye(len(small)), small, atol=1e-5)


def test_constants_and_identities() -> None:
    assert {0.5} == set(drawn(lambda t: init.constant_(t, 0.5)).ravel().tolist())
    assert {1.0} == set(drawn(init.ones_).ravel().tolist())
    assert {0.0} == set(drawn(init.zeros_).ravel().tolist())
    np.testing.assert_array_equal(np.eye(3, 4), drawn(init.eye_, (3, 4)))
    with pytest.raises(InputError, match="a matrix"):
        init.eye_(Tensor(np.zeros(3, np.float32)))


def test_gains_and_fans() -> None:
    assert (1.0, 1.0, 5 / 3) == tuple(init.calculate_gain(n) for n in ("linear", "conv2d", "tanh"))
    assert math.sqrt(2) == init.calculate_gain("relu")
    assert math.sqrt(2 / 1.04) == pytest.approx(init.calculate_gain("leaky_relu", 0.2))
    with pytest.raises(InputError, match="no gain is known for 'swish'"):
        init.calculate_gain("swish")
    with pytest.raises(InputError, match="at least two axes"):
        init.xavier_uniform_(Tensor(np.zeros(3, np.float32)))
    with pytest.raises(InputError, match="'fan_in' or 'fan_out'"):
        init.kaiming_normal_(Tensor(np.zeros((3, 3), np.float32)), mode="fan")  # type: ignore[arg-type]


def test_layers_start_as_pytorchs_do() -> None:
    neurenix.manual_seed(0)
    linear = Linear(400, 300)
    assert linear.bias is not None
    for tensor in (linear.weight, linear.bias):
        assert 1 / 20 == pytest.approx(float(np.abs(tensor.numpy()).max()), rel=0.02)
    layer = Conv2d(16, 64, (3, 2))
    assert 1 / math.sqrt(96) == pytest.approx(float(np.abs(layer.weight.numpy()).max()), rel=0.01)
    before = layer.weight.numpy().copy()
    layer.reset_parameters()
    assert not np.array_equal(before, layer.weight.numpy())
