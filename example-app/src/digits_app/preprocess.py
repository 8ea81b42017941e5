"""Turns any picture of one digit into what the model was trained on: a 28x28 MNIST digit, values 0 to 1.

MNIST's digits are light on dark, fill a 20x20 box, keep their proportions, and sit with their centre of mass
in the middle. The page's preprocess.js makes the same of pen strokes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

SIDE = 28
BOX = 20
CENTRE = 14.0  # the pixel at which the training images have their centre of mass
LINE = 2.0  # pixels: thinner lines are thickened before the picture shrinks, or they would fade away
WORK = 400  # pixels: large photographs are first brought down to this


class NoDigitError(ValueError):
    """The picture holds nothing that stands out from its background."""


def prepare(picture: Image.Image) -> NDArray[np.float32]:
    """Return the picture's digit as `(1, 1, 28, 28)`. Raises `NoDigitError` where there is no ink."""
    ink = crop(find_ink(grey(picture)))
    small = fit(thicken(ink))
    return centre(small)[None, None]


def grey(picture: Image.Image) -> Image.Image:
    """Return the picture upright, in grey, on white where it is transparent."""
    upright = ImageOps.exif_transpose(picture).convert("RGBA")
    white = Image.new("RGBA", upright.size, "white")
    flat = Image.alpha_composite(white, upright).convert("L")
    flat.thumbnail((WORK, WORK))
    return flat


def find_ink(picture: Image.Image) -> NDArray[np.float32]:
    """Return how much ink each pixel holds, 0 to 1: how far it lies from the background's grey.

    The background is what most of the border shows, so dark ink on paper and chalk on a board both work.
    """
    values = from_picture(picture)
    border = np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])
    background = float(np.median(border))
    darker, lighter = background - np.percentile(values, 0.5), np.percentile(values, 99.5) - background
    contrast = max(darker, lighter)
    if contrast < 0.1:
        raise NoDigitError("nothing in it stands out from the background")
    difference = background - values if darker >= lighter else values - background
    # The paper's grain and shadows lie below the first quarter, the pen's core above three quarters.
    ink: NDArray[np.float32] = np.clip((difference / contrast - 0.25) / 0.5, 0, 1)
    return ink


def crop(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the smallest rectangle that holds all ink."""
    rows, columns = np.flatnonzero(ink.max(axis=1) > 0.5), np.flatnonzero(ink.max(axis=0) > 0.5)
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def thicken(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    """Widen lines that would be thinner than LINE pixels at the final size."""
    wanted = LINE * max(ink.shape) / BOX
    missing = int((wanted - line_width(ink)) / 2)
    if missing < 1:
        return ink
    picture = to_picture(np.pad(ink, missing))
    for _ in range(missing):
        picture = picture.filter(ImageFilter.MaxFilter(3))
    return from_picture(picture)


def line_width(ink: NDArray[np.float32]) -> float:
    """Estimate the pen's width in pixels: a long line's area over half its outline."""
    inside = np.pad(ink > 0.5, 1)
    outline = sum(int((inside != np.roll(inside, 1, axis)).sum()) for axis in (0, 1))
    # A slanting outline is counted along both axes; on average that is 4 / pi of its length.
    return float(2 * inside.sum() / (outline * np.pi / 4))


def fit(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    """Shrink or enlarge the ink, in proportion, until its longer side is BOX pixels."""
    height, width = ink.shape
    scale = BOX / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
    picture = to_picture(ink).resize(size, how)
    values = from_picture(picture)
    brightest: NDArray[np.float32] = values / values.max()
    return brightest


def centre(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    """Place the ink on the final square, its centre of mass in the middle, to the nearest pixel."""
    height, width = ink.shape
    total = ink.sum()
    row = round(CENTRE - float(ink.sum(axis=1) @ np.arange(height) / total))
    column = round(CENTRE - float(ink.sum(axis=0) @ np.arange(width) / total))
    row, column = min(max(row, 0), SIDE - height), min(max(column, 0), SIDE - width)
    square = np.zeros((SIDE, SIDE), dtype=np.float32)
    square[row : row + height, column : column + width] = ink
    return square


def to_picture(values: NDArray[np.float32]) -> Image.Image:
    return Image.fromarray((values * 255).astype(np.uint8))


def from_picture(picture: Image.Image) -> NDArray[np.float32]:
    return (np.asarray(picture) / 255).astype(np.float32)
