"""The recipe of docs/cookbook.md that starts in PyTorch: the weights that it saves are those that it finds by name."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from test_docs_cookbook import BLOCK, RECIPES, write_recipe

from neurenix.frontends import load
from neurenix.phynexus.reference import run_graph

pytestmark = pytest.mark.peers


def test_the_weights_are_those_that_pytorch_saves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_recipe(tmp_path, "PyTorch weights, by name")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path / "src"))
    for name in [name for name in sys.modules if name.partition(".")[0] == "app"]:
        monkeypatch.delitem(sys.modules, name)
    model = torch.nn.ModuleDict({"hidden": torch.nn.Linear(8, 16), "scores": torch.nn.Linear(16, 3)})
    Path("weights").mkdir()
    (saving,) = (text for _, _, text in BLOCK.findall(RECIPES["PyTorch weights, by name"]) if "save_file" in text)
    exec(compile(saving, "docs/cookbook.md", "exec"), {"model": model})  # noqa: S102 - our own page
    graph = load("weights/tagger.safetensors", architecture="app.tagger:Tagger", inputs={"words": "float32[2, 8]"})
    words = np.random.default_rng(0).normal(size=(2, 8)).astype(np.float32)
    with torch.no_grad():
        expected = model["scores"](model["hidden"](torch.from_numpy(words)).relu()).softmax(-1).numpy()
    (found,) = run_graph(graph, {"words": words}, {}).values()
    np.testing.assert_allclose(found, expected, rtol=1e-5)
