"""Normalising layers: their formulas in float64, running statistics, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special
from layer_cases import compiled_layers_equal_the_oracle
from op_cases import FORMS

from neurenix import autograd
from neurenix.errors import GraphError, InputError
from neurenix.nn import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    Conv2d,
    GroupNorm,
    InstanceNorm1d,
    InstanceNorm2d,
    LayerNorm,
    Linear,
    LocalResponseNorm,
    Module,
    ReLU,
    RMSNorm,
    Sequential,
    Softmax,
)
from neurenix.tensor import Tensor

RNG = np.random.default_rng(0)
Array = np.ndarray[Any, Any]


def _standard(x: Array, axes: tuple[int, ...], eps: float) -> Array:
    return np.asarray((x - x.mean(axis=axes, keepdims=True)) / np.sqrt(x.var(axis=axes, keepdims=True) + eps))


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4)])
def test_layer_norm_takes_any_last_axes(shape: tuple[int, ...]) -> None:
    x, w, b = (RNG.standard_normal((5, 2, 3, 4) if i == 0 else shape) for i in range(3))
    axes = tuple(range(-len(shape), 0))
    expected = _standard(x, axes, 1e-5) * w + b
    np.testing.assert_allclose(expected, Tensor(x).layer_norm(shape, w, b).numpy(), rtol=1e-12, atol=1e-12)
    root = x / np.sqrt(np.square(x).mean(axis=axes, keepdims=True) + 1e-3) * w
    np.testing.assert_allclose(root, Tensor(x).rms_norm(shape, w, eps=1e-3).numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_group_norm_cuts_the_channels(groups: int) -> None:
    x, w, b = RNG.standard_normal((2, 6, 3, 5)), RNG.standard_normal(6), RNG.standard_normal(6)
    expected = _standard(x.reshape(2, groups, -1), (2,), 1e-5).reshape(x.shape)
    expected = expected * w.reshape(6, 1, 1) + b.reshape(6, 1, 1)
    np.testing.assert_allclose(expected, Tensor(x).group_norm(groups, w, b).numpy(), rtol=1e-12, atol=1e-12)
    if groups == 6:
        np.testing.assert_allclose(expected, Tensor(x).instance_norm(w, b).numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_local_response_norm_looks_at_its_neighbours(size: int) -> None:
    x = RNG.standard_normal((2, 7, 3, 2))
    expected = np.empty_like(x)
    for c in range(7):
        around = x[:, max(0, c - size // 2) : c + (size - 1) // 2 + 1]
        expected[:, c] = x[:, c] / (2 + 0.5 * np.square(around).sum(axis=1) / size) ** 0.75
    answer = LocalResponseNorm(size, alpha=0.5, k=2)(Tensor(x))
    np.testing.assert_allclose(expected, answer.numpy(), rtol=1e-12)


def test_normalize_divides_by_the_norm_and_has_no_slope_at_nothing() -> None:
    x = RNG.standard_normal((4, 3))
    for p in (1, 2, 3):
        expected = x / np.linalg.norm(x, p, axis=1, keepdims=True)
        np.testing.assert_allclose(expected, Tensor(x).normalize(p).numpy(), rtol=1e-12)
    zero = Tensor(np.zeros((2, 3), np.float32), requires_grad=True)
    zero.normalize().sum().backward()
    assert zero.grad is not None and np.isfinite(zero.grad.numpy()).all()


def test_softmax_takes_any_axis() -> None:
    x = RNG.standard_normal((2, 3, 4, 5))
    for axis in range(-4, 4):
        np.testing.assert_allclose(scipy.special.softmax(x, axis), Tensor(x).softmax(axis).numpy(), rtol=1e-12)
        np.testing.assert_allclose(scipy.special.softmax(-x, axis), Tensor(x).softmin(axis).numpy(), rtol=1e-12)


def test_without_a_momentum_running_statistics_are_the_mean_of_all_batches() -> None:
    norm = BatchNorm1d(3, momentum=None)
    batches = [RNG.standard_normal((5, 3)).astype(np.float32) for _ in range(4)]
    for batch in batches:
        norm(batch)
    assert norm.running_mean is not None and norm.running_var is not None
    np.testing.assert_allclose(np.mean([b.mean(0) for b in batches], 0), norm.running_mean.numpy(), atol=1e-6)
    np.testing.assert_allclose(np.mean([b.var(0, ddof=1) for b in batches], 0), norm.running_var.numpy(), atol=1e-6)


def test_without_running_statistics_the_batch_counts_in_inference_too() -> None:
    norm = BatchNorm2d(3, affine=False, track_running_stats=False).eval()
    assert {} == norm.state_dict()
    x = RNG.standard_normal((4, 3, 5, 6)).astype(np.float32)
    np.testing.assert_allclose(_standard(x, (0, 2, 3), 1e-5), norm(x).numpy(), atol=1e-5)


def test_instance_norm_tracks_the_mean_of_its_samples() -> None:
    norm, x = InstanceNorm1d(3, track_running_stats=True), RNG.standard_normal((4, 3, 7)).astype(np.float32)
    np.testing.assert_allclose(_standard(x, (2,), 1e-5), norm(x).numpy(), atol=1e-5)
    assert norm.running_mean is not None and norm.running_var is not None
    np.testing.assert_allclose(0.1 * x.mean((0, 2)), norm.running_mean.numpy(), atol=1e-6)
    var = 0.9 + 0.1 * x.var(2, ddof=1).mean(0)
    np.testing.assert_allclose(var, norm.running_var.numpy(), atol=1e-6)
    expected = (x - 0.1 * x.mean((0, 2))[:, None]) / np.sqrt(var[:, None] + 1e-5)
    np.testing.assert_allclose(expected, norm.eval()(x).numpy(), atol=1e-5)
    np.testing.assert_array_equal(norm(x).numpy()[1], norm(x[1]).numpy())


def test_norms_keep_the_state_of_pytorch() -> None:
    tracked = {"running_mean", "running_var", "num_batches_tracked"}
    assert {"weight", "bias", *tracked} == set(BatchNorm3d(2).state_dict())
    assert tracked == set(BatchNorm1d(2, affine=False).state_dict())
    assert set() == set(InstanceNorm2d(2).state_dict())
    assert {"weight"} == set(LayerNorm(2, bias=False).state_dict()) == set(RMSNorm((2, 3)).state_dict())
    assert {"weight", "bias"} == set(GroupNorm(2, 4).state_dict())


def test_norms_say_what_does_not_fit() -> None:
    with pytest.raises(InputError, match=r"BatchNorm2d\(3\) got 4 channels"):
        BatchNorm2d(3)(np.ones((2, 4, 5, 5), np.float32))
    with pytest.raises(InputError, match="BatchNorm1d takes a tensor of rank 2 or 3"):
        BatchNorm1d(3)(np.ones((2, 3, 5, 5), np.float32))
    with pytest.raises(InputError, match="one value for each channel has no variance"):
        BatchNorm1d(3)(np.ones((1, 3), np.float32))
    with pytest.raises(InputError, match="cannot cut 4 channels into 3"):
        GroupNorm(3, 4)
    with pytest.raises(GraphError, match=r"the last axes of \[2, 4\] are not the normalized_shape \[3\]"):
        LayerNorm(3)(np.ones((2, 4), np.float32))
    with pytest.raises(GraphError, match="op 'standardize': eps is a float"):
        Tensor(np.ones((2, 4), np.float32)).standardize(-1.0)


def _stirred(layer: Module) -> Module:
    """Give parameters and statistics other values than 1 and 0."""
    for tensor in (*layer.parameters(), *(t for _, t in layer.named_buffers())):
        tensor.numpy()[...] = RNG.uniform(0.5, 1.5, tensor.shape)
    return layer


@pytest.mark.parametrize("forms", FORMS)
def test_compiled_norms_take_any_size(forms: tuple[str, ...]) -> None:
    """All of them in one module; batch, height and width are symbols."""
    images = [
        BatchNorm2d(6), BatchNorm2d(6, track_running_stats=False), InstanceNorm2d(6, affine=True), GroupNorm(3, 6),
        Sequential(Conv2d(6, 8, 3), GroupNorm(2, 8), ReLU()), LocalResponseNorm(5), Softmax(1), Softmax(2),
        InstanceNorm2d(6, track_running_stats=True), LocalResponseNorm(2, k=2.0),
    ]  # fmt: skip
    shapes = [(2, 6, 5, 7), (1, 6, 9, 4)]
    compiled_layers_equal_the_oracle([*map(_stirred, images)], "float32[batch, 6, high, wide]", shapes, forms)
    rows = [
        LayerNorm(20), Sequential(Linear(20, 9), LayerNorm(9), ReLU()), RMSNorm(20), LayerNorm((3, 20)), Softmax(-1),
        LayerNorm(20, elementwise_affine=False), Softmax(1),
    ]  # fmt: skip
    compiled_layers_equal_the_oracle([*map(_stirred, rows)], "float32[batch, 3, 20]", [(4, 3, 20)], forms)


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (4, 3, 5, 6)])
def test_batch_norms_gradient_is_that_of_its_formula_twice(shape: tuple[int, ...]) -> None:
    """The row takes the moments' share of the gradient upon itself: beside the formula in plain operations."""
    axes, kept = (0, *range(2, len(shape))), (1, 3, *(1,) * (len(shape) - 2))
    start, weighed = RNG.standard_normal((3, *shape)), RNG.standard_normal(shape)
    given = [start[0] + 3, RNG.uniform(0.5, 2, 3), RNG.standard_normal(3)]

    def formula(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        centred = x - x.mean(axes, keepdim=True)
        variance = (centred * centred).mean(axes, keepdim=True)
        return centred / (variance + 1e-3).sqrt() * w.reshape(kept) + b.reshape(kept)

    def fused(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return x.batch_norm(weight=w, bias=b, training=True, eps=1e-3)

    found = []
    for norm in (formula, fused):
        leaves = [Tensor(v, requires_grad=True) for v in given]
        loss = (norm(*leaves).tanh() * Tensor(weighed)).sum()
        first = [g for g in autograd.grad(loss, leaves, create_graph=True) if g is not None]
        again = (first[0] * Tensor(start[1])).sum() + (first[1] * first[1]).sum() + first[2].sum()
        second = [g for g in autograd.grad(again, leaves) if g is not None]
        assert 6 == len(first) + len(second)
        found.append([g.numpy() for g in (*first, *second)])
    for expected, answer in zip(*found):
        np.testing.assert_allclose(expected, answer, rtol=1e-9, atol=1e-9)


def test_batch_norm_by_anything_but_its_own_moments_has_the_formulas_gradient() -> None:
    x, mean = RNG.standard_normal((4, 3, 5)), RNG.standard_normal((1, 3, 1))
    variance, weight, bias = (RNG.uniform(0.5, 2, (1, 3, 1)) for _ in range(3))
    given = (x, np.stack([mean, variance]), weight.ravel(), bias.ravel())
    leaves = [Tensor(v, requires_grad=True) for v in given]
    leaves[0].apply("batch_norm", *leaves[1:], eps=0.0).sum().backward()
    root = np.sqrt(variance)
    by_variance = (-0.5 * (x - mean) * weight / root**3).sum((0, 2), keepdims=True)
    expected = (
        np.broadcast_to(weight / root, x.shape), np.stack([-20 * weight / root, by_variance]),
        ((x - mean) / root).sum((0, 2)), np.full(3, 20.0),
    )  # fmt: skip
    for wanted, leaf in zip(expected, leaves):
        assert leaf.grad is not None
        np.testing.assert_allclose(wanted, leaf.grad.numpy(), rtol=1e-10, atol=1e-12)
