"""Claims about PyTorch models read into a Graph: the answers are PyTorch's, the dims stay symbolic."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from neurenix import nn
from neurenix.errors import InputError, ModelError, UnsupportedError
from neurenix.frontends import load
from neurenix.phynexus.reference import run_graph

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]  # the exporter's own deprecations

INPUTS = {"image": "float32[batch, 3, 16, 16]"}
DIMS = {"batch": (1, 8)}


def build() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, 2, 1),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(8, 5),
    )


def build_ours() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)
    )


def answers(graph: Any, batch: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return PyTorch's answer and the graph's."""
    image = np.random.default_rng(batch).normal(size=(batch, 3, 16, 16)).astype(np.float32)
    with torch.no_grad():
        expected = build().eval()(torch.from_numpy(image)).numpy()
    return expected, run_graph(graph, {"image": image}, {"batch": batch})[graph.outputs[0]]


@pytest.mark.parametrize("batch", [1, 7])
def test_a_module_answers_as_pytorch_does_at_every_batch(batch: int) -> None:
    expected, actual = answers(load(build(), inputs=INPUTS, dims=DIMS), batch)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_parameters_keep_their_names() -> None:
    graph = load(build(), inputs=INPUTS, dims=DIMS)
    assert {"0.weight", "5.weight", "5.bias"} <= set(graph.constants)


def test_an_exported_program_and_its_file_answer_alike(tmp_path: Path) -> None:
    batch = torch.export.Dim("batch", min=1, max=8)
    program = torch.export.export(build().eval(), (torch.zeros(2, 3, 16, 16),), dynamic_shapes=({0: batch},))
    torch.export.save(program, tmp_path / "model.pt2")
    for source in (program, tmp_path / "model.pt2"):
        graph = load(source, inputs=None, dims=None)
        (name,) = graph.inputs
        (dim,) = graph.dims
        image = np.random.default_rng(3).normal(size=(3, 3, 16, 16)).astype(np.float32)
        expected = build().eval()(torch.from_numpy(image)).detach().numpy()
        actual = run_graph(graph, {name: image}, {dim: 3})[graph.outputs[0]]
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("architecture", [build, build_ours], ids=["torch", "neurenix"])
@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth"])
def test_weights_fill_an_architecture(suffix: str, architecture: Callable[[], Any], tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    state = build().state_dict()
    if suffix == ".safetensors":
        save_file({k: t.numpy() for k, t in state.items()}, path)
    else:
        torch.save(state, path)
    expected, actual = answers(load(path, architecture=architecture, inputs=INPUTS, dims=DIMS), 2)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_a_pickle_with_more_than_weights_is_not_opened(tmp_path: Path) -> None:
    torch.save(build(), tmp_path / "model.pt")
    with pytest.raises(ModelError, match="a pickle may run any code"):
        load(tmp_path / "model.pt", architecture=build, inputs=INPUTS)


def test_weights_without_architecture_or_for_another_are_refused(tmp_path: Path) -> None:
    torch.save(build().state_dict(), tmp_path / "model.pt")
    with pytest.raises(InputError, match="names what builds the model"):
        load(tmp_path / "model.pt")
    with pytest.raises(ModelError, match="does not fit the architecture Linear"):
        load(tmp_path / "model.pt", architecture=lambda: torch.nn.Linear(2, 2), inputs={"x": "float32[batch, 2]"})


class Recurrent(torch.nn.Module):
    """torch's exporter takes an LSTM's length for the one that it was traced at, and says nothing."""

    def __init__(self, mean: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.lstm, self.mean = torch.nn.LSTM(4, 3, batch_first=True), mean

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.lstm(x)[0]
        return y.sum(1) / y.shape[1] if self.mean else y


def test_a_dimension_that_the_exporter_fixed_is_found_out_where_it_matters() -> None:
    inputs, dims = {"x": "float32[batch, length, 4]"}, {"batch": (1, 4), "length": (1, 32)}
    graph = load(Recurrent(False), inputs=inputs, dims=dims)
    x = np.random.default_rng(0).normal(size=(2, 21, 4)).astype(np.float32)
    expected = Recurrent(False)(torch.from_numpy(x)).detach().numpy()
    actual = run_graph(graph, {"x": x}, {"batch": 2, "length": 21})[graph.outputs[0]]
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(UnsupportedError, match=r"exporter fixed a dimension of Recurrent.*length=19.*fix it with dims"):
        load(Recurrent(True), inputs=inputs, dims=dims)


def test_a_model_that_torch_cannot_export_is_refused_in_its_words() -> None:
    class Branching(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2 if x.sum() > 0 else x

    with pytest.raises(UnsupportedError, match="PyTorch cannot export the model Branching"):
        load(Branching(), inputs={"x": "float32[batch, 4]"})
