"""Bends training images a little, as different hands would: shift, turn, slant, size and thickness.

People with a mouse write unlike the clerks and pupils of MNIST. A model that has seen each digit slanted,
narrow, thin and bold reads them better.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SHIFT = 2.0  # pixels
TURN = 0.22  # radians
SLANT = 0.25  # pixels sideways for each pixel upwards
SCALE = 0.15  # each axis by itself
THICKNESS = 0.5  # the chance to thicken or thin the line

Images = NDArray[np.float32]


def augment(images: Images, random: np.random.Generator) -> Images:
    """Return changed copies of `(batch, 28, 28)` images with values 0 to 1, each changed in its own way."""
    return change_thickness(warp(images, random), random)


def warp(images: Images, random: np.random.Generator) -> Images:
    """Apply a random affine map to each image, sampling bilinearly; what lies outside is black."""
    count, height, width = images.shape
    angle = random.uniform(-TURN, TURN, count)
    slant = random.uniform(-SLANT, SLANT, count)
    scale = 1 + random.uniform(-SCALE, SCALE, (2, count))
    shift = random.uniform(-SHIFT, SHIFT, (2, count))
    cos, sin = np.cos(angle), np.sin(angle)
    rotation = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)
    shear = np.zeros_like(rotation)
    shear[:, 0, 0], shear[:, 1, 1] = 1 / scale[0], 1 / scale[1]
    shear[:, 1, 0] = slant
    matrices = rotation @ shear  # from a place in the result to its place in the source, as (row, column)
    centre = np.array([[(height - 1) / 2], [(width - 1) / 2]])
    places = np.indices((height, width)).reshape(2, -1) - centre
    sources = matrices @ places + centre + shift.T[:, :, None]
    return sample(images, sources[:, 0], sources[:, 1]).reshape(images.shape)


def sample(images: Images, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> Images:
    """Read each image at fractional places `(batch, places)`, bilinearly."""
    count, height, width = images.shape
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    rows = np.clip(rows + 1, 0, height + 0.999)
    columns = np.clip(columns + 1, 0, width + 0.999)
    top, left = rows.astype(np.intp), columns.astype(np.intp)
    down, right = (rows - top).astype(np.float32), (columns - left).astype(np.float32)
    flat = padded.reshape(count, -1)
    index = top * (width + 2) + left
    upper = blend(take(flat, index), take(flat, index + 1), right)
    lower = blend(take(flat, index + width + 2), take(flat, index + width + 3), right)
    return blend(upper, lower, down)


def take(flat: Images, index: NDArray[np.intp]) -> Images:
    return np.take_along_axis(flat, index, axis=1)


def blend(one: Images, other: Images, weight: Images) -> Images:
    result: Images = one + weight * (other - one)
    return result


def change_thickness(images: Images, random: np.random.Generator) -> Images:
    """Blend some images towards their neighbours' maximum (bolder) or minimum (thinner)."""
    amount = random.uniform(-0.4, 0.8, len(images)) * (random.random(len(images)) < THICKNESS)
    weight = np.abs(amount).astype(np.float32)[:, None, None]
    bold, thin = (amount > 0)[:, None, None], (amount < 0)[:, None, None]
    changed = np.where(bold, spread(images, np.maximum), np.where(thin, spread(images, np.minimum), images))
    return blend(images, changed, weight)


def spread(images: Images, choose: np.ufunc) -> Images:
    """Return for every pixel the chosen one of itself and its four neighbours."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    result: Images = images
    for rows, columns in ((0, 1), (2, 1), (1, 0), (1, 2)):
        height, width = images.shape[1:]
        result = choose(result, padded[:, rows : rows + height, columns : columns + width])
    return result
