"""Reads a folder of images, one folder inside it for each class."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from neurenix.data.dataset import Array, Dataset
from neurenix.errors import InputError, MissingExtraError

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff")


class ImageFolder(Dataset):
    """`(image, class)` for each image in `root/CLASS/…`: float32 (channels, height, width) from 0 to 1, and int64.

    Classes and files are in alphabetic order; `classes` has the names. `mode` is Pillow's: "RGB", or "L" for grey.
    `size` is (height, width): an image of another size is resized to it; without it every image keeps its own.
    `transform` is applied to each array. Images are read when they are asked for.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        mode: str = "RGB",
        size: tuple[int, int] | None = None,
        transform: Callable[[Array], Any] | None = None,
    ) -> None:
        self.root, self.mode, self.size, self.transform = Path(root), mode, size, transform
        if mode not in ("RGB", "L"):
            raise InputError(f"mode is 'RGB' or 'L', got {mode!r}")
        if not self.root.is_dir():
            raise InputError(f"there is no folder {self.root}")
        folders = sorted(f for f in self.root.iterdir() if f.is_dir() and not f.name.startswith("."))
        self.classes = tuple(folder.name for folder in folders)
        self.samples = [(path, i) for i, folder in enumerate(folders) for path in _images(folder)]
        empty = sorted(set(self.classes) - {self.classes[i] for _, i in self.samples})
        if not folders or empty:
            what = f"no image in the class folder '{empty[0]}'" if empty else "no class folders"
            raise InputError(f"{self.root} has {what}; images are {', '.join(_SUFFIXES)}")
        _pillow()  # to say at once what is missing

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, label = self.samples[index]
        array = _read(path, self.mode, self.size)
        return (array if self.transform is None else self.transform(array)), np.int64(label)


def _images(folder: Path) -> list[Path]:
    found = (p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES and not p.name.startswith("."))
    return sorted(p for p in found if p.is_file())


def _read(path: Path, mode: str, size: tuple[int, int] | None) -> Array:
    image_module = _pillow()
    try:
        with warnings.catch_warnings():
            # A small file that unfolds to gigabytes: Pillow warns, and reads it.
            warnings.simplefilter("error", image_module.DecompressionBombWarning)
            with image_module.open(path) as image:
                whole = image.convert(mode)
    except (OSError, ValueError, SyntaxError, image_module.DecompressionBombError,
            image_module.DecompressionBombWarning) as error:  # fmt: skip
        raise InputError(f"cannot read the image {path}: {error}") from error
    if size is not None and whole.size != (size[1], size[0]):
        whole = whole.resize((size[1], size[0]), image_module.Resampling.BILINEAR)
    array = np.asarray(whole, dtype=np.float32) / 255
    return array[None] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1))


def _pillow() -> Any:
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise MissingExtraError("pillow", "images", "reading images") from error
    return Image
