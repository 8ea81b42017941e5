"""A module of ours and PyTorch's with the same weights, held to the same answers, losses and gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurenix.nn import Module
from neurenix.tensor import Tensor

Array = np.ndarray[Any, Any]


class Twin:
    """`ours` takes the weights of `theirs` by name, with no mapping, and both compute in one precision."""

    def __init__(self, ours: Module, theirs: Any, precision: str = "float64") -> None:
        import torch

        self.torch, self.precision = torch, precision
        self.ours, self.theirs = ours, theirs.to(getattr(torch, precision))
        if precision == "float64":
            ours.double()
        ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
        self.tolerance = 1e-9 if precision == "float64" else 1e-5

    def hold(self, ours: Sequence[Any], theirs: Sequence[Any], sources: Sequence[tuple[Tensor, Any]]) -> None:
        """Compare results, a loss made of them, and the gradients of the parameters and of `sources`."""
        rng = np.random.default_rng(11)
        assert len(ours) == len(theirs)
        total, wanted = Tensor(np.zeros((), self.precision)), self.torch.zeros((), dtype=theirs[0].dtype)
        for i, (a, b) in enumerate(zip(ours, theirs)):
            self.close(b.detach().numpy(), a.numpy(), f"result {i}")
            weight = rng.standard_normal(a.numpy().shape).astype(self.precision)
            total = total + (a * a * weight).sum()
            wanted = wanted + (b * b * self.torch.from_numpy(weight)).sum()
        self.close(wanted.detach().numpy(), total.numpy(), "loss")
        total.backward()
        wanted.backward()
        named = dict(self.theirs.named_parameters())
        mine = dict(self.ours.named_parameters())
        assert list(named) == list(mine)
        for name, parameter in mine.items():
            if named[name].grad is None:
                assert parameter.grad is None or not parameter.grad.numpy().any(), f"the gradient of {name}"
                continue
            assert parameter.grad is not None, f"the gradient of {name} is missing"
            self.close(named[name].grad.numpy(), parameter.grad.numpy(), f"the gradient of {name}")
        for i, (a, b) in enumerate(sources):
            assert a.grad is not None
            self.close(b.grad.numpy(), a.grad.numpy(), f"the gradient of input {i}")

    def close(self, expected: Array, actual: Array, what: str) -> None:
        """Compare two arrays, relative to the largest element of the expected one."""
        assert expected.shape == actual.shape, f"{what}: {actual.shape}, expected {expected.shape}"
        assert not np.isnan(actual).any(), f"{what} has NaN"
        error = float(np.abs(expected - actual).max(initial=0)) / max(1.0, float(np.abs(expected).max(initial=0)))
        assert error <= self.tolerance, f"{what} differs by {error:.2g}"

    def input(self, shape: Sequence[int], seed: int = 5) -> tuple[Tensor, Any]:
        """Return the same random numbers as a tensor of ours and of PyTorch's, both with a gradient."""
        data = np.random.default_rng(seed).standard_normal(shape).astype(self.precision)
        return Tensor(data, requires_grad=True), self.torch.tensor(data, requires_grad=True)
