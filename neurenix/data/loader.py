"""DataLoader: goes through a data set in batches, in an order that a seed decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from neurenix.data.dataset import Array, Random, as_generator
from neurenix.data.prefetch import prefetched
from neurenix.errors import InputError
from neurenix.tensor import Tensor

Transform = Callable[[Any, np.random.Generator], Any]


class DataLoader:
    """Yields the samples of a data set in batches of tensors.

    `generator` is a seed or a NumPy generator for the order; without it the one that `manual_seed` seeds is used.
    `collate_fn` makes a batch of a list of samples; by default arrays and numbers are stacked. `transform(batch,
    generator)` may change each batch, still as NumPy arrays, with random numbers of the batch's own: they are the
    same whether a thread makes the batches or not, and whether or not earlier batches were read (a training that
    is resumed skips those). `prefetch` is the number of batches that a thread makes ahead; 0 means no thread.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        drop_last: bool = False,
        generator: Random = None,
        collate_fn: Callable[[Sequence[Any]], Any] | None = None,
        transform: Transform | None = None,
        prefetch: int = 0,
    ) -> None:
        if batch_size < 1:
            raise InputError(f"batch_size must be at least 1, got {batch_size}")
        if prefetch < 0:
            raise InputError(f"prefetch is a number of batches, got {prefetch}")
        self.dataset, self.batch_size, self.shuffle = dataset, batch_size, shuffle
        self.drop_last, self.prefetch = drop_last, prefetch
        self.collate_fn, self.transform = collate_fn, transform
        self._random = None if generator is None else as_generator(generator)

    def __len__(self) -> int:
        """The number of batches."""
        samples = len(self.dataset)
        return samples // self.batch_size if self.drop_last else -(-samples // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        return self.batches(self.draw_seed())

    def draw_seed(self) -> int:
        """Draw the seed of the next epoch, which decides its order and its transforms."""
        return int(as_generator(self._random).integers(2**63))

    def batches(self, seed: int, start: int = 0) -> Iterator[Any]:
        """Yield the batches of the epoch with this seed, from batch `start` on."""
        made = self._make(seed, start)
        return prefetched(made, self.prefetch) if self.prefetch else made

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the loader's own generator, if it has one: plain values only."""
        return {} if self._random is None else {"generator": dict(self._random.bit_generator.state)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with the seeds that a loader would have drawn next. Raises InputError for a strange state."""
        if ("generator" in state) != (self._random is not None):
            raise InputError("the loader's state is of one with another kind of generator")
        if self._random is not None:
            self._random.bit_generator.state = state["generator"]

    def _make(self, seed: int, start: int) -> Iterator[Any]:
        samples = len(self.dataset)
        order = np.random.default_rng(seed).permutation(samples) if self.shuffle else np.arange(samples)
        for number in range(start, len(self)):
            batch = self._fetch(order[number * self.batch_size : (number + 1) * self.batch_size])
            if self.transform is not None:
                batch = self.transform(batch, np.random.default_rng([seed, number]))
            yield _tensors(batch)

    def _fetch(self, indices: Array) -> Any:
        if self.collate_fn is None and hasattr(self.dataset, "batch"):
            return self.dataset.batch(indices)
        samples = [self.dataset[int(i)] for i in indices]
        return (self.collate_fn or collate)(samples)


def collate(samples: Sequence[Any]) -> Any:
    """Stack samples: numbers and arrays become one array, tuples and dicts of them a tuple or a dict of arrays.

    Raises InputError when the shapes differ.
    """
    first = samples[0]
    if isinstance(first, Mapping):
        return {key: collate([s[key] for s in samples]) for key in first}
    if isinstance(first, (tuple, list)):
        if len({len(s) for s in samples}) != 1:
            raise InputError("the samples of a batch are tuples of different lengths; pass a collate_fn")
        return tuple(collate(column) for column in zip(*samples))
    arrays = [np.asarray(s.numpy() if isinstance(s, Tensor) else s) for s in samples]
    shapes = {a.shape for a in arrays}
    if len(shapes) != 1:
        some = " and ".join(str(list(shape)) for shape in sorted(shapes)[:2])
        raise InputError(f"the samples of a batch have different shapes, such as {some}; pass a collate_fn")
    stacked = np.stack(arrays)
    if isinstance(first, float) and not isinstance(first, np.generic):
        stacked = stacked.astype(np.float32)  # Python's numbers become float32, as everywhere
    return stacked


def _tensors(batch: Any) -> Any:
    if isinstance(batch, Mapping):
        return {key: _tensors(value) for key, value in batch.items()}
    if isinstance(batch, (tuple, list)):
        return tuple(_tensors(value) for value in batch)
    return Tensor(batch) if isinstance(batch, np.ndarray) else batch
