"""What the tests of models on devices share: the devices that this machine may have, a model, its inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix.nn import Linear, ReLU, Sequential

DEVICES = [pytest.param("wasm", marks=pytest.mark.wasm), pytest.param("webgpu", marks=pytest.mark.gpu)]
onto = pytest.mark.parametrize("device", DEVICES)


def random(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def perceptron() -> Sequential:
    neurenix.manual_seed(1)
    return Sequential(Linear(6, 9), ReLU(), Linear(9, 3)).eval()


def assert_near(expected: Any, actual: Any) -> None:
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-6)
