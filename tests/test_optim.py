"""The optimisers against their formulas, written out once more in plain Python."""

from __future__ import annotations

import math

import numpy as np
import pytest

from neurenix.errors import InputError
from neurenix.nn import Parameter
from neurenix.optim import SGD, Adam
from neurenix.tensor import Tensor

START = [1.0, -2.0, 0.5]
GRADIENTS = [[0.1, -0.4, 2.0], [0.3, 0.0, -1.0], [-0.2, 0.5, 0.25], [0.0, 0.1, 0.0]]


def _after(optimizer: type, **options: object) -> tuple[list[float], Parameter]:
    parameter = Parameter(np.array(START))
    stepping = optimizer([parameter], **options)
    for gradient in GRADIENTS:
        parameter.grad = Tensor(np.array(gradient))
        stepping.step()
        stepping.zero_grad()
        assert parameter.grad is None
    return parameter.numpy().tolist(), parameter


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
def test_sgd_is_its_formula(momentum: float, nesterov: bool, weight_decay: float) -> None:
    expected = []
    for i, value in enumerate(START):
        velocity = 0.0
        for step, gradients in enumerate(GRADIENTS):
            g = gradients[i] + weight_decay * value
            velocity = g if step == 0 else momentum * velocity + g
            value -= 0.1 * (g + momentum * velocity if nesterov else velocity if momentum else g)
        expected.append(value)
    found, _ = _after(SGD, lr=0.1, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)
    np.testing.assert_allclose(expected, found, rtol=1e-14)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.6)])
def test_adam_is_its_formula(weight_decay: float, betas: tuple[float, float]) -> None:
    expected = []
    for i, value in enumerate(START):
        first = second = 0.0
        for t, gradients in enumerate(GRADIENTS, start=1):
            g = gradients[i] + weight_decay * value
            first = betas[0] * first + (1 - betas[0]) * g
            second = betas[1] * second + (1 - betas[1]) * g * g
            corrected = first / (1 - betas[0] ** t), second / (1 - betas[1] ** t)
            value -= 0.05 * corrected[0] / (math.sqrt(corrected[1]) + 1e-8)
        expected.append(value)
    found, _ = _after(Adam, lr=0.05, betas=betas, weight_decay=weight_decay)
    np.testing.assert_allclose(expected, found, rtol=1e-12)


@pytest.mark.parametrize("optimizer", [SGD, Adam])
def test_a_step_keeps_the_dtype_and_the_array(optimizer: type) -> None:
    parameter = Parameter(np.ones(3, np.float32))
    array = parameter.numpy()
    parameter.grad = Tensor(np.ones(3, np.float32))
    optimizer([parameter], lr=0.1).step()
    assert array is parameter.numpy()
    assert np.float32 == array.dtype
    assert (array < 1).all()


@pytest.mark.parametrize("optimizer", [SGD, Adam])
def test_a_parameter_without_gradient_stays(optimizer: type) -> None:
    used, unused = Parameter([1.0]), Parameter([2.0])
    used.grad = Tensor([1.0])
    optimizer([used, unused], lr=0.1, weight_decay=0.1).step()
    assert [2.0] == unused.tolist()
    assert [1.0] != used.tolist()


@pytest.mark.parametrize("optimizer", [SGD, Adam])
def test_useless_arguments_are_refused(optimizer: type) -> None:
    with pytest.raises(InputError, match="no parameters"):
        optimizer(iter([]))
    with pytest.raises(InputError, match=r"must not be negative, got -0\.1"):
        optimizer([Parameter([1.0])], lr=-0.1)
