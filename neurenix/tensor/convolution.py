"""Methods of Tensor that convolve in one, two and three dimensions, and the transposes of these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Union

from neurenix.dims import Size, product
from neurenix.errors import GraphError
from neurenix.tensor.methods import Methods, Operand

if TYPE_CHECKING:
    from neurenix.tensor.tensor import Tensor

Sizes = Union[int, Sequence[int]]
Padding = Union[int, Sequence[int], str]


class ConvolutionMethods(Methods):
    """Names, arguments and defaults are those of `torch.nn.functional`; an image may come without its batch."""

    def conv1d(self, weight: Operand, bias: Operand | None = None, stride: Sizes = 1, padding: Padding = 0,
               dilation: Sizes = 1, groups: int = 1) -> Tensor:  # fmt: skip
        """Cross-correlate sequences (N, C, L) with weight (O, C / groups, K)."""
        return _convolve(self, 1, weight, bias, stride, padding, dilation, groups)

    def conv2d(self, weight: Operand, bias: Operand | None = None, stride: Sizes = 1, padding: Padding = 0,
               dilation: Sizes = 1, groups: int = 1) -> Tensor:  # fmt: skip
        """Cross-correlate images (N, C, H, W) with weight (O, C / groups, KH, KW).

        `padding` may be "valid" (none) or "same" (the output has the input's size, at stride 1).
        """
        return _convolve(self, 2, weight, bias, stride, padding, dilation, groups)

    def conv3d(self, weight: Operand, bias: Operand | None = None, stride: Sizes = 1, padding: Padding = 0,
               dilation: Sizes = 1, groups: int = 1) -> Tensor:  # fmt: skip
        """Cross-correlate volumes (N, C, D, H, W) with weight (O, C / groups, KD, KH, KW)."""
        return _convolve(self, 3, weight, bias, stride, padding, dilation, groups)

    def conv_transpose1d(self, weight: Operand, bias: Operand | None = None, stride: Sizes = 1, padding: Sizes = 0,
                         output_padding: Sizes = 0, groups: int = 1, dilation: Sizes = 1) -> Tensor:  # fmt: skip
        """The transpose of conv1d: (N, C, L) by weight (C, O / groups, K)."""
        return _transposed(self, 1, weight, bias, stride, padding, output_padding, groups, dilation)

    def conv_transpose2d(self, weight: Operand, bias: Operand | None = None, stride: Sizes = 1, padding: Sizes = 0,
                         output_padding: Sizes = 0, groups: int = 1, dilation: Sizes = 1) -> Tensor:  # fmt: skip
        """The transpose of conv2d: (N, C, H, W) by weight (C, O / groups, KH, KW).

        Each side of the output has (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1
        pixels.
        """
        return _transposed(self, 2, weight, bias, stride, padding, output_padding, groups, dilation)

    def conv_transpose3d(self, weight: Operand, bias: Operand | None = None, stride: Sizes = 1, padding: Sizes = 0,
                         output_padding: Sizes = 0, groups: int = 1, dilation: Sizes = 1) -> Tensor:  # fmt: skip
        """The transpose of conv3d: (N, C, D, H, W) by weight (C, O / groups, KD, KH, KW)."""
        return _transposed(self, 3, weight, bias, stride, padding, output_padding, groups, dilation)


def sizes_of(name: str, value: Sizes, rank: int) -> tuple[int, ...]:
    """Return one number for each axis. Raises GraphError for another count."""
    found = (value,) * rank if isinstance(value, int) else tuple(int(v) for v in value)
    if len(found) == 1:
        found *= rank
    if len(found) != rank:
        raise GraphError(f"{name} takes a number or {rank} of them, got {value!r}")
    return found


def same_padding(kernel: Sequence[int], dilation: Sequence[int]) -> list[tuple[int, int]]:
    """Return what stands before and behind each axis so that its size stays; what is odd goes behind, as in PyTorch."""
    totals = [d * (k - 1) for k, d in zip(kernel, dilation)]
    return [(t // 2, t - t // 2) for t in totals]


def _operands(x: Methods, name: str, rank: int, weight: Operand) -> tuple[Tensor, Tensor, bool]:
    """Return the images with a batch axis, the weight, and whether the batch axis was missing."""
    image, w = x.lift(x), x.lift(weight)  # type: ignore[arg-type]
    if image.ndim not in (rank + 1, rank + 2) or w.ndim != rank + 2:
        raise GraphError(
            f"{name} takes an input of rank {rank + 2} and a weight of rank {rank + 2}, got {list(image.shape)} and "
            f"{list(w.shape)}"
        )
    alone = image.ndim == rank + 1
    return image.reshape((1, *image.shape)) if alone else image, w, alone


def _convolve(x: Methods, rank: int, weight: Operand, bias: Operand | None, stride: Sizes, padding: Padding,
              dilation: Sizes, groups: int) -> Tensor:  # fmt: skip
    name = f"conv{rank}d"
    image, w, alone = _operands(x, name, rank, weight)
    strides, dilations = (sizes_of(f"{name}: {n}", v, rank) for n, v in (("stride", stride), ("dilation", dilation)))
    kernel = _kernel_of(w)
    if padding == "valid":
        padding = 0
    if padding == "same":
        if set(strides) != {1}:
            raise GraphError(f"{name}: padding 'same' keeps the size, which stride {strides} does not")
        sides = same_padding(kernel, dilations)
    elif isinstance(padding, str):
        raise GraphError(f"{name}: padding is a number, 'same' or 'valid', got {padding!r}")
    else:
        sides = [(p, p) for p in sizes_of(f"{name}: padding", padding, rank)]
    if rank == 3:
        y = _conv3d(image, w, bias, strides, sides, dilations, groups)
    else:
        flat, by = (image, w) if rank == 2 else (_as_image(image), _as_image(w))
        options = ((1,) * (2 - rank) + strides, _around(sides), (1,) * (2 - rank) + dilations)
        y = _conv2d(flat, by, bias, *options, groups)
        y = y if rank == 2 else _as_sequence(y)
    return y.reshape(y.shape[1:]) if alone else y


def _around(sides: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """Return an image's padding as the row takes it: two numbers where the ends have what the starts have, or four."""
    before, after = (tuple(side[i] for side in [(0, 0), *sides][-2:]) for i in range(2))
    return before if before == after else before + after


def _conv2d(
    x: Tensor, w: Tensor, bias: Operand | None, stride: Any, padding: Any, dilation: Any, groups: int
) -> Tensor:
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    b = None if bias is None else x.lift(bias)
    if b is not None and x.dtype.numpy.kind == "f" and all(t.traced is None for t in (x, w, b)):
        return x.apply("biased_conv2d", w, b, **options)
    y = x.apply("conv2d", w, **options)
    return y if b is None else y + b.reshape((1, -1, 1, 1))


def _conv3d(x: Tensor, w: Tensor, bias: Operand | None, stride: Any, sides: Any, dilation: Any, groups: int) -> Tensor:
    """The slices that lie under the kernel's depth become channels beside each other: one conv2d adds them up."""
    x = _extended(x, [sides[0], (0, 0), (0, 0)])
    (n, c, d, height, width), (o, inner, kd, kh, kw) = x.shape, w.shape
    assert isinstance(kd, int)
    reach = dilation[0] * (kd - 1)
    depth = (d - reach - 1) // stride[0] + 1
    if isinstance(depth, int) and depth < 1:
        raise GraphError(f"a window of depth {reach + 1} does not fit a volume of depth {d}")
    parts = []
    for tap in range(kd):
        start = tap * dilation[0]
        part = _sliced(x, 2, start, start + (depth - 1) * stride[0] + 1, stride[0])
        parts.append(part.reshape((n, c, 1, depth, height, width)))
    stacked = parts[0].apply("concat", *parts[1:], axis=2) if kd > 1 else parts[0]
    images = stacked.permute((0, 3, 1, 2, 4, 5)).reshape((n * depth, c * kd, height, width))
    y = _conv2d(images, w.reshape((o, inner * kd, kh, kw)), bias, stride[1:], _around(sides[1:]), dilation[1:], groups)
    return y.reshape((n, depth, *y.shape[1:])).permute((0, 2, 1, 3, 4))


def _transposed(x: Methods, rank: int, weight: Operand, bias: Operand | None, stride: Sizes, padding: Sizes,
                output_padding: Sizes, groups: int, dilation: Sizes) -> Tensor:  # fmt: skip
    """Each input pixel times the weight is a window of the output; the windows are added where they overlap."""
    name = f"conv_transpose{rank}d"
    image, w, alone = _operands(x, name, rank, weight)
    given = {"stride": stride, "padding": padding, "output_padding": output_padding, "dilation": dilation}
    s, p, extra, d = (sizes_of(f"{name}: {n}", v, rank) for n, v in given.items())
    if image.shape[1] != w.shape[0] or groups < 1 or not isinstance(w.shape[0], int) or w.shape[0] % groups:
        raise GraphError(
            f"{name}: the weight {list(w.shape)} in {groups} groups takes {w.shape[0]} channels, the input "
            f"{list(image.shape)} has {image.shape[1]}"
        )
    for more, a, b in zip(extra, s, d):
        if not 0 <= more < max(a, b):
            raise GraphError(f"{name}: output_padding {extra} must be less than stride {s} or dilation {d}")
    if rank == 1:
        image, w = _as_image(image), _as_image(w)
        s, p, extra, d = (1, *s), (0, *p), (0, *extra), (1, *d)
    if rank < 3 and groups == 1 and _kernel_of(w) == s and not any((*p, *extra)) and set(d) == {1}:
        y = _side_by_side(image, w, bias)
    else:
        y = (_transposed3d if rank == 3 else _transposed2d)(image, w, s, p, extra, d, groups)
        if bias is not None:
            y = y + image.lift(bias).reshape((1, -1, *(1,) * (y.ndim - 2)))
    y = _as_sequence(y) if rank == 1 else y
    return y.reshape(y.shape[1:]) if alone else y


def _side_by_side(x: Tensor, w: Tensor, bias: Operand | None) -> Tensor:
    """Windows that neither overlap nor leave gaps: each pixel makes all of its own as channels, which are laid out."""
    (n, _, h, width), (c, o, kh, kw) = x.shape, w.shape
    by = w.permute((2, 3, 1, 0)).reshape((kh * kw * o, c, 1, 1))
    b = None if bias is None else x.lift(bias).reshape((1, o)).expand((kh * kw, o)).reshape((kh * kw * o,))
    y = _conv2d(x, by, b, (1, 1), (0, 0), (1, 1), 1).reshape((n, kh, kw, o, h, width))
    return y.permute((0, 3, 4, 1, 5, 2)).reshape((n, o, h * kh, width * kw))


def _transposed2d(x: Tensor, w: Tensor, stride: Any, padding: Any, extra: Any, dilation: Any, groups: int) -> Tensor:
    kernel = _kernel_of(w)
    steps = zip(x.shape[2:], kernel, stride, padding, extra, dilation)
    out = tuple((size - 1) * s - 2 * p + d * (k - 1) + e + 1 for size, k, s, p, e, d in steps)
    # An output padding of a stride or more, which only dilation allows, makes room for windows that see nothing.
    x = _extended(x, [(0, e // s) for e, s in zip(extra, stride)])
    (n, c, h, width), made = x.shape, product(w.shape[1:])
    assert isinstance(c, int)
    pixels = x.permute((1, 0, 2, 3)).reshape((groups, c // groups, n * h * width))
    columns = w.reshape((groups, c // groups, made)).transpose(1, 2) @ pixels
    return columns.reshape((groups * made, n * h * width)).col2im(
        shape=(n, groups * w.shape[1], *out), kernel_size=kernel, stride=stride, padding=padding, dilation=dilation
    )


def _transposed3d(x: Tensor, w: Tensor, stride: Any, padding: Any, extra: Any, dilation: Any, groups: int) -> Tensor:
    """For each tap of the depth a transposed 2-D convolution of all slices, put apart and added up."""
    (n, c, depth, h, width), kd = x.shape, w.shape[2]
    assert isinstance(kd, int)
    whole = (depth - 1) * stride[0] + dilation[0] * (kd - 1) + 1 + extra[0]
    slices = x.permute((0, 2, 1, 3, 4)).reshape((n * depth, c, h, width))
    total: Tensor | None = None
    for tap in range(kd):
        by = _sliced(w, 2, tap, tap + 1, 1).reshape((*w.shape[:2], *w.shape[3:]))
        y = _transposed2d(slices, by, stride[1:], padding[1:], extra[1:], dilation[1:], groups)
        volume = y.reshape((n, depth, *y.shape[1:])).permute((0, 2, 1, 3, 4))
        before, used = tap * dilation[0], (depth - 1) * stride[0] + 1
        part = _extended(volume, [(before, whole - before - used), (0, 0), (0, 0)], (stride[0], 1, 1))
        total = part if total is None else total + part
    assert total is not None
    return _sliced(total, 2, padding[0], whole - padding[0], 1) if padding[0] else total


def _kernel_of(w: Tensor) -> tuple[int, ...]:
    sizes = w.shape[2:]
    if not all(isinstance(s, int) for s in sizes):
        raise GraphError(f"the kernel of a convolution has a fixed size, the weight {list(w.shape)} has not")
    return tuple(s for s in sizes if isinstance(s, int))


def _as_image(x: Tensor) -> Tensor:
    """Give a sequence (N, C, L) a height of 1."""
    return x.reshape((x.shape[0], x.shape[1], 1, x.shape[2]))


def _as_sequence(x: Tensor) -> Tensor:
    return x.reshape((x.shape[0], x.shape[1], x.shape[3]))


def _extended(x: Tensor, sides: Sequence[tuple[Size, Size]], steps: tuple[int, ...] | None = None) -> Tensor:
    """Put zeros before and behind the axes after the channels, and between their elements where a step is not 1."""
    if not steps and all(side == (0, 0) for side in sides):
        return x
    before, after = (tuple(side[i] for side in ((0, 0), (0, 0), *sides)) for i in range(2))
    return x.apply("pad", x.lift(0), before=before, after=after, steps=(1, 1, *steps) if steps else None)


def _sliced(x: Tensor, axis: int, start: Size, stop: Size, step: int) -> Tensor:
    starts, stops, steps = [None] * x.ndim, [None] * x.ndim, [1] * x.ndim
    starts[axis], stops[axis], steps[axis] = start, stop, step  # type: ignore[call-overload]
    return x.apply("slice", starts=tuple(starts), stops=tuple(stops), steps=tuple(steps))
