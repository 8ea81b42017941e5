"""Data sets: things with a length and an index, and parts of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Union

import numpy as np

from neurenix.errors import InputError
from neurenix.tensor import Tensor, generator

Array = np.ndarray[Any, Any]
Random = Union[int, np.random.Generator, None]


class Dataset:
    """The parent of data sets: define `__len__` and `__getitem__`, which returns one sample, such as (input, target).

    A data set that can fetch many samples faster than one by one also defines `batch(indices)`, which returns them
    stacked as the loader would.
    """

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} must define __len__()")

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__()")


class TensorDataset(Dataset):
    """Arrays or tensors of one length: sample i is the tuple of their i-th elements."""

    def __init__(self, *arrays: Any) -> None:
        self.arrays: tuple[Array, ...] = tuple(a.numpy() if isinstance(a, Tensor) else np.asarray(a) for a in arrays)
        if not self.arrays:
            raise InputError("TensorDataset got no arrays")
        for i, array in enumerate(self.arrays):
            if array.dtype.kind not in "fiub":
                raise InputError(f"array {i} of a TensorDataset holds {array.dtype}, no numbers")
        if any(a.ndim == 0 for a in self.arrays) or len({len(a) for a in self.arrays}) != 1:
            shapes = ", ".join(str(list(a.shape)) for a in self.arrays)
            raise InputError(f"the arrays of a TensorDataset need one length, got the shapes {shapes}")

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return tuple(a[index] for a in self.arrays)

    def batch(self, indices: Array) -> tuple[Array, ...]:
        return tuple(a[indices] for a in self.arrays)


class Subset(Dataset):
    """The samples of a data set at the given indices."""

    def __init__(self, dataset: Any, indices: Sequence[int] | Array) -> None:
        self.dataset = dataset
        self.indices = np.asarray(indices, dtype=np.int64)
        outside = self.indices[(self.indices < 0) | (self.indices >= len(dataset))]
        if outside.size:
            raise InputError(f"index {outside[0]} is outside the data set of {len(dataset)} samples")
        if hasattr(dataset, "batch"):
            self.batch = lambda indices: dataset.batch(self.indices[indices])

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.indices[index])]


def random_split(dataset: Any, lengths: Sequence[float], generator: Random = None) -> list[Subset]:
    """Split a data set at random into parts that do not overlap, of these lengths, or of these fractions of the whole.

    `generator` is a seed or a NumPy generator; without it the one that `manual_seed` seeds is used.
    """
    total = len(dataset)
    if any(n < 0 for n in lengths):
        raise InputError(f"a part cannot have a negative length: {list(lengths)}")
    if all(isinstance(n, (int, np.integer)) for n in lengths):
        sizes = [int(n) for n in lengths]
    elif math.isclose(sum(lengths), 1):
        sizes = [math.floor(total * n) for n in lengths]
        for i in range(total - sum(sizes)):  # what rounding left over goes to the first parts
            sizes[i % len(sizes)] += 1
    else:
        raise InputError(f"lengths must be whole numbers, or fractions with the sum 1; got {list(lengths)}")
    if sum(sizes) != total:
        raise InputError(f"the lengths {sizes} have the sum {sum(sizes)}; the data set has {total} samples")
    order = as_generator(generator).permutation(total)
    return [Subset(dataset, part) for part in np.split(order, np.cumsum(sizes)[:-1])]


def as_generator(random: Random) -> np.random.Generator:
    """Return a generator: the given one, one from a seed, or the one that `manual_seed` seeds."""
    if random is None:
        return generator()
    return random if isinstance(random, np.random.Generator) else np.random.default_rng(random)
