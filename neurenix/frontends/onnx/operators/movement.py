"""Operators that move elements without changing them: reshapes, transpositions, joins, repetitions."""

from __future__ import annotations

import numpy as np

from neurenix.dims import Dim, Size, product
from neurenix.errors import ModelError, UnsupportedError
from neurenix.frontends.onnx.limits import affordable
from neurenix.frontends.onnx.operator import Call, Sizes, operator
from neurenix.frontends.onnx.size_arithmetic import integers
from neurenix.frontends.onnx.symbolic import Array, Symbolic, Value, symbolic
from neurenix.ops.shapes import axis_of, broadcast
from neurenix.tensor import Tensor, cat


@operator("Identity", sizes=np.asarray)
def identity(input: Tensor) -> Tensor:
    return input


def _reshape_sizes(data: Array, shape: Array, *, allowzero: bool = False) -> Array:
    return data.reshape(_wanted(data.shape, integers(shape), allowzero))


@operator("Reshape", since=5, sizes=_reshape_sizes)
def reshape(data: Tensor, shape: Sizes, *, allowzero: bool = False) -> Tensor:
    """0 keeps the input's size there unless `allowzero`; one -1 is inferred."""
    return data.reshape(_wanted(data.shape, shape, allowzero))


def _wanted(had: tuple[Size, ...], shape: tuple[Size, ...], allowzero: bool) -> tuple[Size, ...]:
    if any(s == 0 and at >= len(had) for at, s in enumerate(shape)) and not allowzero:
        raise ModelError(f"its shape {list(shape)} keeps an axis that the input of {len(had)} axes does not have")
    return tuple(had[at] if s == 0 and not allowzero else s for at, s in enumerate(shape))


@operator("Flatten", sizes=lambda data, *, axis=1: data.reshape(_two(data.shape, axis)))
def flatten(input: Tensor, *, axis: int = 1) -> Tensor:
    return input.reshape(_two(input.shape, axis))


def _two(shape: tuple[Size, ...], axis: int) -> tuple[Size, Size]:
    if not -len(shape) <= axis <= len(shape):
        raise ModelError(f"its axis {axis} is not within the {len(shape)} axes of its input")
    cut = axis + len(shape) if axis < 0 else axis
    return product(shape[:cut]), product(shape[cut:])


@operator("Transpose", sizes=lambda data, *, perm=None: np.transpose(data, perm))
def transpose(data: Tensor, *, perm: tuple[int, ...] | None = None) -> Tensor:
    return data.permute(perm if perm is not None else tuple(reversed(range(data.ndim))))


# ── axes of size 1 ──────────────────────────────────────────────────────────────────────────────────


def _squeeze_sizes(data: Array, axes: Array | tuple[int, ...] | None = None) -> Array:
    return np.squeeze(data, None if axes is None else integers(np.asarray(axes, dtype=object)))


@operator("Squeeze", sizes=_squeeze_sizes)
def squeeze_7(data: Tensor, *, axes: tuple[int, ...] | None = None) -> Tensor:
    return _squeezed(data, axes)


@operator("Squeeze", since=13, sizes=_squeeze_sizes)
def squeeze(data: Tensor, axes: Sizes | None = None) -> Tensor:
    """Without axes, leave out all that are known to be of size 1."""
    return _squeezed(data, None if axes is None else _axes(axes))


def _squeezed(data: Tensor, axes: tuple[int, ...] | None) -> Tensor:
    for axis in axes or ():
        if data.shape[axis_of(axis, data.ndim)] != 1:
            raise ModelError(f"it leaves out axis {axis} of {list(data.shape)}, which is not of size 1")
    return data.squeeze(axes)


def _unsqueeze_sizes(data: Array, axes: Array | tuple[int, ...]) -> Array:
    return np.expand_dims(data, integers(np.asarray(axes, dtype=object)))


@operator("Unsqueeze", sizes=_unsqueeze_sizes)
def unsqueeze_7(data: Tensor, *, axes: tuple[int, ...]) -> Tensor:
    return _unsqueezed(data, axes)


@operator("Unsqueeze", since=13, sizes=_unsqueeze_sizes)
def unsqueeze(data: Tensor, axes: Sizes) -> Tensor:
    """The axes are those of the result."""
    return _unsqueezed(data, _axes(axes))


