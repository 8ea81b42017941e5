"""The layers and losses against hand computations, and small models that learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import Tensor
from neurenix.errors import InputError
from neurenix.nn import (
    BatchNorm2d,
    Conv2d,
    CrossEntropyLoss,
    Dropout,
    Flatten,
    LeakyReLU,
    Linear,
    MaxPool2d,
    Module,
    MSELoss,
    Parameter,
    ReLU,
    Sequential,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
    functional,
)
from neurenix.optim import SGD, Adam

RNG = np.random.default_rng(1)


def test_dropout_is_seeded_and_scaled() -> None:
    dropout, x = Dropout(0.25), Tensor(np.ones((200, 100), np.float32))
    neurenix.manual_seed(5)
    first = dropout(x).numpy()
    neurenix.manual_seed(5)
    np.testing.assert_array_equal(first, dropout(x).numpy())
    assert {0.0, float(np.float32(1 / 0.75))} == set(np.unique(first).astype(float).tolist())
    assert 1.0 == pytest.approx(float(first.mean()), abs=0.02)
    assert dropout.eval()(x) is x
    assert 0.0 == Dropout(1.0)(x).numpy().max()
    for p in (-0.1, 1.1):
        with pytest.raises(InputError, match="probability"):
            Dropout(p)


def test_batch_norm_normalises_by_the_batch_and_tracks_it() -> None:
    norm = BatchNorm2d(3, eps=1e-3, momentum=0.2)
    norm.weight.numpy()[...] = [1, 2, 3]
    norm.bias.numpy()[...] = [0, -1, 1]
    mean, var = np.zeros(3), np.ones(3)
    for _ in range(3):
        x = (RNG.standard_normal((4, 3, 5, 2)) * 3 + 1).astype(np.float32)
        flat = x.transpose(1, 0, 2, 3).reshape(3, -1).astype(np.float64)
        mean = 0.8 * mean + 0.2 * flat.mean(1)
        var = 0.8 * var + 0.2 * flat.var(1, ddof=1)
        expected = (flat - flat.mean(1)[:, None]) / np.sqrt(flat.var(1)[:, None] + 1e-3)
        expected = expected * np.array([[1], [2], [3]]) + np.array([[0], [-1], [1]])
        found = norm(x).numpy().transpose(1, 0, 2, 3).reshape(3, -1)
        np.testing.assert_allclose(expected, found, atol=2e-5)
    np.testing.assert_allclose(mean, norm.running_mean.numpy(), rtol=1e-5)
    np.testing.assert_allclose(var, norm.running_var.numpy(), rtol=1e-5)
    assert 3 == norm.num_batches_tracked.item()
    scale = np.array([1, 2, 3]) / np.sqrt(var + 1e-3)
    shift = np.array([0, -1, 1]) - mean * scale
    answer = norm.eval()(x).numpy()
    np.testing.assert_allclose(x * scale.reshape(3, 1, 1) + shift.reshape(3, 1, 1), answer, atol=2e-5)
    assert 3 == norm.num_batches_tracked.item()


def test_batch_norm_passes_gradients_through_its_statistics() -> None:
    norm = BatchNorm2d(2)
    for name in ("weight", "bias", "running_mean", "running_var"):
        tensor = getattr(norm, name)
        kind = Parameter if isinstance(tensor, Parameter) else Tensor
        setattr(norm, name, kind(tensor.numpy().astype(np.float64)))
    data, weight, ways = (RNG.standard_normal((2, 2, 3, 3)) for _ in range(3))
    x = Tensor(data, requires_grad=True)
    norm(x).backward(weight)
    assert x.grad is not None
    up, down = (float((norm(Tensor(data + s * 1e-6 * ways)).numpy() * weight).sum()) for s in (1, -1))
    assert (up - down) / 2e-6 == pytest.approx(float((x.grad.numpy() * ways).sum()), rel=1e-5)


def test_linear_and_convolution_are_their_formulas() -> None:
    x = RNG.standard_normal((5, 3)).astype(np.float32)
    layer = Linear(3, 4)
    np.testing.assert_allclose(x @ layer.weight.numpy().T + layer.bias.numpy(), layer(x).numpy(), rtol=1e-5, atol=1e-6)
    assert (2, 7, 4) == Linear(3, 4)(np.ones((2, 7, 3), np.float32)).shape
    assert layer.bias is not None and Linear(3, 4, bias=False).bias is None
    assert (2, 8, 4, 3) == Conv2d(3, 8, 3, stride=(2, 3), padding=1)(np.ones((2, 3, 8, 8), np.float32)).shape
    assert (2, 3, 4, 4) == MaxPool2d(2)(np.ones((2, 3, 8, 8), np.float32)).shape
    assert (2, 24) == Flatten()(np.ones((2, 2, 3, 4), np.float32)).shape


@pytest.mark.parametrize("module", [ReLU(), LeakyReLU(0.2), Sigmoid(), Tanh(), SiLU(), Softmax(0)], ids=repr)
def test_activations_are_their_ops(module: Module) -> None:
    x = Tensor(RNG.standard_normal((3, 4)).astype(np.float32))
    names = {"ReLU": "relu", "LeakyReLU": "leaky_relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "SiLU": "silu"}
    name = names.get(type(module).__name__, "softmax")
    np.testing.assert_array_equal(getattr(x, name)(*module.config().values()).numpy(), module(x).numpy())


def test_losses_are_their_formulas() -> None:
    logits, target = RNG.standard_normal((6, 4)), np.array([0, 3, 1, 1, 2, 0])
    each = np.log(np.exp(logits).sum(1)) - logits[np.arange(6), target]
    assert float(each.mean()) == pytest.approx(CrossEntropyLoss()(Tensor(logits), target).item(), rel=1e-12)
    prediction = Tensor(logits, requires_grad=True)
    functional.cross_entropy(prediction, target).backward()
    soft = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert prediction.grad is not None
    np.testing.assert_allclose((soft - np.eye(4)[target]) / 6, prediction.grad.numpy(), atol=1e-12)
    assert float((logits**2).mean()) == pytest.approx(MSELoss()(Tensor(logits), Tensor(logits * 2)).item())
    for bad in (np.array([0, 1, 2, 3, 4, 0]), np.array([-1, 0, 0, 0, 0, 0])):
        with pytest.raises(InputError, match="the logits have 4"):
            functional.cross_entropy(Tensor(logits), bad)
    with pytest.raises(InputError, match="class indices must be integers"):
        functional.cross_entropy(Tensor(logits), np.zeros(6))
    with pytest.raises(InputError, match=r"wants class indices of shape \[6\]"):
        functional.cross_entropy(Tensor(logits), np.zeros(5, np.int64))
    with pytest.raises(InputError, match=r"input has shape \[6, 4\] and the target \[6\]"):
        functional.mse_loss(Tensor(logits), np.zeros(6))


def _fit(optimizer: Any, steps: int) -> tuple[float, list[int]]:
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    target = np.array([0, 1, 1, 0])
    neurenix.manual_seed(0)
    model = Sequential(Linear(2, 16), Tanh(), Linear(16, 2))
    stepping = optimizer(model.parameters())
    loss = functional.cross_entropy(model(x), target)
    for _ in range(steps):
        stepping.zero_grad()
        loss = functional.cross_entropy(model(x), target)
        loss.backward()
        stepping.step()
    return loss.item(), model(x).numpy().argmax(1).tolist()


@pytest.mark.parametrize(
    "optimizer",
    [lambda p: Adam(p, lr=0.05), lambda p: SGD(p, lr=0.5, momentum=0.9, nesterov=True)],
    ids=["adam", "sgd"],
)
def test_a_small_model_learns_exclusive_or(optimizer: Any) -> None:
    loss, classes = _fit(optimizer, 150)
    assert loss < 0.02
    assert [0, 1, 1, 0] == classes
    assert (loss, classes) == _fit(optimizer, 150)  # and learns it the same way again
