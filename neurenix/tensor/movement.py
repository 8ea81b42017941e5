"""Methods of Tensor that give the same elements another shape or another order of axes.

The methods that move elements are a tower, each file on those below it: movement, indexing, joining, gathering,
rearranging, resizing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from neurenix.dims import Size, product
from neurenix.errors import GraphError
from neurenix.ops.shapes import axis_of
from neurenix.tensor.methods import Dims, Methods

if TYPE_CHECKING:
    from neurenix.tensor.tensor import Tensor


class MovementMethods(Methods):
    """Shapes may be given as one sequence or as several numbers."""

    def reshape(self, *shape: Size | Sequence[Size]) -> Tensor:
        """The same elements in the same order under another shape; one -1 is inferred."""
        return self.apply("reshape", shape=sizes(shape))

    def view(self, *shape: Size | Sequence[Size]) -> Tensor:
        """As `reshape`."""
        return self.reshape(*shape)

    def reshape_as(self, other: Tensor) -> Tensor:
        return self.reshape(other.shape)

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        """Join the axes from `start_dim` to `end_dim` into one."""
        if not self.shape:
            return self.reshape(1)
        start, end = axis_of(start_dim, self.ndim), axis_of(end_dim, self.ndim)
        if start > end:
            raise GraphError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim} in rank {self.ndim}")
        joined = product(self.shape[start : end + 1])
        return self.reshape((*self.shape[:start], joined, *self.shape[end + 1 :]))

    def unflatten(self, dim: int, sizes: Sequence[Size]) -> Tensor:
        """Split one axis into several; one of their sizes may be -1."""
        at, parts = axis_of(dim, self.ndim), tuple(sizes)
        known = product(tuple(s for s in parts if s != -1))
        parts = tuple(self.shape[at] // known if s == -1 else s for s in parts)
        return self.reshape((*self.shape[:at], *parts, *self.shape[at + 1 :]))

    def permute(self, *dims: int | Sequence[int]) -> Tensor:
        """The axes in another order."""
        return self.apply("permute", axes=tuple(axis_of(int(a), self.ndim) for a in sizes(dims)))  # type: ignore[arg-type]

    def transpose(self, dim0: int, dim1: int) -> Tensor:
        """Swap two axes."""
        axes = list(range(self.ndim))
        a, b = axis_of(dim0, self.ndim), axis_of(dim1, self.ndim)
        if axes:
            axes[a], axes[b] = axes[b], axes[a]
        return self.apply("permute", axes=tuple(axes))

    def swapaxes(self, axis0: int, axis1: int) -> Tensor:
        """As `transpose`."""
        return self.transpose(axis0, axis1)

    def movedim(self, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
        """Move axes to other places; the rest keep their order."""
        sources = [axis_of(a, self.ndim) for a in ([source] if isinstance(source, int) else source)]
        places = [axis_of(a, self.ndim) for a in ([destination] if isinstance(destination, int) else destination)]
        if len(sources) != len(places) or len(set(sources)) != len(sources) or len(set(places)) != len(places):
            raise GraphError(f"movedim takes as many different sources as destinations, got {source} and {destination}")
        rest = iter(a for a in range(self.ndim) if a not in sources)
        moved = dict(zip(places, sources))
        return self.permute([moved[i] if i in moved else next(rest) for i in range(self.ndim)])

    @property
    def T(self) -> Tensor:
        """All axes in reverse order."""
        return self.permute(tuple(range(self.ndim))[::-1])

    @property
    def mT(self) -> Tensor:
        """The last two axes swapped."""
        return self.transpose(-2, -1)

    def squeeze(self, dim: Dims = None) -> Tensor:
        """Leave out axes of size 1: those named, or all of them."""
        named = range(self.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
        axes = {axis_of(a, self.ndim) for a in named}
        return self.reshape(tuple(s for i, s in enumerate(self.shape) if not (i in axes and s == 1)))

    def unsqueeze(self, dim: int) -> Tensor:
        """Insert an axis of size 1 at a place."""
        at = axis_of(dim, self.ndim + 1)
        return self.reshape((*self.shape[:at], 1, *self.shape[at:]))

    def expand(self, *shape: Size | Sequence[Size]) -> Tensor:
        """Broadcast to a shape; -1 keeps an axis as it is."""
        wanted = sizes(shape)
        missing = len(wanted) - self.ndim
        kept = (self.shape[i - missing] if s == -1 and i >= missing else s for i, s in enumerate(wanted))
        return self.apply("expand", shape=tuple(kept))

    def broadcast_to(self, shape: Sequence[Size]) -> Tensor:
        return self.expand(shape)

    def expand_as(self, other: Tensor) -> Tensor:
        return self.expand(other.shape)


def sizes(given: Sequence[Size | Sequence[Size]]) -> tuple[Size, ...]:
    """Return `(2, 3)` for both `f(2, 3)` and `f((2, 3))`."""
    if len(given) == 1 and isinstance(given[0], Sequence):
        return tuple(given[0])
    return tuple(given)  # type: ignore[arg-type]
