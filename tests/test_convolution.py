"""The convolution layers: their options, their errors, and their compiled form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from op_cases import FORMS, NATIVE, assert_close, run_forms
from random_nets import norm

from neurenix import Tensor
from neurenix.compiler import passes
from neurenix.errors import GraphError, InputError
from neurenix.nn import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    Module,
    ReLU,
    Sequential,
)
from neurenix.phynexus.reference import run_graph
from neurenix.trace import trace

RNG = np.random.default_rng(6)


def _normal(*shape: int) -> np.ndarray[Any, Any]:
    return RNG.standard_normal(shape).astype(np.float32)


def test_weights_have_pytorchs_shapes_and_spread() -> None:
    assert (6, 2, 3) == Conv1d(4, 6, 3, groups=2).weight.shape
    assert (6, 2, 3, 5) == Conv2d(4, 6, (3, 5), groups=2).weight.shape
    assert (6, 4, 3, 3, 3) == Conv3d(4, 6, 3).weight.shape
    assert (4, 3, 3) == ConvTranspose1d(4, 6, 3, groups=2).weight.shape
    assert (4, 6, 3, 3) == ConvTranspose2d(4, 6, 3).weight.shape
    wide = ConvTranspose2d(4, 256, 3)  # by the weight's second axis, as PyTorch counts
    assert np.abs(wide.weight.numpy()).max() == pytest.approx(1 / (256 * 9) ** 0.5, rel=0.01)
    assert Conv2d(4, 6, 3, bias=False).bias is None


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Conv2d(4, 6, 3, groups=4), "groups must divide"),
        (lambda: Conv2d(4, 6, (3, 3, 3)), "kernel_size takes a number or 2"),
        (lambda: Conv2d(4, 6, 3, padding="full"), "'same' or 'valid'"),
        (lambda: Conv2d(4, 6, 3, stride=2, padding="same"), "padding 'same'"),
        (lambda: Conv2d(4, 6, 3, padding_mode="mirror"), "padding_mode is one of"),
        (lambda: ConvTranspose2d(4, 6, 3, padding_mode="reflect"), "zeros"),
        (lambda: ConvTranspose2d(4, 6, 3)(_normal(1, 5, 4, 4)), "takes 4 channels"),
        (lambda: ConvTranspose2d(4, 6, 3, output_padding=1)(_normal(1, 4, 4, 4)), "output_padding"),
        (lambda: ConvTranspose2d(4, 6, 3, 2)(_normal(1, 4, 4, 4), output_size=(11, 9)), "9 to 10 elements, not 11"),
        (lambda: Conv2d(4, 6, 3)(_normal(4, 4)), "rank 4"),
        (lambda: Conv2d(4, 6, 3)(_normal(1, 3, 4, 4)), "takes 4 channels"),
    ],
)
def test_wrong_options_are_named(make: Any, problem: str) -> None:
    with pytest.raises((InputError, GraphError), match=problem):
        make()


def test_padding_by_name_keeps_or_leaves_the_size() -> None:
    x = _normal(2, 3, 9, 8)
    assert (2, 5, 9, 8) == Conv2d(3, 5, (4, 3), padding="same", dilation=(1, 2))(x).shape
    assert (2, 5, 6, 6) == Conv2d(3, 5, (4, 3), padding="valid")(x).shape


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_modes_are_numpys(mode: str) -> None:
    layer, x = Conv2d(3, 4, 3, padding=(1, 2), padding_mode=mode), _normal(2, 3, 6, 7)
    how: Any = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode]
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (2, 2)), mode=how)
    np.testing.assert_allclose(
        Tensor(padded).conv2d(layer.weight, layer.bias).numpy(), layer(x).numpy(), rtol=1e-5, atol=1e-5
    )


def test_an_image_may_come_without_its_batch() -> None:
    for layer, shape in ((Conv2d(3, 4, 3), (3, 6, 7)), (Conv1d(3, 4, 3), (3, 6)), (ConvTranspose1d(3, 4, 3), (3, 6))):
        x = _normal(*shape)
        np.testing.assert_allclose(layer(x[None]).numpy()[0], layer(x).numpy(), rtol=1e-5, atol=1e-6)


def test_the_output_size_of_a_transposed_convolution_can_be_chosen() -> None:
    layer = ConvTranspose2d(3, 4, 3, stride=2, padding=1)
    assert (1, 4, 10, 9) == layer(_normal(1, 3, 5, 5), output_size=(10, 9)).shape


def test_a_transposed_convolution_is_the_transpose() -> None:
    x, y, w = _normal(2, 4, 9, 8), _normal(2, 6, 4, 7), _normal(6, 2, 3, 4)
    options = {"stride": (2, 1), "padding": (0, 1), "groups": 2, "dilation": (1, 1)}
    forward = (Tensor(x).conv2d(w, **options) * y).sum().item()
    back = (Tensor(y).conv_transpose2d(w, **options) * x).sum().item()
    assert forward == pytest.approx(back, rel=1e-4)


MODELS = [
    ("grouped", Sequential(Conv2d(6, 15, 3, padding=1, groups=3), ReLU(), Conv2d(15, 20, 1, groups=5)), (6, 9, 8)),
    ("depthwise", Sequential(Conv2d(9, 9, 3, padding=1, groups=9), norm(RNG, 9), ReLU(),
                             Conv2d(9, 18, 5, 2, 2, groups=9)), (9, 11, 13)),
    ("mobile", Sequential(Conv2d(3, 16, 3, 2, 1), Conv2d(16, 16, 3, 1, 1, groups=16, bias=False), norm(RNG, 16), ReLU(),
                          Conv2d(16, 8, 1), norm(RNG, 8)), (3, 15, 15)),
    ("dilated", Conv2d(4, 4, 3, padding="same", dilation=2, groups=4), (4, 10, 9)),
    ("sequence", Sequential(Conv1d(5, 12, 3, padding=1, groups=1), ReLU(), Conv1d(12, 7, 4, 2, dilation=2)), (5, 21)),
    ("volume", Conv3d(4, 6, (3, 2, 3), stride=(2, 1, 1), padding=(1, 0, 1), groups=2), (4, 5, 6, 7)),
    ("up", Sequential(ConvTranspose2d(6, 4, 2, stride=2), ReLU(), Conv2d(4, 3, 3, padding=1)), (6, 5, 4)),
    ("up grouped", ConvTranspose2d(6, 4, 3, stride=(2, 3), padding=1, output_padding=(1, 2), groups=2, dilation=(2, 1)),
     (6, 5, 4)),
    ("up sequence", ConvTranspose1d(6, 4, 4, stride=2, padding=1), (6, 9)),
    ("up volume", ConvTranspose3d(4, 2, 2, stride=2), (4, 3, 4, 3)),
]  # fmt: skip


@pytest.mark.parametrize("forms", FORMS)
@pytest.mark.parametrize(("model", "shape"), [m[1:] for m in MODELS], ids=[m[0] for m in MODELS])
def test_layers_are_compiled(model: Module, shape: tuple[int, ...], forms: tuple[str, ...]) -> None:
    spec = f"float32[batch, {', '.join(map(str, shape))}]"
    graph = trace(model.eval(), {"x": spec}, {"batch": (1, 3)})
    feeds, dims = {"x": _normal(3, *shape)}, {"batch": 3}
    expected = run_graph(graph, feeds, dims, "float64")["output"]
    assert_close(expected, model(feeds["x"]).numpy(), 2e-5, "eager")
    for form, (answers,) in run_forms(graph, [(feeds, dims)], forms if forms == NATIVE else forms[-1:]):
        assert_close(expected, answers["output"], 2e-5, form)


def test_batch_norms_fold_into_grouped_and_depthwise_weights() -> None:
    grouped = Conv2d(8, 12, 3, groups=4, bias=False)
    model = Sequential(Conv2d(8, 8, 3, groups=8), norm(RNG, 8), ReLU(), grouped, norm(RNG, 12))
    graph = passes.run(trace(model.eval(), {"x": "float32[batch, 8, 9, 9]"}))
    assert ["permute", "depthwise2d", "conv2d", "permute"] == [n.op for n in graph.nodes]
    assert 4 == len(graph.constants)


@pytest.mark.parametrize("forms", FORMS)
def test_weights_made_at_run_time_are_compiled(forms: tuple[str, ...]) -> None:
    class Filter(Module):
        def forward(self, x: Tensor, w: Tensor) -> Tensor:
            return x.conv2d(w, stride=2, padding=1, groups=2).relu()

    graph = trace(Filter(), {"x": "float32[batch, 4, 7, 6]", "w": "float32[6, 2, 3, 3]"})
    feeds, dims = {"x": _normal(2, 4, 7, 6), "w": _normal(6, 2, 3, 3)}, {"batch": 2}
    expected = run_graph(graph, feeds, dims, "float64")["output"]
    for form, (answers,) in run_forms(graph, [(feeds, dims)], forms[-1:]):
        assert_close(expected, answers["output"], 2e-5, form)
