"""Operators on signals: DFT and STFT as products with a matrix of sines and cosines, MelWeightMatrix as a constant."""

from __future__ import annotations

import numpy as np

from neurenix.dims import Dim
from neurenix.errors import ModelError, UnsupportedError
from neurenix.frontends.onnx.operator import Constant, Sizes, operator
from neurenix.frontends.onnx.tensors import element_type
from neurenix.ops.shapes import axis_of
from neurenix.tensor import Tensor

# Elements of the largest matrix; a transform of more places wants another algorithm.
_LARGEST = 1 << 25


@operator("DFT", since=17)
def dft_17(
    input: Tensor, dft_length: Constant | None = None, *, axis: int = 1, inverse: bool = False, onesided: bool = False
) -> Tensor:
    return _transformed(input, dft_length, axis, inverse, onesided)


@operator("DFT", since=20)
def dft(
    input: Tensor, dft_length: Constant | None = None, axis: Constant | None = None, *,
    inverse: bool = False, onesided: bool = False,
) -> Tensor:  # fmt: skip
    return _transformed(input, dft_length, -2 if axis is None else int(axis.item()), inverse, onesided)


@operator("STFT")
def stft(
    signal: Tensor, frame_step: Sizes, window: Tensor | None = None, frame_length: Sizes | None = None, *,
    onesided: bool = True,
) -> Tensor:  # fmt: skip
    """A convolution: its stride is the step between frames, its kernels the transform's rows times the window."""
    if signal.ndim not in (2, 3) or (signal.ndim == 3 and signal.shape[2] not in (1, 2)):
        raise ModelError(f"its signal must be (N, L, 1) or (N, L, 2), got {list(signal.shape)}")
    parts = 1 if signal.ndim == 2 else signal.shape[2]
    length = frame_length[0] if frame_length else window.shape[0] if window is not None else signal.shape[1]
    step = frame_step[0]
    if isinstance(length, Dim) or isinstance(step, Dim):
        raise UnsupportedError(f"its frames of {length} in steps of {step} must be known when the model is built")
    if step < 1 or length < 1 or (window is not None and window.shape != (length,)):
        raise ModelError(f"its frames of {length} in steps of {step} do not fit together with its window")
    if parts == 2 and onesided:
        raise ModelError("its signal is complex, and has no one-sided transform")
    assert isinstance(parts, int)
    bins = length // 2 + 1 if onesided else length
    matrix = _matrix(length, length, bins, parts, inverse=False)  # (length, parts, bins, 2)
    rows = np.ascontiguousarray(matrix.transpose(2, 3, 1, 0)).reshape(2 * bins, parts, length)
    weight = Tensor(rows.astype(signal.dtype.numpy))
    weight = weight if window is None else weight * window
    image = signal.reshape((signal.shape[0], signal.shape[1], parts)).transpose(1, 2)
    y = image.conv1d(weight, stride=step)  # (N, 2 bins, frames)
    return y.transpose(1, 2).reshape((y.shape[0], y.shape[2], bins, 2))


