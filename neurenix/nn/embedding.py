"""Embedding: a table of vectors, looked up by whole numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurenix.errors import InputError, UnsupportedError
from neurenix.nn.module import Module, Parameter
from neurenix.tensor import Tensor, generator


def embedding(input: Tensor, weight: Tensor, padding_idx: int | None = None) -> Tensor:
    """Return the rows of weight (num_embeddings, embedding_dim) that `input`, of any shape, names.

    The row `padding_idx` gets no gradient. Raises InputError when `input` holds no whole numbers or one that is no
    row.
    """
    if input.dtype.numpy.kind not in "iu":
        raise InputError(f"embedding takes whole numbers, got {input.dtype}: cast them with .cast('int64')")
    rows = weight.index_select(0, input.reshape((-1,)))
    if padding_idx is not None and rows.requires_grad:
        rows = rows.detach().where(input.reshape((-1, 1)) == _row(padding_idx, weight), rows)
    return rows.reshape((*input.shape, weight.shape[1]))


def _row(index: int, weight: Tensor) -> int:
    """Return a row's place counted from the front. Raises InputError when there is no such row."""
    (count, _) = weight.shape
    assert isinstance(count, int)
    if not -count <= index < count:
        raise InputError(f"padding_idx {index} is no row of {count} embeddings")
    return index % count


class Embedding(Module):
    """A table of num_embeddings vectors; the one at `padding_idx` starts as zeros and is never trained."""

    weight: Parameter

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        _weight: Any = None,
        _freeze: bool = False,
    ) -> None:
        super().__init__()
        if max_norm is not None:
            raise UnsupportedError("Embedding's max_norm is not supported: it changes the weights while they are read")
        if min(num_embeddings, embedding_dim) < 1:
            raise InputError(f"num_embeddings {num_embeddings} and embedding_dim {embedding_dim} must be at least 1")
        if _weight is None:
            table = generator().standard_normal((num_embeddings, embedding_dim), dtype=np.float32)
        else:
            table = np.array(_weight.numpy() if isinstance(_weight, Tensor) else _weight)
        if table.shape != (num_embeddings, embedding_dim):
            raise InputError(f"the weights must be {[num_embeddings, embedding_dim]}, got {list(table.shape)}")
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.weight = Parameter(table)
        self.weight.requires_grad = not _freeze
        self.padding_idx = None if padding_idx is None else _row(padding_idx, self.weight)
        if self.padding_idx is not None and _weight is None:
            table[self.padding_idx] = 0

    @staticmethod
    def from_pretrained(embeddings: Any, freeze: bool = True, padding_idx: int | None = None) -> Embedding:
        """Return an Embedding of the given table (num_embeddings, embedding_dim); `freeze` keeps it from training."""
        table = np.asarray(embeddings.numpy() if isinstance(embeddings, Tensor) else embeddings)
        if table.ndim != 2:
            raise InputError(f"the embeddings must be a matrix, got the shape {list(table.shape)}")
        count, width = table.shape
        return Embedding(count, width, padding_idx, _weight=table, _freeze=freeze)

    def forward(self, input: Tensor) -> Tensor:
        return embedding(input, self.weight, self.padding_idx)
