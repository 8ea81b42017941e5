"""Weights that PyTorch saved as safetensors load by name, and ours load in PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import neurenix
from neurenix import Tensor, nn

pytestmark = pytest.mark.peers


def models() -> tuple[nn.Module, torch.nn.Module]:  # type: ignore[name-defined]
    ours = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(27, 4)
    )
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(1, 3, 3, padding=1), torch.nn.BatchNorm2d(3), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Flatten(), torch.nn.Linear(27, 4),
    )  # fmt: skip
    return ours, theirs


def answers(ours: nn.Module, theirs: torch.nn.Module) -> None:  # type: ignore[name-defined]
    x = np.random.default_rng(0).normal(size=(5, 1, 6, 6)).astype(np.float32)
    ours.eval()
    theirs.eval()
    with torch.no_grad():
        np.testing.assert_allclose(theirs(torch.tensor(x)).numpy(), ours(Tensor(x)).numpy(), rtol=1e-5, atol=1e-6)


def test_pytorchs_weights_load_by_name(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    ours, theirs = models()
    theirs(torch.randn(9, 1, 6, 6))  # so that the running statistics are not the first ones
    save_file(theirs.state_dict(), tmp_path / "m.safetensors")
    ours.load_state_dict(neurenix.load(tmp_path / "m.safetensors"))
    answers(ours, theirs)


def test_our_weights_load_in_pytorch(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    ours, theirs = models()
    neurenix.save(ours, tmp_path / "m.safetensors")
    theirs.load_state_dict(load_file(tmp_path / "m.safetensors"))
    answers(ours, theirs)


def test_half_precision_weights_load(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    values = torch.randn(3, 4)
    for kind in (torch.float16, torch.bfloat16):
        save_file({"w": values.to(kind)}, tmp_path / "w.safetensors")
        found = neurenix.load(tmp_path / "w.safetensors")["w"]
        np.testing.assert_array_equal(values.to(kind).float().numpy(), found.astype(np.float32))


def test_pytorchs_own_files_are_refused_whatever_their_name(tmp_path: Path) -> None:
    for name in ("m.pt", "m.safetensors"):
        torch.save({"w": torch.ones(2)}, tmp_path / name)
        with pytest.raises(neurenix.errors.InputError, match=r"(could|can) run code"):
            neurenix.load(tmp_path / name)
