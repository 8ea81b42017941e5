"""Methods of Tensor that move elements and change none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from neurenix.dims import Size
from neurenix.tensor.methods import Methods

if TYPE_CHECKING:
    from neurenix.tensor.tensor import Tensor


class MovementMethods(Methods):
    """Shapes may be given as one sequence or as several numbers."""

    def reshape(self, *shape: Size | Sequence[Size]) -> Tensor:
        """The same elements in the same order under another shape; one -1 is inferred."""
        return self.apply("reshape", shape=_sizes(shape))

    def flatten(self, start_dim: int = 0) -> Tensor:
        """Join all axes from `start_dim` on into one."""
        return self.reshape((*self.shape[:start_dim], -1))

    def permute(self, *axes: int | Sequence[int]) -> Tensor:
        """The axes in another order."""
        return self.apply("permute", axes=_sizes(axes))

    def transpose(self, dim0: int, dim1: int) -> Tensor:
        """Swap two axes."""
        axes = list(range(self.ndim))
        axes[dim0], axes[dim1] = axes[dim1], axes[dim0]
        return self.permute(axes)

    def expand(self, *shape: Size | Sequence[Size]) -> Tensor:
        """Broadcast to a shape."""
        return self.apply("expand", shape=_sizes(shape))


def _sizes(given: Sequence[Size | Sequence[Size]]) -> tuple[Size, ...]:
    """Return `(2, 3)` for both `f(2, 3)` and `f((2, 3))`."""
    if len(given) == 1 and isinstance(given[0], Sequence):
        return tuple(given[0])
    return tuple(given)  # type: ignore[arg-type]
