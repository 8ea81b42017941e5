"""Shape rules: from the shapes of the inputs to the shape of the output, symbolic sizes included."""

from __future__ import annotations

from collections.abc import Sequence

from neurenix.dims import Shape, Size, product, smallest, symbols
from neurenix.errors import GraphError
from neurenix.ops.op import Attrs


def show(shape: Shape) -> str:
    """Write a shape as `[batch, 3]`."""
    return f"[{', '.join(map(str, shape))}]"


def axis_of(axis: int, rank: int) -> int:
    """Turn a negative axis into its positive twin. Raises GraphError when it is out of range."""
    if not -rank <= axis < max(rank, 1):
        raise GraphError(f"axis {axis} is out of range for a tensor of rank {rank}")
    return axis % rank if rank else 0


def known(shape: Shape) -> tuple[int, ...]:
    """Return a shape that is known to be concrete, as an array's always is."""
    assert all(isinstance(s, int) for s in shape), f"{show(shape)} is symbolic"
    return tuple(int(s) for s in shape if isinstance(s, int))


def need_elements(shape: Shape, axis: int) -> None:
    """Raise GraphError unless an axis has an element where its dims are smallest."""
    if shape[axis] == 0:
        raise GraphError(f"axis {axis} of {show(shape)} is empty")
    if smallest(shape[axis]) < 1:
        names = ", ".join(sorted(symbols(shape[axis])))
        raise GraphError(f"axis {axis} of {show(shape)} may be empty, and needs an element: raise the 'min' of {names}")


def same(shapes: Sequence[Shape], attrs: Attrs) -> Shape:
    """Keep the shape; `axis` must be one of its axes."""
    (shape,) = shapes
    axis_of(attrs["axis"], len(shape))
    return shape


def broadcast(shapes: Sequence[Shape], attrs: Attrs) -> Shape:
    """NumPy's broadcasting; a symbolic size fits itself and 1."""
    if shapes and all(shape == shapes[0] for shape in shapes):
        return tuple(shapes[0])
    rank = max(map(len, shapes), default=0)
    result: list[Size] = []
    for axis in range(rank):
        sizes = {s[axis - rank + len(s)] for s in shapes if axis - rank + len(s) >= 0} - {1}
        if len(sizes) > 1:
            raise GraphError(f"shapes {' and '.join(map(show, shapes))} do not broadcast")
        result.append(sizes.pop() if sizes else 1)
    return tuple(result)


def reduced(shapes: Sequence[Shape], attrs: Attrs) -> Shape:
    """Remove `axes` (all of them when None), or keep them as 1 with `keepdims`."""
    (shape,) = shapes
    axes = range(len(shape)) if attrs["axes"] is None else [axis_of(a, len(shape)) for a in attrs["axes"]]
    if len(set(axes)) != len(axes):
        raise GraphError(f"axes {tuple(attrs['axes'])} name an axis of {show(shape)} twice")
    if attrs["keepdims"]:
        return tuple(1 if i in axes else s for i, s in enumerate(shape))
    return tuple(s for i, s in enumerate(shape) if i not in axes)


