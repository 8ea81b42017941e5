"""Operators that pad, deal out channels, turn sequences round and cut triangles."""

from __future__ import annotations

import numpy as np

from neurenix import expr as ex
from neurenix.dims import Dim, Size
from neurenix.errors import ModelError
from neurenix.frontends.onnx.limits import affordable
from neurenix.frontends.onnx.operator import Sizes, operator
from neurenix.ops.shapes import axis_of
from neurenix.tensor import Tensor, arange

_MODES = ("constant", "reflect", "edge", "wrap")


@operator("Pad", since=2)
def pad_7(data: Tensor, *, pads: tuple[int, ...], mode: str = "constant", value: float = 0.0) -> Tensor:
    return _padded(data, pads, range(data.ndim), mode, Tensor(np.array(value, data.dtype.numpy)))


@operator("Pad", since=11)
def pad(
    data: Tensor,
    pads: Sizes,
    constant_value: Tensor | None = None,
    axes: Sizes | None = None,
    *,
    mode: str = "constant",
) -> Tensor:
    """Negative pads cut off. A sequence of pads names what comes before all axes, then what comes behind."""
    named = range(data.ndim) if axes is None else [axis_of(int(a), data.ndim) for a in axes if isinstance(a, int)]
    value = Tensor(np.zeros((), data.dtype.numpy)) if constant_value is None else constant_value
    return _padded(data, pads, named, mode, value)


def _padded(data: Tensor, pads: tuple[Size, ...], axes: range | list[int], mode: str, value: Tensor) -> Tensor:
    if mode not in _MODES:
        raise ModelError(f"its attribute 'mode' is {mode[:20]!r}, and is one of {', '.join(_MODES)}")
    if len(pads) != 2 * len(axes) or len(set(axes)) != len(axes):
        raise ModelError(f"it has {len(pads)} pads for the axes {list(axes)}: two for each of them, none twice")
    if value.size != 1:
        raise ModelError(f"it pads with one number, not with a tensor of shape {list(value.shape)}")
    sides: list[tuple[Size, Size]] = [(0, 0)] * data.ndim
    for i, axis in enumerate(axes):
        sides[axis] = (pads[i], pads[i + len(axes)])
    affordable(
        tuple(s if before == after == 0 else before + s + after for s, (before, after) in zip(data.shape, sides))
    )
    return data.pad(tuple(p for pair in reversed(sides) for p in pair), mode, value)


# ── channels and pixels ─────────────────────────────────────────────────────────────────────────────


@operator("DepthToSpace")
def depth_to_space(input: Tensor, *, blocksize: int, mode: str = "DCR") -> Tensor:
    _check_blocks(input, blocksize, mode)
    channels = input.shape[1]
    if isinstance(channels, int) and channels % blocksize**2:
        raise ModelError(f"its {channels} channels are no whole number of blocks of {blocksize} x {blocksize}")
    return input.depth_to_space(blocksize, mode)


@operator("SpaceToDepth")
def space_to_depth(input: Tensor, *, blocksize: int, mode: str = "DCR") -> Tensor:
    _check_blocks(input, blocksize, mode)
    if any(isinstance(s, int) and s % blocksize for s in input.shape[2:]):
        raise ModelError(f"an image of {list(input.shape[2:])} is no whole number of blocks of {blocksize}")
    return input.pixel_unshuffle(blocksize) if mode == "CRD" else input.space_to_depth(blocksize)


def _check_blocks(input: Tensor, blocksize: int, mode: str) -> None:
    if input.ndim != 4 or blocksize < 1 or mode not in ("DCR", "CRD"):
        raise ModelError(
            f"it takes an image of 4 axes, a blocksize from 1 on and the mode DCR or CRD; got {input.ndim} axes, "
            f"{blocksize} and {mode[:20]!r}"
        )


# ── sequences and triangles ─────────────────────────────────────────────────────────────────────────


@operator("ReverseSequence", since=10)
def reverse_sequence(input: Tensor, sequence_lens: Tensor, *, batch_axis: int = 1, time_axis: int = 0) -> Tensor:
    """Each sequence of a batch is turned round up to its own length; what is behind that stays."""
    batch, time = axis_of(batch_axis, input.ndim), axis_of(time_axis, input.ndim)
    if input.ndim < 2 or batch == time:
        raise ModelError(f"its batch axis {batch_axis} and its time axis {time_axis} are not two of {input.ndim}")
    x = input.movedim((batch, time), (0, 1))
    place, length = ex.operand(0), ex.operand(1)
    turned = ex.where(place < length, length - 1 - place, place)
    places = arange(x.shape[1]).map(turned, sequence_lens.type("int64").unsqueeze(1))
    places = places.reshape((*places.shape, *(1,) * (x.ndim - 2)))
    return x.take_along_dim(places, 1).movedim((0, 1), (batch, time))


@operator("Trilu", since=14)
def trilu(input: Tensor, k: Sizes | None = None, *, upper: bool = True) -> Tensor:
    diagonal = 0 if k is None else k[0]
    if isinstance(diagonal, Dim) or input.ndim < 2:
        raise ModelError(f"it takes a diagonal that is a number and 2 axes or more, got '{diagonal}' and {input.ndim}")
    return input.triu(diagonal) if upper else input.tril(diagonal)