def _unsqueezed(data: Tensor, axes: tuple[int, ...]) -> Tensor:
    rank = data.ndim + len(axes)
    places = {axis_of(a, rank) for a in axes}
    if len(places) != len(axes):
        raise ModelError(f"its axes {axes} name one of {rank} twice")
    rest = iter(data.shape)
    return data.reshape(tuple(1 if at in places else next(rest) for at in range(rank)))


def _axes(given: Sizes) -> tuple[int, ...]:
    if any(isinstance(a, Dim) for a in given):
        raise ModelError(f"its axes {list(given)} are no numbers")
    return tuple(a for a in given if isinstance(a, int))


# ── joining and splitting ───────────────────────────────────────────────────────────────────────────


@operator("Concat", sizes=lambda *arrays, axis: np.concatenate(arrays, axis))
def concat(*inputs: Tensor, axis: int) -> Tensor:
    return cat(inputs, axis)


@operator("Split")
def split_7(call: Call, input: Value, *, axis: int = 0, split: tuple[int, ...] | None = None) -> list[Value]:
    return _split(input, axis, _equal(call, input, axis) if split is None else split)


@operator("Split", since=13)
def split(
    call: Call, input: Value, split: Sizes | None = None, *, axis: int = 0, num_outputs: int | None = None
) -> list[Value]:
    """With `num_outputs` all parts but the last one are equal; it is the rest."""
    if split is not None and num_outputs is not None:
        raise ModelError("it has both sizes of its parts and a number of them")
    if split is not None:
        return _split(input, axis, split)
    if num_outputs is None:
        return _split(input, axis, _equal(call, input, axis))
    if not 0 < num_outputs == len(call.outputs):
        raise ModelError(f"it has {len(call.outputs)} outputs, and its attribute 'num_outputs' is {num_outputs}")
    n = input.shape[axis_of(axis, len(input.shape))]
    part = (n + (num_outputs - 1)) // num_outputs
    return _split(input, axis, (*[part] * (num_outputs - 1), n - part * (num_outputs - 1)))


def _equal(call: Call, input: Value, axis: int) -> tuple[Size, ...]:
    n, count = input.shape[axis_of(axis, len(input.shape))], len(call.outputs)
    part = n // count
    if part * count != n:
        kind = UnsupportedError if isinstance(n, Dim) else ModelError
        raise kind(f"it splits an axis of {n} into {count} equal parts: fix that dim, or export it with their sizes")
    return (part,) * count


def _split(input: Value, axis: int, parts: tuple[Size, ...]) -> list[Value]:
    at = axis_of(axis, len(input.shape))
    if any(isinstance(p, int) and p < 0 for p in parts) or sum(parts) != input.shape[at]:
        raise ModelError(f"its parts {list(parts)} are not what an axis of {input.shape[at]} has")
    made: list[Value] = []
    start: Size = 0
    for part in parts:
        window = (slice(None),) * at + (slice(start, start + part),)
        if isinstance(input, Symbolic):
            made.append(symbolic(input.array[window], input.dtype.name))
        else:
            made.append(input[window])
        start = start + part
    return made


# ── repeating ───────────────────────────────────────────────────────────────────────────────────────


def _expand_sizes(data: Array, shape: Array) -> Array:
    return np.broadcast_to(data, np.broadcast_shapes(data.shape, integers(shape)))


@operator("Expand", since=8, sizes=_expand_sizes)
def expand(input: Tensor, shape: Sizes) -> Tensor:
    """Broadcast both ways: where the shape says 1 the input's own size stays."""
    return input.expand(affordable(broadcast([input.shape, tuple(shape)], {})))


@operator("Tile", since=6, sizes=lambda data, repeats: np.tile(data, integers(repeats)))
def tile(input: Tensor, repeats: Sizes) -> Tensor:
    if len(repeats) != input.ndim or any(isinstance(r, int) and r < 0 for r in repeats):
        raise ModelError(f"its repeats {list(repeats)} are not one count for each of {input.ndim} axes")
    affordable(tuple(s * r for s, r in zip(input.shape, repeats)))
    return input.repeat(tuple(repeats))