def reshape(shapes: Sequence[Shape], attrs: Attrs) -> Shape:
    """Take `shape`; one -1 stands for what is left."""
    (old,), new = shapes, tuple(attrs["shape"])
    if any(isinstance(s, int) and s < -1 for s in new) or new.count(-1) > 1:
        raise GraphError(f"cannot reshape {show(old)} to {show(new)}: one size may be -1, none may be less")
    if -1 in new:
        known = product(tuple(s for s in new if s != -1))
        if known == 0:
            raise GraphError(f"cannot infer -1 in {show(new)}: the other sizes are 0")
        new = tuple(product(old) // known if s == -1 else s for s in new)
    if product(old) != product(new):
        raise GraphError(f"cannot reshape {show(old)} to {show(tuple(attrs['shape']))}: the sizes differ")
    return new


def permute(shapes: Sequence[Shape], attrs: Attrs) -> Shape:
    (shape,), axes = shapes, tuple(attrs["axes"])
    if sorted(axes) != list(range(len(shape))):
        raise GraphError(f"permute axes {axes} are no permutation of the {len(shape)} axes of {show(shape)}")
    return tuple(shape[a] for a in axes)


def expand(shapes: Sequence[Shape], attrs: Attrs) -> Shape:
    (old,), new = shapes, tuple(attrs["shape"])
    if any(isinstance(s, int) and s < 0 for s in new) or broadcast([old, new], {}) != new:
        raise GraphError(f"cannot expand {show(old)} to {show(new)}")
    return new


def matmul(shapes: Sequence[Shape], attrs: Attrs) -> Shape:
    """(…, M, K) by (…, K, N); the leading axes broadcast."""
    a, b = shapes
    if len(a) < 2 or len(b) < 2 or a[-1] != b[-2]:
        raise GraphError(f"matmul cannot multiply {show(a)} by {show(b)}: the inner sizes must be equal")
    return (*broadcast([a[:-2], b[:-2]], {}), a[-2], b[-1])


def sides(padding: Sequence[int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Read a window's `padding` as (top, bottom) and (left, right).

    It is (height, width) where both sides of an axis have the same, else (top, left, bottom, right), as ONNX's pads.
    Raises GraphError for another count.
    """
    if len(padding) not in (2, 4):
        raise GraphError(f"padding is (height, width) or (top, left, bottom, right), got {tuple(padding)}")
    top, left, bottom, right = (*padding, *padding)[:4]
    return (top, bottom), (left, right)


def window_size(size: Size, kernel: int, stride: int, padding: tuple[int, int], dilation: int) -> Size:
    """Return how many windows fit: floor((size + before + after - dilation (kernel - 1) - 1) / stride) + 1."""
    return (size + (sum(padding) - dilation * (kernel - 1) - 1)) // stride + 1


def windows(height: Size, width: Size, kernel: tuple[int, int], attrs: Attrs) -> tuple[Size, Size]:
    """Return the output height and width of a 2-D window with `stride`, `padding` and `dilation`."""
    (sh, sw), (dh, dw), padding = attrs["stride"], attrs["dilation"], attrs["padding"]
    if min(*kernel, sh, sw, dh, dw) < 1 or min(padding) < 0:
        raise GraphError(
            f"kernel {kernel}, stride {sh, sw} and dilation {dh, dw} start at 1, padding {tuple(padding)} at 0"
        )
    options = zip((height, width), kernel, attrs["stride"], sides(padding), attrs["dilation"])
    sizes = tuple(window_size(*each) for each in options)
    if any(isinstance(s, int) and s < 1 for s in sizes):
        raise GraphError(f"a {kernel[0]}x{kernel[1]} window does not fit an image of {height}x{width}")
    return sizes[0], sizes[1]


def conv2d(shapes: Sequence[Shape], attrs: Attrs) -> Shape:
    """NCHW by OIHW, or with `layout="NHWC"` NHWC by HWIO, and GHWIO where there are `groups`."""
    x, w, groups = shapes[0], shapes[1], attrs["groups"]
    last = attrs["layout"] == "NHWC"
    if len(x) != 4 or len(w) != (5 if last and groups > 1 else 4):
        raise GraphError(f"conv2d takes a rank-4 image and weight, got {show(x)} and {show(w)}")
    n, h, wd, c = x if last else (x[0], x[2], x[3], x[1])
    kh, kw, i, o = w[-4:] if last else (w[2], w[3], w[1], w[0])
    if last and groups > 1:
        o = o * w[0]
    if groups < 1 or c != i * groups or (last and groups > 1 and w[0] != groups):
        by = f" in {groups} groups" if groups != 1 else ""
        raise GraphError(f"conv2d weight {show(w)}{by} takes {i * groups} channels, the image {show(x)} has {c}")
    if not isinstance(o, int) or o % groups:
        raise GraphError(f"conv2d cannot make {o} channels in {groups} groups")
    assert isinstance(kh, int) and isinstance(kw, int)
    oh, ow = windows(h, wd, (kh, kw), attrs)
    return (n, oh, ow, o) if last else (n, o, oh, ow)
