"""Convolutions: Conv, ConvTranspose, Col2Im. Those of integers are in `quantization`."""

from __future__ import annotations

from neurenix.dims import Shape, Size, least, product
from neurenix.errors import ModelError
from neurenix.frontends.onnx.limits import affordable
from neurenix.frontends.onnx.operator import Sizes, operator
from neurenix.frontends.onnx.windows import Numbers, Window, kernel_of, numbers, padded, require, spatial, window_of
from neurenix.tensor import Tensor

_CONVOLVE = {1: Tensor.conv1d, 2: Tensor.conv2d, 3: Tensor.conv3d}
_TRANSPOSED = {1: Tensor.conv_transpose1d, 2: Tensor.conv_transpose2d, 3: Tensor.conv_transpose3d}


@operator("Conv")
def conv(
    x: Tensor, w: Tensor, b: Tensor | None = None, *,
    auto_pad: str = "NOTSET", dilations: Numbers = None, group: int = 1, kernel_shape: Numbers = None,
    pads: Numbers = None, strides: Numbers = None,
) -> Tensor:  # fmt: skip
    window = convolution_window(x, w, auto_pad, dilations, group, kernel_shape, pads, strides)
    return convolved(x, w, b, window, group)


def convolution_window(
    x: Tensor, w: Tensor, auto_pad: str, dilations: Numbers, group: int, kernel_shape: Numbers, pads: Numbers,
    strides: Numbers,
) -> Window:  # fmt: skip
    """Check what a convolution is given. Raises ModelError."""
    sizes = spatial(x)
    if w.ndim != x.ndim:
        raise ModelError(f"its input {list(x.shape)} and its weight {list(w.shape)} have different ranks")
    made, inner = w.shape[:2]
    if group < 1 or inner * group != x.shape[1] or (isinstance(made, int) and made % group):
        raise ModelError(f"its weight {list(w.shape)} in {group} groups does not fit an input of {x.shape[1]} channels")
    window = window_of(sizes, kernel_of(w, kernel_shape), strides, pads, dilations, auto_pad)
    window.counts(sizes)
    return window


def convolved(x: Tensor, w: Tensor, b: Tensor | None, window: Window, group: int) -> Tensor:
    """Convolve; what one side is padded more than the other is put around the image first."""
    both = [_shared(a, b) for a, b in zip(window.before, window.after)]
    before = [a - s for a, s in zip(window.before, both)]
    after = [a - s for a, s in zip(window.after, both)]
    image = padded(x, before, after, 0.0)
    return _CONVOLVE[x.ndim - 2](image, w, b, window.strides, both, window.dilations, group)


def _shared(before: Size, after: Size) -> int:
    """Return how much padding lies on both sides of an axis; none where that is symbolic."""
    return min(before, after) if isinstance(before, int) and isinstance(after, int) else 0


