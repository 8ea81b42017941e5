"""Claims about a training function that returns a model of PyTorch: the build takes it as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scratch_training import make_project

from neurenix.graph.store import load_graph
from neurenix.phynexus.reference import run_graph

pytestmark = pytest.mark.peers

TRAINING = """
import torch

def train():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh()).eval()
"""


def test_a_model_of_pytorch_is_traced_with_its_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project(tmp_path, monkeypatch)
    (project.root / "src" / "app" / "peer.py").write_text(TRAINING, encoding="utf-8")
    project.model(train="app.peer:train", outputs=["answer"])
    project.build()
    (path,) = project.cache.glob("v1/entries/*/files/graph.npz")
    torch.manual_seed(0)
    peer = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh()).eval()
    x = np.random.default_rng(0).standard_normal((2, 4)).astype(np.float32)
    found = run_graph(load_graph(path), {"x": x}, {"batch": 2})["answer"]
    assert np.allclose(peer(torch.from_numpy(x)).detach().numpy(), found, atol=1e-6)
