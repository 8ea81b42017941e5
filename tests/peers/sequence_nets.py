"""Well-known networks of sequences as PyTorch modules: a GPT-2 decoder, a bidirectional tagger, MiniLM's encoder."""

from __future__ import annotations

import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn


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
