"""Pools against PyTorch's: random windows, forward and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from both import near

from neurenix import nn
from neurenix.tensor import Tensor

pytestmark = pytest.mark.peers

SEEDS = range(25)


def compare(theirs: Any, ours: Any, x: np.ndarray[Any, Any], rng: np.random.Generator, what: str) -> None:
    """Compare a layer's answer and its gradients by the input and the parameters, 1e-5 of the largest element."""
    a = torch.tensor(x, requires_grad=True)
    b = Tensor(x, requires_grad=True)
    y, z = theirs(a), ours(b)
    near(y, z, what, floor=0.1)
    weight = rng.standard_normal(tuple(y.shape)).astype(np.float32)
    y.backward(torch.tensor(weight))
    z.backward(weight)
    assert b.grad is not None
    near(a.grad, b.grad, f"gradient of {what}", floor=0.1)
    parameters = dict(ours.named_parameters())
    for name, parameter in theirs.named_parameters():
        near(parameter.grad, parameters[name].grad, f"gradient of {what} by {name}", floor=0.1)


def _window(rng: np.random.Generator, axes: int) -> tuple[tuple[int, ...], dict[str, Any]]:
    kernel = tuple(int(v) for v in rng.integers(1, 5, axes))
    padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
    options: dict[str, Any] = {"kernel_size": kernel, "padding": padding}
    if rng.random() < 0.8:
        options["stride"] = tuple(int(v) for v in rng.integers(1, 5, axes))
    options["ceil_mode"] = bool(rng.integers(2))
    return tuple(int(rng.integers(2 * k, 2 * k + 7)) for k in kernel), options


def _case(kind: str, axes: int, seed: int) -> tuple[np.ndarray[Any, Any], dict[str, Any], np.random.Generator]:
    rng = np.random.default_rng([seed, axes, *kind.encode()])
    size, options = _window(rng, axes)
    if kind == "MaxPool":
        options["dilation"] = tuple(int(v) for v in rng.integers(1, 3, axes))
    if kind == "AvgPool":
        options["count_include_pad"] = bool(rng.integers(2))
        if axes > 1 and rng.random() < 0.3:
            options["divisor_override"] = int(rng.integers(1, 9))
    if kind == "LPPool":
        del options["padding"]
        options["norm_type"] = float(rng.choice([1, 2, 3]))
        options["kernel_size"] = options["kernel_size"][0] if axes == 1 else options["kernel_size"]
        options["stride"] = int(rng.integers(1, 4)) if axes == 1 else options.get("stride")
    if kind.startswith("Adaptive"):
        sizes = [int(v) if rng.random() < 0.8 else None for v in rng.integers(1, 9, axes)]
        options = {"output_size": tuple(sizes) if axes > 1 else int(rng.integers(1, 9))}
    batch = (int(rng.integers(1, 4)),) if rng.random() < 0.8 else ()
    x = rng.standard_normal((*batch, int(rng.integers(1, 5)), *size)).astype(np.float32)
    return (np.abs(x) + 0.1 if kind == "LPPool" else x), options, rng


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("kind", ["MaxPool", "AvgPool", "LPPool", "AdaptiveAvgPool", "AdaptiveMaxPool"])
def test_pools_are_pytorchs(kind: str, axes: int) -> None:
    for seed in SEEDS:
        x, options, rng = _case(kind, axes, seed)
        name = f"{kind}{axes}d"
        theirs, ours = getattr(torch.nn, name)(**options), getattr(nn, name)(**options)
        compare(theirs, ours, x, rng, f"{name}({options}) of {x.shape}")


def test_indices_are_pytorchs() -> None:
    for seed in SEEDS:
        x, options, _ = _case("MaxPool", 2, seed)
        theirs = torch.nn.MaxPool2d(return_indices=True, **options)(torch.tensor(x))
        ours = nn.MaxPool2d(return_indices=True, **options)(Tensor(x))
        for wanted, got in zip(theirs, ours):
            np.testing.assert_array_equal(wanted.numpy(), got.numpy(), f"{options} of {x.shape}")


def test_equal_elements_share_a_window_as_in_pytorch() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, (2, 3, 9, 8)).astype(np.float32)
    for options in ({"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "padding": 1}, {"kernel_size": 3, "stride": 1}):
        compare(torch.nn.MaxPool2d(**options), nn.MaxPool2d(**options), x, rng, f"{options}")
    compare(torch.nn.AdaptiveMaxPool2d((4, 3)), nn.AdaptiveMaxPool2d((4, 3)), x, rng, "adaptive")
