"""The attributes that convolutions and pools share: kernel, strides, dilations, and padding in its four spellings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from neurenix.dims import Dim, Shape, Size, larger, least, smaller
from neurenix.errors import ModelError, UnsupportedError
from neurenix.frontends.onnx.limits import affordable
from neurenix.tensor import Tensor

Numbers = tuple[int, ...] | None

AUTO_PADS = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")

# No window steps or reaches further: a larger number is a mistake or an attack, and would overflow what it is added to.
_LARGEST = 1 << 24


@dataclass(frozen=True)
class Window:
    """A window over the spatial axes of an image: one number for each of them. Padding depends on the image's size."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: Shape
    after: Shape

    @property
    def reach(self) -> tuple[int, ...]:
        """How many elements a window spans along each axis."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilations))

    def counts(self, sizes: Shape, ceil_mode: bool = False) -> Shape:
        """Return how many windows each axis has. Raises ModelError where none fits."""
        found: list[Size] = []
        for size, reach, stride, before, after in zip(sizes, self.reach, self.strides, self.before, self.after):
            spare = size + before + after - reach
            if isinstance(spare, int) and spare < 0:
                raise ModelError(
                    f"its window of {reach} does not fit an axis of {size} with {before} + {after} padding"
                )
            count = spare // stride + 1
            if ceil_mode:  # one more may hang over the end, if it starts inside the image or the padding before it
                count = smaller((spare + (stride - 1)) // stride + 1, (size + before - 1) // stride + 1)
            found.append(count)
        return tuple(found)

    def ends(self, sizes: Shape, counts: Shape) -> Shape:
        """Return how much padding behind each axis these windows need, which may be less than there is."""
        found: list[Size] = []
        for size, count, reach, stride, before in zip(sizes, counts, self.reach, self.strides, self.before):
            needed = (count - 1) * stride + reach - size - before
            found.append(max(needed, 0) if isinstance(needed, int) else larger(needed, 0))
        return tuple(found)


def window_of(
    sizes: Shape, kernel: Sequence[Size], strides: Numbers, pads: Numbers, dilations: Numbers, auto_pad: str
) -> Window:
    """Check a node's attributes against the spatial sizes of its image. Raises ModelError."""
    rank = len(sizes)
    known = numbers("kernel_shape", tuple(k for k in kernel if not isinstance(k, Dim)), rank, least=1)
    steps = numbers("strides", strides, rank, least=1, otherwise=1)
    apart = numbers("dilations", dilations, rank, least=1, otherwise=1)
    given = numbers("pads", pads, 2 * rank, least=0, otherwise=0)
    require("auto_pad", auto_pad, AUTO_PADS)
    before, after = given[:rank], given[rank:]
    if auto_pad == "NOTSET":
        return Window(known, steps, apart, before, after)
    if auto_pad == "VALID":
        return Window(known, steps, apart, (0,) * rank, (0,) * rank)
    sides = []
    for size, k, stride, dilation in zip(sizes, known, steps, apart):
        reach = dilation * (k - 1) + 1
        missing = ((size + (stride - 1)) // stride - 1) * stride + reach - size
        total = missing if least(missing) >= 0 else larger(missing, 0)
        less, more = total // 2, (total + 1) // 2
        sides.append((less, more) if auto_pad == "SAME_UPPER" else (more, less))
    return Window(known, steps, apart, tuple(s[0] for s in sides), tuple(s[1] for s in sides))


def kernel_of(weight: Tensor, kernel_shape: Numbers) -> tuple[int, ...]:
    """Return the kernel's sizes, which the weight has and the attribute may only repeat."""
    sizes = weight.shape[2:]
    if any(isinstance(s, Dim) for s in sizes):
        raise UnsupportedError(f"its weight {list(weight.shape)} has a kernel of symbolic size: fix it with dims")
    if kernel_shape is not None and tuple(kernel_shape) != tuple(sizes):
        raise ModelError(f"its kernel_shape {list(kernel_shape)} is not that of its weight, {list(sizes)}")
    return tuple(int(s) for s in sizes if isinstance(s, int))


def spatial(x: Tensor, most: int = 3) -> Shape:
    """Return the sizes behind batch and channels. Raises for ranks that no kernel takes."""
    if x.ndim < 3:
        raise ModelError(f"it takes an image (N, C, ...), got the shape {list(x.shape)}")
    if x.ndim - 2 > most:
        raise UnsupportedError(f"it works on {x.ndim - 2} spatial axes; supported are up to {most}")
    return x.shape[2:]


def padded(x: Tensor, before: Sequence[Size], after: Sequence[Size], value: float) -> Tensor:
    """Return an image with a border of `value` around its spatial axes."""
    pairs = list(zip(before, after))
    affordable((*x.shape[:2], *(b + s + a for s, (b, a) in zip(x.shape[2:], pairs))))
    return x.pad([side for pair in reversed(pairs) for side in pair], value=value)


def require(name: str, value: Any, known: Sequence[Any]) -> None:
    """Raise ModelError where an attribute is none of the values that ONNX knows."""
    if value not in known:
        raise ModelError(
            f"its attribute '{name}' is {str(value)[:60]!r}, which is none of {', '.join(map(str, known))}"
        )


def numbers(name: str, given: Numbers, count: int, least: int, otherwise: int | None = None) -> tuple[int, ...]:
    """Return an attribute's numbers, `otherwise` where it is not given. Raises ModelError for what it may not have."""
    found = given if given or otherwise is None else (otherwise,) * count
    assert found is not None
    if len(found) != count:
        raise ModelError(f"its attribute '{name}' has {len(found)} numbers, and must have {count}")
    if any(not least <= n <= _LARGEST for n in found):
        raise ModelError(f"its attribute '{name}' is {list(found)}, and must lie within {least} and {_LARGEST}")
    return tuple(found)
