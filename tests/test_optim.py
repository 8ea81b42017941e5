"""The optimisers against their formulas, written out once more in plain Python; groups, state, clipping."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

import neurenix.nn
from neurenix.errors import InputError
from neurenix.nn import Parameter
from neurenix.optim import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Optimizer,
    RMSprop,
    clip_grad_norm_,
    clip_grad_value_,
)
from neurenix.tensor import Tensor

START = [1.0, -2.0, 0.5]
GRADIENTS = [[0.1, -0.4, 2.0], [0.3, 0.0, -1.0], [-0.2, 0.5, 0.25], [0.0, 0.1, 0.0]]
KINDS: list[tuple[type[Optimizer], dict[str, Any]]] = [
    (SGD, {"momentum": 0.9, "weight_decay": 0.01}),
    (Adam, {"amsgrad": True, "weight_decay": 0.01}),
    (AdamW, {}),
    (RMSprop, {"momentum": 0.5, "centered": True}),
    (Adagrad, {"lr_decay": 0.1}),
]
every_kind = pytest.mark.parametrize(("kind", "options"), KINDS, ids=[k.__name__ for k, _ in KINDS])


def _after(optimizer: type, **options: object) -> list[float]:
    parameter = Parameter(np.array(START))
    stepping = optimizer([parameter], **options)
    for gradient in GRADIENTS:
        parameter.grad = Tensor(np.array(gradient))
        stepping.step()
        stepping.zero_grad()
        assert parameter.grad is None
    found: list[float] = parameter.numpy().tolist()
    return found


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
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
    found = _after(SGD, lr=0.1, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)
    np.testing.assert_allclose(expected, found, rtol=1e-14)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.6)])
@pytest.mark.parametrize("kind", [Adam, AdamW])
def test_adam_is_its_formula(kind: type, weight_decay: float, betas: tuple[float, float]) -> None:
    expected = []
    for i, value in enumerate(START):
        first = second = 0.0
        for t, gradients in enumerate(GRADIENTS, start=1):
            g = gradients[i]
            if kind is Adam:
                g += weight_decay * value
            else:
                value -= 0.05 * weight_decay * value
            first = betas[0] * first + (1 - betas[0]) * g
            second = betas[1] * second + (1 - betas[1]) * g * g
            corrected = first / (1 - betas[0] ** t), second / (1 - betas[1] ** t)
            value -= 0.05 * corrected[0] / (math.sqrt(corrected[1]) + 1e-8)
        expected.append(value)
    np.testing.assert_allclose(expected, _after(kind, lr=0.05, betas=betas, weight_decay=weight_decay), rtol=1e-12)


def test_rmsprop_is_its_formula() -> None:
    expected = []
    for i, value in enumerate(START):
        square = velocity = 0.0
        for gradients in GRADIENTS:
            square = 0.8 * square + 0.2 * gradients[i] ** 2
            velocity = 0.5 * velocity + gradients[i] / (math.sqrt(square) + 1e-8)
            value -= 0.1 * velocity
        expected.append(value)
    np.testing.assert_allclose(expected, _after(RMSprop, lr=0.1, alpha=0.8, momentum=0.5), rtol=1e-12)


def test_adagrad_is_its_formula() -> None:
    expected = []
    for i, value in enumerate(START):
        total = 0.5
        for step, gradients in enumerate(GRADIENTS):
            total += gradients[i] ** 2
            value -= 0.1 / (1 + step * 0.2) * gradients[i] / (math.sqrt(total) + 1e-10)
        expected.append(value)
    found = _after(Adagrad, lr=0.1, lr_decay=0.2, initial_accumulator_value=0.5)
    np.testing.assert_allclose(expected, found, rtol=1e-12)


@every_kind
def test_a_step_keeps_the_dtype_and_the_array(kind: type, options: dict[str, Any]) -> None:
    parameter = Parameter(np.ones(3, np.float32))
    array = parameter.numpy()
    parameter.grad = Tensor(np.ones(3, np.float32))
    optimizer = kind([parameter], lr=0.1, **options)
    optimizer.step()
    assert array is parameter.numpy()
    assert np.float32 == array.dtype
    assert (array < 1).all()
    arrays = [v for v in optimizer.state_dict()["state"][0].values() if isinstance(v, np.ndarray)]
    assert all(np.float32 == a.dtype for a in arrays)


@every_kind
def test_a_step_leaves_the_gradient_as_it_is(kind: type, options: dict[str, Any]) -> None:
    parameter = Parameter(np.linspace(-1, 1, 6, dtype=np.float32))
    gradient = np.linspace(2, 3, 6, dtype=np.float32)
    parameter.grad = Tensor(gradient)
    before = gradient.copy()
    kind([parameter], maximize=True, **options).step()
    np.testing.assert_array_equal(before, gradient)


@every_kind
def test_the_blocks_of_a_large_parameter_are_its_elements(kind: type, options: dict[str, Any]) -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(3, 20011))
    steps = random.normal(size=(2, 3, 20011))
    large, transposed = Parameter(values.copy()), Parameter(values.T.copy().T)
    rows = [Parameter(values[:, k : k + 5000].copy()) for k in range(0, 20011, 5000)]
    for params in ([large], [transposed], rows):
        optimizer = kind(params, **options)
        for step in steps:
            for k, parameter in enumerate(params):
                parameter.grad = Tensor(step if len(params) == 1 else step[:, k * 5000 : (k + 1) * 5000])
            optimizer.step()
    np.testing.assert_array_equal(large.numpy(), transposed.numpy())
    np.testing.assert_array_equal(large.numpy(), np.concatenate([r.numpy() for r in rows], axis=1))


@every_kind
def test_a_parameter_without_gradient_stays(kind: type, options: dict[str, Any]) -> None:
    used, unused = Parameter([1.0]), Parameter([2.0])
    used.grad = Tensor([1.0])
    kind([used, unused], lr=0.1, **options).step()
    assert [2.0] == unused.tolist()
    assert [1.0] != used.tolist()


@every_kind
def test_a_stored_state_goes_on_bit_for_bit(kind: type, options: dict[str, Any]) -> None:
    def run(optimizer: Optimizer, parameters: list[Parameter], steps: list[np.ndarray[Any, Any]]) -> None:
        for step in steps:
            for parameter, gradient in zip(parameters, step):
                parameter.grad = Tensor(gradient)
            optimizer.step()

    random = np.random.default_rng(1)
    values = random.normal(size=(2, 7)).astype(np.float32)
    steps = list(random.normal(size=(8, 2, 7)).astype(np.float32))
    whole = [Parameter(v.copy()) for v in values]
    run(kind([{"params": whole[:1], "lr": 0.3}, {"params": whole[1:]}], **options), whole, steps)
    first = [Parameter(v.copy()) for v in values]
    stopped = kind([{"params": first[:1], "lr": 0.3}, {"params": first[1:]}], **options)
    run(stopped, first, steps[:3])
    state = stopped.state_dict()
    second = [Parameter(p.numpy().copy()) for p in first]
    resumed = kind([{"params": second[:1]}, {"params": second[1:]}], **options)
    run(stopped, first, steps[:1])  # the state is a copy: this must not reach it
    resumed.load_state_dict({"state": {str(k): v for k, v in state["state"].items()},
                             "param_groups": json.loads(json.dumps(state["param_groups"]))})  # fmt: skip
    run(resumed, second, steps[3:])
    for expected, found in zip(whole, second):
        np.testing.assert_array_equal(expected.numpy(), found.numpy())


def test_groups_have_their_own_options_and_the_rest_from_the_optimiser() -> None:
    a, b, c = Parameter([1.0]), Parameter([1.0]), Parameter([1.0])
    optimizer = SGD([{"params": [a], "lr": 1.0}, {"params": b}], lr=0.5)
    optimizer.add_param_group({"params": [c], "weight_decay": 2.0})
    for parameter in (a, b, c):
        parameter.grad = Tensor([0.125])
    optimizer.step()
    assert [0.875, 0.9375, 1 - 0.5 * 2.125] == [a.item(), b.item(), c.item()]
    assert [1.0, 0.5, 0.5] == [g["lr"] for g in optimizer.param_groups]
    optimizer.lr = 0.25
    assert [0.25] * 3 == [g["lr"] for g in optimizer.param_groups]


def test_a_step_calls_its_closure_first() -> None:
    parameter = Parameter([1.0])

    def closure() -> float:
        parameter.grad = Tensor([0.5])
        return 7.0

    assert 7.0 == SGD([parameter], lr=1.0).step(closure)
    assert [0.5] == parameter.tolist()


def test_zero_grad_can_keep_zeros() -> None:
    parameter = Parameter([1.0, 2.0])
    optimizer = SGD([parameter])
    parameter.grad = Tensor([3.0, 4.0])
    optimizer.zero_grad(set_to_none=False)
    assert parameter.grad is not None
    assert [0.0, 0.0] == parameter.grad.tolist()


@every_kind
def test_useless_arguments_are_refused(kind: type, options: dict[str, Any]) -> None:
    one = Parameter([1.0])
    with pytest.raises(InputError, match="no parameters"):
        kind(iter([]))
    with pytest.raises(InputError, match=r"must not be negative, got -0\.1"):
        kind([one], lr=-0.1)
    with pytest.raises(InputError, match="must not be negative, got nan"):
        kind([one], lr=float("nan"))
    with pytest.raises(InputError, match=r"parameter 1 of shape .* is already in a group"):
        kind([one, one])
    with pytest.raises(InputError, match="has no option 'learning_rate'"):
        kind([{"params": [one], "learning_rate": 1.0}])
    with pytest.raises(InputError, match="parameter 0 is int64"):
        kind([Tensor(np.array([1]))])
    with pytest.raises(InputError, match="parameter 0 is str"):
        kind(["weight"])


def test_options_out_of_range_are_refused() -> None:
    one = Parameter([1.0])
    with pytest.raises(InputError, match=r"betas\[1\] must be in \[0, 1\), got 1\.0"):
        Adam([one], betas=(0.9, 1.0))
    with pytest.raises(InputError, match="nesterov needs a momentum"):
        SGD([one], nesterov=True)
    with pytest.raises(InputError, match="alpha must be in"):
        RMSprop([one], alpha=2.0)


def test_a_state_of_other_parameters_is_refused() -> None:
    optimizer = Adam([Parameter([1.0, 2.0])])
    optimizer.params[0].grad = Tensor([1.0, 1.0])
    optimizer.step()
    state = optimizer.state_dict()
    with pytest.raises(InputError, match=r"groups of \[1\] parameters, these are \[2\]"):
        Adam([Parameter([1.0]), Parameter([2.0])]).load_state_dict(state)
    with pytest.raises(InputError, match=r"exp_avg of shape \[2\] for parameter 0, whose shape is \[3\]"):
        Adam([Parameter([1.0, 2.0, 3.0])]).load_state_dict(state)


def test_a_gradient_of_another_shape_is_refused() -> None:
    parameter = Parameter([1.0, 2.0])
    parameter.grad = Tensor([1.0])
    with pytest.raises(InputError, match=r"a gradient of shape \[1\] for a parameter of \[2\]"):
        SGD([parameter]).step()


def _with_gradients(*gradients: list[float]) -> list[Parameter]:
    parameters = [Parameter(np.zeros(len(g))) for g in gradients]
    for parameter, gradient in zip(parameters, gradients):
        parameter.grad = Tensor(np.array(gradient))
    return [*parameters, Parameter([1.0])]  # one without gradient


def _gradients(parameters: list[Parameter]) -> list[Any]:
    return [p.grad.tolist() for p in parameters if p.grad is not None]


def test_clipping_scales_all_gradients_to_the_norm() -> None:
    parameters = _with_gradients([3.0, 0.0], [0.0, 4.0])
    assert 5.0 == clip_grad_norm_(parameters, 2.5).item()
    np.testing.assert_allclose([[1.5, 0.0], [0.0, 2.0]], _gradients(parameters), rtol=1e-6)
    np.testing.assert_allclose(2.5, clip_grad_norm_(parameters, 100.0).item(), rtol=1e-6)
    np.testing.assert_allclose([[1.5, 0.0], [0.0, 2.0]], _gradients(parameters), rtol=1e-6)


def test_a_norm_that_is_no_number_is_an_error_if_asked() -> None:
    parameters = _with_gradients([math.inf, 1.0])
    with pytest.raises(InputError, match="norm is inf"):
        clip_grad_norm_(parameters, 1.0, error_if_nonfinite=True)
    assert [[math.inf, 1.0]] == _gradients(parameters)


def test_clipping_bounds_each_element() -> None:
    parameters = _with_gradients([3.0, -0.5, -9.0])
    clip_grad_value_(parameters, 1.0)
    assert [[1.0, -0.5, -1.0]] == _gradients(parameters)


def test_clipping_takes_a_gradient_that_is_a_broadcast_view() -> None:
    parameter = Parameter(np.zeros(4))
    parameter.grad = Tensor(np.broadcast_to(np.float64(2.0), (4,)))
    clip_grad_norm_(parameter, 1.0)
    np.testing.assert_allclose([0.5] * 4, parameter.grad.tolist(), rtol=1e-6)


def test_clipping_is_also_found_in_nn() -> None:
    assert clip_grad_norm_ is neurenix.nn.clip_grad_norm_
    assert clip_grad_value_ is neurenix.nn.clip_grad_value_
