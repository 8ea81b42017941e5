"""Every layer with its options in PyTorch and in Neurenix: constructor, parameter names, answers, gradients."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import both
import numpy as np
import pytest
import torch

import neurenix
import neurenix.nn
from neurenix.wasm import export_to_wasm

pytestmark = pytest.mark.peers

Layer = Callable[[Any], Any]
SEQUENCE, IMAGE, VOLUME = (2, 6, 11), (2, 6, 9, 10), (2, 4, 5, 6, 7)

# A layer made from a namespace `nn`, and the shapes of its inputs.
CASES: dict[str, tuple[Layer, tuple[tuple[int, ...], ...]]] = {
    "Linear": (lambda nn: nn.Linear(6, 5), ((3, 2, 6),)),
    "Linear no bias": (lambda nn: nn.Linear(6, 5, bias=False), ((6,),)),
    "Bilinear": (lambda nn: nn.Bilinear(4, 5, 3), ((7, 4), (7, 5))),
    "Identity": (lambda nn: nn.Identity(54, unused=1), ((3, 4),)),
    "Flatten": (lambda nn: nn.Flatten(), (IMAGE,)),
    "Flatten some": (lambda nn: nn.Flatten(1, -2), (IMAGE,)),
    "Unflatten": (lambda nn: nn.Unflatten(1, (2, 3)), (IMAGE,)),
    "Unflatten inferred": (lambda nn: nn.Unflatten(-1, (5, -1)), (IMAGE,)),
    "CosineSimilarity": (lambda nn: nn.CosineSimilarity(), ((4, 7, 3), (4, 7, 3))),
    "CosineSimilarity last": (lambda nn: nn.CosineSimilarity(dim=-1, eps=0.1), ((4, 7), (4, 7))),
    "PairwiseDistance": (lambda nn: nn.PairwiseDistance(), ((4, 7), (4, 7))),
    "PairwiseDistance 1": (lambda nn: nn.PairwiseDistance(p=1, keepdim=True), ((4, 7), (4, 7))),
    "PairwiseDistance 3": (lambda nn: nn.PairwiseDistance(p=3.0), ((4, 7), (4, 7))),
    "Dropout off": (lambda nn: nn.Dropout(0.0), ((4, 7),)),
    "Dropout2d off": (lambda nn: nn.Dropout2d(0.5).eval(), (IMAGE,)),
    "PixelShuffle": (lambda nn: nn.PixelShuffle(2), ((2, 12, 3, 4),)),
    "PixelUnshuffle": (lambda nn: nn.PixelUnshuffle(2), ((2, 3, 6, 4),)),
    "ChannelShuffle": (lambda nn: nn.ChannelShuffle(3), (IMAGE,)),
    "Upsample": (lambda nn: nn.Upsample(scale_factor=2), (IMAGE,)),
    "Upsample 1d": (lambda nn: nn.Upsample(scale_factor=2, mode="linear"), (SEQUENCE,)),
    "Upsample size": (lambda nn: nn.Upsample((13, 7), mode="bilinear"), (IMAGE,)),
    "Upsample corners": (lambda nn: nn.Upsample(scale_factor=2.0, mode="bilinear", align_corners=True), (IMAGE,)),
    "Upsample bicubic": (lambda nn: nn.Upsample(scale_factor=(1.5, 2), mode="bicubic"), (IMAGE,)),
    "UpsamplingNearest2d": (lambda nn: nn.UpsamplingNearest2d(scale_factor=3), (IMAGE,)),
    "UpsamplingBilinear2d": (lambda nn: nn.UpsamplingBilinear2d(scale_factor=2), (IMAGE,)),
    "ZeroPad2d": (lambda nn: nn.ZeroPad2d((1, 2, 0, 3)), (IMAGE,)),
    "ConstantPad1d": (lambda nn: nn.ConstantPad1d(2, 0.5), (SEQUENCE,)),
    "ReflectionPad2d": (lambda nn: nn.ReflectionPad2d((1, 2, 3, 0)), (IMAGE,)),
    "ReplicationPad1d": (lambda nn: nn.ReplicationPad1d((3, 1)), (SEQUENCE,)),
    "CircularPad2d": (lambda nn: nn.CircularPad2d(2), (IMAGE,)),
    "Conv1d": (lambda nn: nn.Conv1d(6, 4, 3, stride=2, padding=1), (SEQUENCE,)),
    "Conv2d": (lambda nn: nn.Conv2d(6, 4, 3), (IMAGE,)),
    "Conv2d options": (lambda nn: nn.Conv2d(6, 8, (3, 2), (2, 1), (1, 0), (2, 3), groups=2, bias=False), (IMAGE,)),
    "Conv2d depthwise": (lambda nn: nn.Conv2d(6, 12, 3, padding="same", groups=6), (IMAGE,)),
    "Conv2d valid": (lambda nn: nn.Conv2d(6, 2, 3, padding="valid"), (IMAGE,)),
    "Conv2d reflect": (lambda nn: nn.Conv2d(6, 2, 3, padding=1, padding_mode="reflect"), (IMAGE,)),
    "Conv3d": (lambda nn: nn.Conv3d(4, 3, 3, padding=1, stride=2), (VOLUME,)),
    "ConvTranspose1d": (lambda nn: nn.ConvTranspose1d(6, 4, 4, stride=3, padding=1), (SEQUENCE,)),
    "ConvTranspose2d": (lambda nn: nn.ConvTranspose2d(6, 4, 3, 2, 1, output_padding=1), (IMAGE,)),
    "ConvTranspose2d options": (lambda nn: nn.ConvTranspose2d(6, 4, 3, 2, groups=2, dilation=2, bias=False), (IMAGE,)),
    "BatchNorm1d": (lambda nn: nn.BatchNorm1d(6), ((8, 6),)),
    "BatchNorm1d sequence": (lambda nn: nn.BatchNorm1d(6, momentum=0.3), (SEQUENCE,)),
    "BatchNorm2d": (lambda nn: nn.BatchNorm2d(6, eps=1e-3), (IMAGE,)),
    "BatchNorm2d eval": (lambda nn: nn.BatchNorm2d(6).eval(), (IMAGE,)),
    "BatchNorm2d plain": (lambda nn: nn.BatchNorm2d(6, affine=False, track_running_stats=False), (IMAGE,)),
    "BatchNorm2d cumulative": (lambda nn: nn.BatchNorm2d(6, momentum=None), (IMAGE,)),
    "LayerNorm": (lambda nn: nn.LayerNorm(10), (IMAGE,)),
    "LayerNorm two axes": (lambda nn: nn.LayerNorm((9, 10), eps=1e-3, bias=False), (IMAGE,)),
    "GroupNorm": (lambda nn: nn.GroupNorm(3, 6), (IMAGE,)),
    "InstanceNorm2d": (lambda nn: nn.InstanceNorm2d(6), (IMAGE,)),
    "InstanceNorm2d affine": (lambda nn: nn.InstanceNorm2d(6, affine=True), (IMAGE,)),
    "RMSNorm": (lambda nn: nn.RMSNorm(10, eps=1e-5), (IMAGE,)),
    "LocalResponseNorm": (lambda nn: nn.LocalResponseNorm(3, alpha=0.1), (IMAGE,)),
    "MaxPool1d": (lambda nn: nn.MaxPool1d(3, 2, padding=1), (SEQUENCE,)),
    "MaxPool2d": (lambda nn: nn.MaxPool2d((3, 2), stride=(2, 3), padding=1, dilation=(2, 1)), (IMAGE,)),
    "MaxPool2d ceil": (lambda nn: nn.MaxPool2d(2, ceil_mode=True), (IMAGE,)),
    "MaxPool3d": (lambda nn: nn.MaxPool3d(2), (VOLUME,)),
    "AvgPool1d": (lambda nn: nn.AvgPool1d(3, 2), (SEQUENCE,)),
    "AvgPool2d": (lambda nn: nn.AvgPool2d(3, stride=2, padding=1), (IMAGE,)),
    "AvgPool2d counts": (
        lambda nn: nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), (IMAGE,),
    ),
    "AvgPool3d": (lambda nn: nn.AvgPool3d(2), (VOLUME,)),
    "LPPool2d": (lambda nn: nn.LPPool2d(2, 3, stride=2), (IMAGE,)),
    "AdaptiveAvgPool1d": (lambda nn: nn.AdaptiveAvgPool1d(4), (SEQUENCE,)),
    "AdaptiveAvgPool2d": (lambda nn: nn.AdaptiveAvgPool2d((4, None)), (IMAGE,)),
    "AdaptiveMaxPool2d": (lambda nn: nn.AdaptiveMaxPool2d((4, 3)), (IMAGE,)),
    "ReLU": (lambda nn: nn.ReLU(inplace=False), ((4, 7),)),
    "ReLU6": (lambda nn: nn.ReLU6(), ((4, 7),)),
    "LeakyReLU": (lambda nn: nn.LeakyReLU(0.2), ((4, 7),)),
    "PReLU": (lambda nn: nn.PReLU(), ((4, 7),)),
    "PReLU channels": (lambda nn: nn.PReLU(6, init=0.1), (IMAGE,)),
    "ELU": (lambda nn: nn.ELU(0.7), ((4, 7),)),
    "SELU": (lambda nn: nn.SELU(), ((4, 7),)),
    "CELU": (lambda nn: nn.CELU(0.6), ((4, 7),)),
    "GELU": (lambda nn: nn.GELU(), ((4, 7),)),
    "GELU tanh": (lambda nn: nn.GELU(approximate="tanh"), ((4, 7),)),
    "SiLU": (lambda nn: nn.SiLU(), ((4, 7),)),
    "Mish": (lambda nn: nn.Mish(), ((4, 7),)),
    "Softplus": (lambda nn: nn.Softplus(), ((4, 7),)),
    "Softplus options": (lambda nn: nn.Softplus(beta=2.0, threshold=1.5), ((4, 7),)),
    "Softsign": (lambda nn: nn.Softsign(), ((4, 7),)),
    "Sigmoid": (lambda nn: nn.Sigmoid(), ((4, 7),)),
    "LogSigmoid": (lambda nn: nn.LogSigmoid(), ((4, 7),)),
    "Hardsigmoid": (lambda nn: nn.Hardsigmoid(), ((4, 7),)),
    "Hardswish": (lambda nn: nn.Hardswish(), ((4, 7),)),
    "Hardtanh": (lambda nn: nn.Hardtanh(-0.4, 0.8), ((4, 7),)),
    "Hardshrink": (lambda nn: nn.Hardshrink(), ((4, 7),)),
    "Softshrink": (lambda nn: nn.Softshrink(0.3), ((4, 7),)),
    "Tanh": (lambda nn: nn.Tanh(), ((4, 7),)),
    "Tanhshrink": (lambda nn: nn.Tanhshrink(), ((4, 7),)),
    "Threshold": (lambda nn: nn.Threshold(0.1, 20.0), ((4, 7),)),
    "GLU": (lambda nn: nn.GLU(1), (IMAGE,)),
    "Softmax": (lambda nn: nn.Softmax(dim=1), (IMAGE,)),
    "LogSoftmax": (lambda nn: nn.LogSoftmax(dim=-1), (IMAGE,)),
    "Softmin": (lambda nn: nn.Softmin(dim=1), ((4, 7),)),
}  # fmt: skip

# What PyTorch's constructors take and ours do not: where a tensor lives, and arguments that PyTorch itself gave up.
TORCH_ONLY = {"device", "dtype", "size_average", "reduce", "min_value", "max_value",
              "return_indices", "_freeze", "_weight", "max_norm",
              "norm_type", "scale_grad_by_freq", "sparse"}  # fmt: skip


def weighted_sum(lib: Any, output: Any) -> Any:
    """A loss in which every element of the output counts differently."""
    shape = tuple(output.shape)
    weights = np.linspace(-1, 1.5, int(np.prod(shape)), dtype=np.float32).reshape(shape)
    return (output * (torch.from_numpy(weights) if lib is torch else neurenix.Tensor(weights))).sum()


@pytest.mark.parametrize("name", CASES)
def test_layers_agree(name: str, tmp_path: Path) -> None:
    make, shapes = CASES[name]
    theirs, ours = both.twins(lambda lib: make(lib.nn), tmp_path)
    assert list(theirs.state_dict()) == list(ours.state_dict())
    rng = np.random.default_rng(2)
    inputs = [rng.standard_normal(shape).astype(np.float32) * 1.5 for shape in shapes]
    for _ in range(2):  # twice, for statistics that run
        expected = both.run(torch, theirs, inputs, weighted_sum)
        both.agree(expected, both.run(neurenix, ours, inputs, weighted_sum))


class Together(neurenix.nn.Module):
    """Layers that have nothing to do with each other, each with inputs of its own: one compilation for all."""

    def __init__(self, layers: list[Any], takes: list[int]) -> None:
        super().__init__()
        self.layers, self.takes = neurenix.nn.ModuleList(layers), takes

    def forward(self, *inputs: Any) -> Any:
        rest = list(inputs)
        return [layer(*(rest.pop(0) for _ in range(count))) for layer, count in zip(self.layers, self.takes)]


GROUPS = [list(CASES)[start : start + 12] for start in range(0, len(CASES), 12)]


@pytest.mark.parametrize("names", GROUPS, ids=lambda names: names[0])
def test_compiled_layers_agree(names: list[str], tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    pairs = [both.twins(lambda lib, make=CASES[name][0]: make(lib.nn), tmp_path) for name in names]
    data = [[rng.standard_normal(s).astype(np.float32) * 1.5 for s in CASES[name][1]] for name in names]
    flat = {f"input_{i}": x for i, x in enumerate(x for xs in data for x in xs)}
    # Every axis has its size, the first included: Linear takes a vector here, and Flatten any rank.
    shapes = {name: x.shape for name, x in flat.items()}
    model = Together([ours for _, ours in pairs], [len(xs) for xs in data])
    bundle = export_to_wasm(model, tmp_path / "bundle", "layers", inputs=shapes)
    for device in ("cpu", "wasm"):
        answers = list(neurenix.load_model(Path(bundle) / "layers.json", device=device).forward(flat).values())
        assert len(names) == len(answers)
        for name, (theirs, _), xs, answer in zip(names, pairs, data, answers):
            with torch.no_grad():
                expected = theirs.eval()(*map(torch.from_numpy, xs))
            both.near(expected, answer, f"{name} on {device}")


def shared() -> list[str]:
    """The layers and losses that both libraries have."""
    named = [n for n in neurenix.nn.__all__ if isinstance(getattr(neurenix.nn, n), type) and hasattr(torch.nn, n)]
    return [n for n in named if n not in ("Module", "Parameter", "Sequential")]


@pytest.mark.parametrize("name", shared())
def test_constructors_are_pytorchs(name: str) -> None:
    theirs, ours = (_options(getattr(lib.nn, name)) for lib in (torch, neurenix))
    theirs = {k: v for k, v in theirs.items() if k in ours or k not in TORCH_ONLY}
    if {"args", "kwargs"} & set(theirs):
        return  # PyTorch's takes anything, so there is nothing to compare
    assert list(theirs) == list(ours)
    for option, default in theirs.items():
        assert _same(default, ours[option]), f"{option} is {default!r} in PyTorch and {ours[option]!r} here"


def _options(kind: type) -> dict[str, Any]:
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
    # What may only be given by name is what PyTorch added of late.
    return {p.name: p.default for p in parameters if p.kind != inspect.Parameter.KEYWORD_ONLY}


def _same(theirs: Any, ours: Any) -> bool:
    if theirs is None and (ours == () or ours == -1):
        return True  # an empty list, and the axis that PyTorch warns about guessing
    if isinstance(ours, str) and callable(theirs):
        return bool(theirs.__name__ == ours)
    return bool(theirs == ours)
