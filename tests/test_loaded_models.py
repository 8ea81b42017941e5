"""Claims about `load = …`: a file with fixed inputs, or a function that returns a model from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_models import model, node
from scratch_training import Project, make_project

from neurenix.graph.graph import Graph
from neurenix.graph.store import load_graph
from neurenix.phynexus.reference import run_graph
from neurenix.project import pipeline

MODEL = """
from neurenix.frontends import load

def from_file():
    return load("models/reshaping.onnx", constants={"shape": [4, 6]})

def path():
    return "models/reshaping.onnx"
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    made = make_project(tmp_path, monkeypatch)
    proto = model([node("Reshape", "x shape", "y")], {"x": [24], "shape": [2]}, ["y"], dtypes={"shape": np.int64})
    (made.root / "models").mkdir()
    (made.root / "models" / "reshaping.onnx").write_bytes(proto.SerializeToString())
    (made.root / "src" / "app" / "foreign.py").write_text(MODEL, encoding="utf-8")
    return made


def read(project: Project, **keys: Any) -> Graph:
    """Build the project with its model from another source; return the graph that it became."""
    project.table["models"]["m"] = keys
    pipeline.build_models(
        project.config(), project.root, None, project.lines.append, cache=project.cache, exporter=project.export
    )
    (graph,) = project.cache.glob("v1/entries/*/files/graph.npz")
    return load_graph(graph)


@pytest.mark.slow
@pytest.mark.parametrize(
    "keys",
    [
        {"load": "models/reshaping.onnx", "constants": {"shape": [4, 6]}},
        {"load": "app.foreign:from_file", "watch": ["models/*.onnx"]},
        {"train": "app.foreign:from_file", "watch": ["models/*.onnx"]},
    ],
    ids=["file", "load", "train"],
)
def test_an_input_that_decides_a_shape_is_fixed(keys: dict[str, Any], project: Project) -> None:
    graph = read(project, **keys)
    x = np.arange(24, dtype=np.float32)
    assert (("x",), (4, 6)) == (graph.inputs, run_graph(graph, {"x": x}, {})["y"].shape)
