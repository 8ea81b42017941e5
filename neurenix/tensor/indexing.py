"""Indexing: x[...] with numbers, slices, None, masks and tensors, and assigning to it."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from neurenix.dims import Dim, Shape, Size
from neurenix.errors import GraphError, InputError
from neurenix.tensor.methods import Methods
from neurenix.tensor.movement import MovementMethods

if TYPE_CHECKING:
    from neurenix.tensor.tensor import Tensor


class IndexingMethods(MovementMethods):
    """Square brackets, as PyTorch has them."""

    def __getitem__(self, key: Any) -> Tensor:
        """Return a part of the tensor, with its gradient.

        Numbers drop their axis, slices may have steps, also negative ones; None inserts an axis, ... stands for
        what is left. Integer arrays, lists and tensors pick places, several of them together; a mask picks where
        it is true, but not while tracing: how many there are is no shape.
        """
        t = self.lift(self)  # type: ignore[arg-type]
        items = _whole(key, t.shape)
        t, items = _apply_basic(t, items)
        places = {axis: item for axis, item in enumerate(items) if item is not None}
        return _apply_advanced(t, places) if places else t

    def __setitem__(self, key: Any, value: Any) -> None:
        """Take new values at some places. Raises GraphError where a gradient or a graph would not know of it.

        As all changes in place it makes the tensor a new array: to fill one element by element, fill a NumPy array.
        """
        if self.traced is not None:
            raise GraphError("x[...] = v has no meaning while a model is being traced: use where, scatter or cat")
        if self.requires_grad:
            raise GraphError("x[...] = v on a tensor with requires_grad would lose gradients: use where or scatter")
        array = self.numpy().copy()
        try:
            array[_plain(key)] = _plain(value)
        except (IndexError, ValueError) as error:
            raise InputError(f"x[...] = v on shape {list(self.shape)}: {error}") from None
        self._replace(self.lift(array))


def as_indices(data: Any) -> Tensor:
    """Return places as an integer tensor. Raises InputError when they are something else."""
    from neurenix.tensor.tensor import Tensor  # it inherits from the methods above

    if isinstance(data, Tensor):
        places = data
    else:
        array = np.asarray(data)
        places = Tensor(array.astype(np.int64) if array.size == 0 or array.dtype.kind in "iu" else array)
    if places.dtype.name in ("int8", "uint8"):
        places = places.cast("int64")
    if places.dtype.name not in ("int64", "int32"):
        raise InputError(f"indices are integers, got {places.dtype}")
    return places


def _plain(key: Any) -> Any:
    if isinstance(key, tuple):
        return tuple(map(_plain, key))
    return key.numpy() if isinstance(key, Methods) else key


def _is_mask(item: Any) -> bool:
    if isinstance(item, Methods):
        return item.dtype.name == "bool"
    return isinstance(item, (list, np.ndarray)) and np.asarray(item).dtype == np.bool_


def _whole(key: Any, shape: Shape) -> list[Any]:
    """Return one item for each axis, and the Nones between them; a mask counts for as many axes as it has."""
    items = list(key) if isinstance(key, tuple) else [key]
    for item in items:
        if isinstance(item, (bool, np.bool_)):
            raise InputError(f"{bool(item)} is no index: use a mask of the tensor's shape")
    spread = [_unmasked(item) for item in items]
    flat = [part for parts in spread for part in parts]
    used = sum(1 for item in flat if item is not None and item is not Ellipsis)
    dots = sum(1 for item in flat if item is Ellipsis)
    if dots > 1 or used > len(shape):
        raise InputError(f"a tensor of {len(shape)} axes got {used} indices" + (", and ... twice" if dots > 1 else ""))
    rest = [slice(None)] * (len(shape) - used)
    if not dots:
        return [*flat, *rest]
    at = next(i for i, item in enumerate(flat) if item is Ellipsis)
    return [*flat[:at], *rest, *flat[at + 1 :]]


def _unmasked(item: Any) -> list[Any]:
    """Turn a mask into the places where it is true, one array for each of its axes."""
    if not _is_mask(item):
        return [item]
    if isinstance(item, Methods) and item.traced is not None:
        raise GraphError("a mask picks a number of elements that is not known while tracing: use where or masked_fill")
    mask = _plain(item) if isinstance(item, Methods) else np.asarray(item)
    return [_Places(place, size) for place, size in zip(mask.nonzero(), mask.shape)]


class _Places:
    """Where a mask is true along one axis; the mask must be as long as the axis."""

    def __init__(self, places: np.ndarray[Any, Any], size: int) -> None:
        self.places, self.size = places, size


def _apply_basic(t: Tensor, items: list[Any]) -> tuple[Tensor, list[Any]]:
    """Take the slices and numbers; return for each axis that is left the places that it is still to be read at."""
    starts: list[Size | None] = []
    stops: list[Size | None] = []
    steps: list[int] = []
    shape: list[int | None] = []  # 1 for a new axis, 0 for one that goes, None for one that stays
    left: list[Any] = []
    symbolic: list[tuple[int, int]] = []
    for item in items:
        axis = len(starts)
        if item is None:
            shape.append(1)
            left.append(None)
            continue
        n = t.shape[axis]
        start: Size | None = None
        stop: Size | None = None
        step = 1
        if isinstance(item, slice):
            start, stop = _position(item.start), _position(item.stop)
            step = 1 if item.step is None else operator.index(item.step)
            shape.append(None)
            left.append(None)
        elif (number := _number(item)) is not None:
            if isinstance(n, int):
                if not -n <= number < n:
                    raise InputError(f"index {number} is out of range for axis {axis} of {n} elements")
                start = number % n
                stop = start + 1
            else:
                symbolic.append((axis, number))
            shape.append(0)
        else:
            if isinstance(item, _Places) and isinstance(n, int) and item.size != n:
                raise InputError(f"a mask of {item.size} elements does not fit axis {axis} of {n}")
            shape.append(None)
            left.append(as_indices(item.places if isinstance(item, _Places) else item))
        starts.append(start)
        stops.append(stop)
        steps.append(step)
    if any(a is not None for a in (*starts, *stops)) or any(s != 1 for s in steps):
        t = t.apply("slice", starts=tuple(starts), stops=tuple(stops), steps=tuple(steps))
    for axis, number in symbolic:
        t = t.apply("gather", as_indices([number]), axis=axis)
    if any(s is not None for s in shape):
        sizes = iter(t.shape)
        taken = [(s, 1 if s == 1 else next(sizes)) for s in shape]
        t = t.reshape(tuple(size for s, size in taken if s != 0))
    return t, left


def _position(value: Any) -> Size | None:
    return value if value is None or isinstance(value, Dim) else operator.index(value)


def _number(item: Any) -> int | None:
    if isinstance(item, (int, np.integer)):
        return int(item)
    if isinstance(item, np.ndarray) and item.ndim == 0 and item.dtype.kind in "iu":
        return int(item)
    if isinstance(item, Methods) and item.ndim == 0 and item.traced is None:
        return int(item.numpy()) if item.dtype.numpy.kind in "iu" else None
    return None


def _apply_advanced(t: Tensor, places: dict[int, Tensor]) -> Tensor:
    """Read at tensors of places: the axes that they stand for go to the first one's place, or to the front when
    other axes lie between them."""
    axes = sorted(places)
    if len(axes) == 1:
        return t.apply("gather", places[axes[0]], axis=axes[0])
    shape = _common_shape([places[a] for a in axes])
    indices = _stacked([places[a] for a in axes], shape)
    rest = [a for a in range(t.ndim) if a not in places]
    picked = t.permute((*axes, *rest)).apply("gather_nd", indices)
    if axes[-1] - axes[0] + 1 != len(axes) or axes[0] == 0:
        return picked
    k = len(shape)
    before = range(k, k + axes[0])
    return picked.permute((*before, *range(k), *range(k + axes[0], picked.ndim)))


def _common_shape(indices: list[Tensor]) -> Shape:
    from neurenix.ops.shapes import broadcast

    return broadcast([i.shape for i in indices], {})


def _stacked(indices: list[Tensor], shape: Shape) -> Tensor:
    from neurenix.tensor.joining import stack

    if all(i.traced is None for i in indices):
        arrays = [np.broadcast_to(i.numpy(), [int(s) for s in shape if isinstance(s, int)]) for i in indices]
        return as_indices(np.stack(arrays, -1))
    kind = "int64"
    return stack([(i if i.dtype.name == kind else i.cast(kind)).expand(shape) for i in indices], -1)
