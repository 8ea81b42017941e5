"""Resizing an axis as constant weights: which elements each new one is made of, and how much of each.

The weights are computed in float64 when the model is built; the tensor sees gathers and products with constants.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from neurenix.errors import GraphError

Array = np.ndarray[Any, Any]

COORDINATES = (
    "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize",
    "tf_half_pixel_for_nn",
)  # fmt: skip
NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
MODES = ("nearest", "linear", "cubic", "area")


@dataclass(frozen=True)
class Rule:
    """How an axis is resized: ONNX Resize's attributes, by their meaning and values there."""

    mode: str = "nearest"
    coordinates: str = "half_pixel"
    nearest: str = "round_prefer_floor"
    cubic_coeff: float = -0.75
    exclude_outside: bool = False
    antialias: bool = False

    def __post_init__(self) -> None:
        for name, value, known in (
            ("mode", self.mode, MODES), ("coordinates", self.coordinates, COORDINATES),
            ("nearest", self.nearest, NEAREST),
        ):  # fmt: skip
            if value not in known:
                raise GraphError(f"resize: {name} {value!r} is none of {', '.join(known)}")


def coordinates(n: int, count: int, scale: float, how: str, region: tuple[float, float] = (0.0, 1.0)) -> Array:
    """Return for each of `count` new places its position among the n old ones."""
    at = np.arange(count, dtype=np.float64)
    if how == "align_corners":
        length = count if abs(scale * n - count) < 1e-6 else scale * n  # ONNX counts the part of an element, too
        return at * (n - 1) / (length - 1) if count > 1 else np.zeros(count)
    if how == "asymmetric":
        return at / scale
    if how == "tf_half_pixel_for_nn":
        return (at + 0.5) / scale
    if how == "tf_crop_and_resize":
        start, end = region
        if count == 1:
            return np.full(1, 0.5 * (start + end) * (n - 1))
        return start * (n - 1) + at * (end - start) * (n - 1) / (count - 1)
    if how == "pytorch_half_pixel" and count == 1:
        return np.zeros(1)
    half = (at + 0.5) / scale - 0.5
    if how == "half_pixel_symmetric":
        return half + n / 2 * (1 - count / (scale * n))
    return half


def nearest_places(at: Array, n: int, how: str) -> Array:
    """Round positions to places 0..n - 1."""
    rounded = {
        "round_prefer_floor": lambda: np.ceil(at - 0.5), "round_prefer_ceil": lambda: np.floor(at + 0.5),
        "floor": lambda: np.floor(at), "ceil": lambda: np.ceil(at),
    }[how]()  # fmt: skip
    return np.clip(rounded, 0, n - 1).astype(np.int64)


def matrix(n: int, count: int, at: Array, scale: float, rule: Rule) -> Array:
    """Return the (count, n) matrix whose product with an axis of n elements resizes it to `count`."""
    if rule.mode == "area":
        return _areas(n, count)
    shrink = min(scale, 1.0) if rule.antialias else 1.0
    reach = {"linear": 1, "cubic": 2}[rule.mode]
    first = int(np.floor(-reach / shrink)) + 1
    offsets = np.arange(first, first + 2 * (1 - first))  # as many on both sides of the position
    left = np.floor(at)
    distance = (offsets[None, :] - (at - left)[:, None]) * shrink
    weights = _triangle(distance) if rule.mode == "linear" else _cubic(distance, rule.cubic_coeff)
    places = left[:, None].astype(np.int64) + offsets[None, :]
    if rule.exclude_outside:
        weights = np.where((places >= 0) & (places < n), weights, 0.0)
    if rule.antialias or rule.exclude_outside:
        weights = weights / weights.sum(1, keepdims=True)
    result = np.zeros((count, n))
    np.add.at(result, (np.arange(count)[:, None], np.clip(places, 0, n - 1)), weights)
    return result


def taps(weights: Array) -> tuple[Array, Array]:
    """Return the places and weights of what is not zero in each row, padded to the longest row's number."""
    most = max(1, int((weights != 0).sum(1).max(initial=0)))
    places = np.sort(np.argsort(weights == 0, axis=1, kind="stable")[:, :most], axis=1)
    return places, np.take_along_axis(weights, places, 1)


def _triangle(distance: Array) -> Array:
    return np.maximum(0.0, 1.0 - np.abs(distance))


def _cubic(distance: Array, a: float) -> Array:
    x = np.abs(distance)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def _areas(n: int, count: int) -> Array:
    """Mean of the elements from floor(i n / count) to ceil((i + 1) n / count), as adaptive pooling."""
    result = np.zeros((count, n))
    for i in range(count):
        start, end = i * n // count, -(-(i + 1) * n // count)
        result[i, start:end] = 1 / (end - start)
    return result
