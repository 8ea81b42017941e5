"""Sequences and optional values inside a model: their lengths are known while it is read, so they leave no trace."""

from __future__ import annotations

import numpy as np

from neurenix.errors import ModelError, UnsupportedError
from neurenix.frontends.onnx.operator import Constant, Sizes, TensorSequence, operator
from neurenix.frontends.onnx.symbolic import Value
from neurenix.tensor import Tensor, cat, stack


@operator("SequenceConstruct", since=11)
def sequence_construct(*inputs: Value) -> TensorSequence:
    return TensorSequence(tuple(inputs))


@operator("SequenceEmpty", since=11)
def sequence_empty(*, dtype: int = 1) -> TensorSequence:
    return TensorSequence(())


@operator("SplitToSequence", since=11)
def split_to_sequence(
    input: Tensor, split: Sizes | None = None, *, axis: int = 0, keepdims: bool = True
) -> TensorSequence:
    """`split` is the size of every part, or of each; without it each part is one element, without axis or with."""
    total = input.shape[axis]
    given = [s for s in split or () if isinstance(s, int)]
    if not isinstance(total, int) or len(given) < len(split or ()):
        raise UnsupportedError(f"it splits an axis of size {total}, and how many parts there are must be known")
    if split is None and not keepdims:
        return TensorSequence(input.unbind(axis))
    sizes = 1 if split is None else given[0] if len(given) == 1 else given
    return TensorSequence(input.split(sizes, axis))


@operator("SequenceAt", since=11)
def sequence_at(input_sequence: TensorSequence, position: Constant) -> Value:
    return input_sequence.items[_place(input_sequence, position)]


@operator("SequenceInsert", since=11)
def sequence_insert(input_sequence: TensorSequence, tensor: Value, position: Constant | None = None) -> TensorSequence:
    items = list(input_sequence.items)
    at = len(items) if position is None else int(position.reshape(()))
    if not -len(items) <= at <= len(items):
        raise ModelError(f"its position {at} is not within a sequence of {len(items)}")
    items.insert(at, tensor)
    return TensorSequence(tuple(items))


@operator("SequenceErase", since=11)
def sequence_erase(input_sequence: TensorSequence, position: Constant | None = None) -> TensorSequence:
    items = list(input_sequence.items)
    del items[-1 if position is None else _place(input_sequence, position)]
    return TensorSequence(tuple(items))


@operator("SequenceLength", since=11)
def sequence_length(input_sequence: TensorSequence) -> Tensor:
    return Tensor(np.array(len(input_sequence.items), np.int64))


@operator("ConcatFromSequence", since=11)
def concat_from_sequence(input_sequence: TensorSequence, *, axis: int, new_axis: bool = False) -> Tensor:
    tensors = input_sequence.tensors()
    return stack(tensors, axis) if new_axis else cat(tensors, axis)


@operator("Optional", since=15)
def optional(input: Value | TensorSequence | None = None, *, type: object = None) -> Value | TensorSequence | None:
    return input


@operator("OptionalHasElement", since=15)
def optional_has_element(input: Value | TensorSequence | None = None) -> Tensor:
    return Tensor(np.array(input is not None))


@operator("OptionalGetElement", since=15)
def optional_get_element(input: Value | TensorSequence) -> Value | TensorSequence:
    return input


def _place(sequence: TensorSequence, position: Constant) -> int:
    at = int(position.reshape(()))
    if not -len(sequence.items) <= at < len(sequence.items):
        raise ModelError(f"its position {at} is not within a sequence of {len(sequence.items)}")
    return at
