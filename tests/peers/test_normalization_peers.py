"""Normalising layers against PyTorch's: random ones, forward, gradients, running statistics, state by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from both import near
from test_window_peers import compare

from neurenix import nn
from neurenix.tensor import Tensor

pytestmark = pytest.mark.peers

SEEDS = range(12)


def _pair(name: str, options: dict[str, Any], rng: np.random.Generator) -> tuple[Any, Any]:
    """Return PyTorch's layer with random parameters, and ours with its state loaded by name."""
    theirs = getattr(torch.nn, name)(**options)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.copy_(torch.tensor(rng.standard_normal(tuple(parameter.shape)).astype(np.float32)))
    ours = getattr(nn, name)(**options)
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    return theirs, ours


def _image(rng: np.random.Generator, axes: int, channels: int) -> np.ndarray[Any, Any]:
    shape = (int(rng.integers(4, 8)), channels, *(int(v) for v in rng.integers(4, 8, axes)))
    return (rng.standard_normal(shape) * rng.uniform(0.5, 3) + rng.uniform(-2, 2)).astype(np.float32)


def _tracked(name: str, axes: int, seed: int) -> None:
    rng = np.random.default_rng([seed, *name.encode()])
    options = {
        "num_features": int(rng.integers(1, 6)),
        "eps": float(rng.choice([1e-5, 1e-3])),
        "momentum": [0.1, 0.3, None][int(rng.integers(3 if name.startswith("Batch") else 2))],
        "affine": bool(rng.integers(2)),
        "track_running_stats": bool(rng.integers(2)),
    }
    theirs, ours = _pair(name, options, rng)
    for step in range(3):
        x = _image(rng, axes, options["num_features"])
        compare(theirs, ours, x, rng, f"{name}({options}), step {step}")
        theirs.zero_grad()
        ours.zero_grad()
    for key, value in theirs.state_dict().items():
        near(value, ours.state_dict()[key], f"{name}({options}).{key}", floor=0.1)
    compare(theirs.eval(), ours.eval(), _image(rng, axes, options["num_features"]), rng, f"{name}({options}) in eval")


@pytest.mark.parametrize("seed", SEEDS)
def test_batch_norms_are_pytorchs(seed: int) -> None:
    for name, axes in (("BatchNorm1d", seed % 2), ("BatchNorm2d", 2), ("BatchNorm3d", 3)):
        _tracked(name, axes, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_instance_norms_are_pytorchs(seed: int) -> None:
    for name, axes in (("InstanceNorm1d", 1), ("InstanceNorm2d", 2), ("InstanceNorm3d", 3)):
        _tracked(name, axes, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_norms_of_one_sample_are_pytorchs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    axes = int(rng.integers(1, 4))
    x = _image(rng, axes, 6)
    last = x.shape[-int(rng.integers(1, axes + 1)) :]
    affine = bool(rng.integers(2))
    configurations: list[tuple[str, dict[str, Any]]] = [
        ("LayerNorm", {"normalized_shape": last, "elementwise_affine": affine, "bias": bool(rng.integers(2))}),
        ("RMSNorm", {"normalized_shape": last, "eps": [None, 1e-3][seed % 2], "elementwise_affine": affine}),
        ("GroupNorm", {"num_groups": int(rng.choice([1, 2, 3, 6])), "num_channels": 6, "affine": affine}),
        ("LocalResponseNorm", {"size": int(rng.integers(1, 6)), "alpha": 0.3, "beta": 0.6, "k": 1.5}),
    ]
    for name, options in configurations:
        theirs, ours = _pair(name, options, rng)
        compare(theirs, ours, x, rng, f"{name}({options}) of {x.shape}")


def test_softmax_and_normalize_are_pytorchs() -> None:
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((3, 4, 5)) * 5).astype(np.float32)
    for dim in range(-3, 3):
        for p in (1.0, 2.0, 3.0):
            wanted = torch.nn.functional.normalize(torch.tensor(x), p, dim)
            near(wanted, Tensor(x).normalize(p, dim), f"normalize {p} {dim}")
        for name in ("softmax", "log_softmax", "softmin"):
            wanted = getattr(torch.nn.functional, name)(torch.tensor(x), dim=dim)
            near(wanted, getattr(Tensor(x), name)(dim), f"{name} {dim}")