@operator("ConvTranspose")
def conv_transpose(
    x: Tensor, w: Tensor, b: Tensor | None = None, *,
    auto_pad: str = "NOTSET", dilations: Numbers = None, group: int = 1, kernel_shape: Numbers = None,
    output_padding: Numbers = None, output_shape: Numbers = None, pads: Numbers = None, strides: Numbers = None,
) -> Tensor:  # fmt: skip
    sizes = spatial(x)
    rank = len(sizes)
    uneven = group < 1 or (isinstance(w.shape[0], int) and w.shape[0] % group)
    if w.ndim != x.ndim or w.shape[0] != x.shape[1] or uneven:
        raise ModelError(
            f"its weight {list(w.shape)} in {group} groups does not fit an input of the shape {list(x.shape)}"
        )
    window = window_of(sizes, kernel_of(w, kernel_shape), strides, pads, dilations, "NOTSET")
    more = numbers("output_padding", output_padding, rank, least=0, otherwise=0)
    require("auto_pad", auto_pad, ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"))
    full = tuple((n - 1) * s + r for n, s, r in zip(sizes, window.strides, window.reach))
    wanted = _wanted(sizes, window, output_shape, auto_pad)
    before, after = window.before, window.after
    if auto_pad == "VALID":
        before = after = (0,) * rank
    if wanted is not None:
        totals = [f + e - o for f, e, o in zip(full, more, wanted)]
        halves = [t // 2 if least(t) >= 0 else 0 for t in totals]
        low = auto_pad == "SAME_UPPER"
        before = tuple(h if low else t - h if least(t) >= 0 else 0 for t, h in zip(totals, halves))
        after = tuple(t - p for t, p in zip(totals, before))
    affordable((x.shape[0], w.shape[1] * group, *(f + e for f, e in zip(full, more))))
    # Whatever lies behind the last window is nothing but the bias.
    ends = [e - a for e, a in zip(more, after)]
    return _cropped(x, w, b, window, group, before, ends, full)


def _wanted(sizes: Shape, window: Window, output_shape: Numbers, auto_pad: str) -> Shape | None:
    if output_shape:
        if len(output_shape) not in (len(sizes), len(sizes) + 2) or any(s < 1 for s in output_shape):
            raise ModelError(f"its output_shape {list(output_shape)} is none for {len(sizes)} axes")
        return tuple(output_shape[-len(sizes) :])
    if auto_pad.startswith("SAME"):
        return tuple(n * s for n, s in zip(sizes, window.strides))
    return None


def _cropped(
    x: Tensor, w: Tensor, b: Tensor | None, window: Window, group: int, before: Shape, ends: list[Size], full: Shape
) -> Tensor:
    """Return the transposed convolution without `before` elements in front, and `ends` more of them behind."""
    transposed = _TRANSPOSED[x.ndim - 2]
    for axis, (p, e, size) in enumerate(zip(before, ends, full), start=2):
        made = size + e - p
        if isinstance(made, int) and made < 1:
            raise ModelError(f"its padding leaves nothing of axis {axis}, which has {size} elements")
    extra = [e + p for e, p in zip(ends, before)]
    limits = [max(s, d) for s, d in zip(window.strides, window.dilations)]
    if all(isinstance(p, int) and isinstance(e, int) and 0 <= e < limit
           for p, e, limit in zip(before, extra, limits)):  # fmt: skip
        return transposed(x, w, b, window.strides, before, extra, group, window.dilations)  # type: ignore[arg-type]
    y = transposed(x, w, None, window.strides, 0, 0, group, window.dilations)
    for axis, (p, e, size) in enumerate(zip(before, ends, full), start=2):
        stop = size + e if least(-e) >= 0 else size
        if p != 0 or stop != size:
            y = y.narrow_to(axis, p, stop)
    y = padded(y, [0] * len(ends), [e if least(-e) < 0 else 0 for e in ends], 0.0)
    return y if b is None else y + b.reshape((1, -1, *(1,) * len(ends)))


@operator("Col2Im")
def col2im(
    input: Tensor, image_shape: Sizes, block_shape: Sizes, *,
    dilations: Numbers = None, pads: Numbers = None, strides: Numbers = None,
) -> Tensor:  # fmt: skip
    """Two axes of the windows at a time: windows of several axes are products of windows of each."""
    if input.ndim != 3 or not image_shape or len(image_shape) != len(block_shape):
        raise ModelError(
            f"it takes (N, C * block, L) and as many sizes of the image as of the block, got {list(input.shape)}, "
            f"{list(image_shape)} and {list(block_shape)}"
        )
    window = window_of(tuple(image_shape), tuple(block_shape), strides, pads, dilations, "NOTSET")
    counts, block = window.counts(tuple(image_shape)), product(tuple(window.kernel))
    n, channels = input.shape[0], input.shape[1] // block
    affordable((n, channels, *image_shape))
    if channels * block != input.shape[1] or product(counts) != input.shape[2]:
        raise ModelError(
            f"its input {list(input.shape)} does not hold {product(counts)} windows of {block} elements each"
        )
    y = input.reshape((n * channels, *window.kernel, *counts))
    image: list[Size] = []
    for last in range(len(image_shape), 0, -2):
        first = max(last - 2, 0)
        y = _folded(y, window, tuple(image_shape), counts, first, last, image)
    return y.reshape((n, channels, *image_shape))


def _folded(y: Tensor, window: Window, sizes: Shape, counts: Shape, first: int, last: int, done: list[Size]) -> Tensor:
    """Turn the windows of the axes from `first` to `last` into those axes; `done` are the sizes of what is behind."""
    rank = last - first
    rest = product(tuple(done))
    lead = (*y.shape[:1], *window.kernel[:first])
    # (lead, kernel, counts before, counts, rest) to (lead, counts before, rest, kernel, counts)
    apart = y.reshape((product(lead), product(window.kernel[first:last]), product(counts[:first]),
                       product(counts[first:last]), rest))  # fmt: skip
    columns = apart.permute(0, 2, 4, 1, 3)
    each = product(lead) * product(counts[:first]) * rest
    one = (1,) * (2 - rank)
    before, after = window.before[first:last], window.after[first:last]
    whole = tuple(a + s + b for a, s, b in zip(before, sizes[first:last], after))
    kernel = (*one, *window.kernel[first:last])
    image = columns.reshape((each * product(kernel), product(counts[first:last]))).col2im(
        shape=(1, each, *one, *whole), kernel_size=kernel, stride=(*one, *window.strides[first:last]),
        padding=(0, 0), dilation=(*one, *window.dilations[first:last]),
    ).reshape((each, *whole))  # fmt: skip
    for axis, (a, s) in enumerate(zip(before, sizes[first:last]), start=1):
        image = image.narrow(axis, a, s)
    image = image.reshape((product(lead), product(counts[:first]), rest, product(sizes[first:last])))
    done[:0] = sizes[first:last]
    return image.permute(0, 1, 3, 2).reshape((*lead, *counts[:first], *done))