@operator("MelWeightMatrix")
def mel_weight_matrix(
    num_mel_bins: Constant, dft_length: Constant, sample_rate: Constant, lower_edge_hertz: Constant,
    upper_edge_hertz: Constant, *, output_datatype: int = 1,
) -> Tensor:  # fmt: skip
    """Triangles over the bins of a spectrum, evenly spaced in mel: one column for each."""
    mels, length, rate = int(num_mel_bins.item()), int(dft_length.item()), int(sample_rate.item())
    low, high = float(lower_edge_hertz.item()), float(upper_edge_hertz.item())
    if min(mels, length, rate) < 1 or not 0 <= low <= high or mels * (length // 2 + 1) > _LARGEST:
        raise ModelError(
            f"{mels} mel bins of {length} samples at {rate} Hz between {low} and {high} Hz: all must be at least 1, "
            "and the edges in order"
        )
    bins = length // 2 + 1
    edges = np.array([2595 * np.log1p(hertz / 700) / np.log(10) for hertz in (low, high)])
    mel = np.arange(mels + 2) * ((edges[1] - edges[0]) / (mels + 2)) + edges[0]
    points = ((length + 1) * (700 * np.expm1(mel / 2595 * np.log(10))) // rate).astype(np.int64)
    if points.max() > bins:
        raise ModelError(f"its upper edge of {high} Hz lies above half of its sample rate of {rate} Hz")
    places = np.arange(bins)[:, None]
    left, centre, right = points[:-2], points[1:-1], points[2:]
    rising = np.where(centre == left, places == centre, (places - left) / np.maximum(centre - left, 1))
    falling = (right - places) / np.maximum(right - centre, 1)
    up = (places >= left) & (places <= centre)
    down = (places >= centre) & (places < right)
    values = np.where(down, falling, np.where(up, rising, 0.0))
    return Tensor(values.astype(element_type(output_datatype, "its output").numpy))


def _transformed(x: Tensor, dft_length: Constant | None, axis: int, inverse: bool, onesided: bool) -> Tensor:
    if x.ndim < 2 or x.shape[-1] not in (1, 2):
        raise ModelError(f"its input must end in 1 or 2, the parts of a number, got {list(x.shape)}")
    at = axis_of(axis, x.ndim)
    if at == x.ndim - 1:
        raise ModelError(f"its axis {axis} is that of the parts of a number")
    there, parts = x.shape[at], 2 if x.shape[-1] == 2 else 1
    if isinstance(there, Dim):
        raise UnsupportedError(f"it transforms an axis of '{there}': fix its size with dims")
    real = inverse and onesided
    length = int(dft_length.item()) if dft_length is not None else 2 * (there - 1) if real else there
    if length < 1:
        raise ModelError(f"its dft_length is {length}, and must be at least 1")
    if onesided and not inverse and parts == 2:
        raise ModelError("its input is complex, and has no one-sided transform")
    taken = min(there, length // 2 + 1 if real else length)
    matrix = _real_matrix(length, taken, parts) if real else _matrix(
        length, taken, length // 2 + 1 if onesided else length, parts, inverse
    )  # fmt: skip
    moved = x.movedim(at, -2).narrow(-2, 0, taken) if x.ndim > 2 else x.narrow(0, 0, taken)
    lead, (bins, made) = moved.shape[:-2], matrix.shape[2:]
    flat = np.ascontiguousarray(matrix.reshape(taken * parts, bins * made), dtype=x.dtype.numpy)
    y = moved.reshape((*lead, taken * parts)) @ flat
    return y.reshape((*lead, bins, made)).movedim(-2, at)


def _matrix(length: int, taken: int, bins: int, parts: int, inverse: bool) -> Constant:
    """Return what each part of each place adds to each part of each bin: (taken, parts, bins, 2)."""
    if taken * parts * bins * 2 > _LARGEST:
        raise UnsupportedError(f"a transform of {length} places is not supported: its matrix would be too large")
    # The angle's whole turns are left out while it is still an integer.
    angle = np.outer(np.arange(taken), np.arange(bins)) % length * (2 * np.pi / length)
    cosine, sine = np.cos(angle), np.sin(angle) * (1 if inverse else -1)
    rows = [[cosine, sine], [-sine, cosine]][:parts]
    return np.asarray(np.stack([np.stack(row, -1) for row in rows], 1) / (length if inverse else 1))


def _real_matrix(length: int, taken: int, parts: int) -> Constant:
    """Return the inverse of a one-sided transform: (taken, parts, length, 1). Each bin but the ends stands for two."""
    whole = _matrix(length, taken, length, parts, inverse=True)[..., :1]
    twice = np.array([1.0 if k == 0 or 2 * k == length else 2.0 for k in range(taken)])
    return np.asarray(whole * twice[:, None, None, None])
