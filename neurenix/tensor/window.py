"""Methods of Tensor that slide a window over an image; 1-D and 3-D ones are made of the 2-D ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Union, cast

from neurenix.dims import Size
from neurenix.errors import GraphError, InputError
from neurenix.tensor.methods import Methods

if TYPE_CHECKING:
    from neurenix.tensor.tensor import Tensor

Extent = Union[int, Sequence[int]]
OutputSize = Union[int, None, "Sequence[Size | None]"]


class WindowMethods(Methods):
    """Pooling. A single number stands for all axes; the stride is the window's size unless given.

    Images are (N, C, …) or, without a batch, (C, …), as in PyTorch.
    """

    def max_pool1d(
        self, kernel_size: Extent, stride: Extent | None = None, padding: Extent = 0, dilation: Extent = 1,
        ceil_mode: bool = False,
    ) -> Tensor:  # fmt: skip
        return self._pool("max_pool2d", 1, kernel_size, stride, padding, ceil_mode, dilation=many(dilation, 1))

    def max_pool2d(
        self, kernel_size: Extent, stride: Extent | None = None, padding: Extent = 0, dilation: Extent = 1,
        ceil_mode: bool = False, return_indices: bool = False,
    ) -> Any:  # fmt: skip
        """The largest element of each window; with `return_indices` also where it is, h * W + w (not compiled)."""
        window = (kernel_size, stride, padding, ceil_mode)
        largest = self._pool("max_pool2d", 2, *window, dilation=many(dilation, 2))
        if not return_indices:
            return largest
        return largest, self._pool("max_pool2d_indices", 2, *window, dilation=many(dilation, 2))

    def max_pool3d(
        self, kernel_size: Extent, stride: Extent | None = None, padding: Extent = 0, dilation: Extent = 1,
        ceil_mode: bool = False,
    ) -> Tensor:  # fmt: skip
        return self._pool("max_pool2d", 3, kernel_size, stride, padding, ceil_mode, dilation=many(dilation, 3))

    def avg_pool1d(
        self, kernel_size: Extent, stride: Extent | None = None, padding: Extent = 0, ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> Tensor:  # fmt: skip
        return self._pool("avg_pool2d", 1, kernel_size, stride, padding, ceil_mode, count_include_pad=count_include_pad)

    def avg_pool2d(
        self, kernel_size: Extent, stride: Extent | None = None, padding: Extent = 0, ceil_mode: bool = False,
        count_include_pad: bool = True, divisor_override: int | None = None,
    ) -> Tensor:  # fmt: skip
        """The mean of each window; `divisor_override` divides its sum by something else than its size."""
        return self._pool(
            "avg_pool2d", 2, kernel_size, stride, padding, ceil_mode, count_include_pad=count_include_pad,
            divisor_override=divisor_override,
        )  # fmt: skip

    def avg_pool3d(
        self, kernel_size: Extent, stride: Extent | None = None, padding: Extent = 0, ceil_mode: bool = False,
        count_include_pad: bool = True, divisor_override: int | None = None,
    ) -> Tensor:  # fmt: skip
        if divisor_override is None:
            return self._pool(
                "avg_pool2d", 3, kernel_size, stride, padding, ceil_mode, count_include_pad=count_include_pad
            )
        if divisor_override == 0:
            raise GraphError("divisor_override is a whole number other than 0, got 0")
        sums = self._pool("avg_pool2d", 3, kernel_size, stride, padding, ceil_mode, divisor_override=1)
        return sums * (1 / divisor_override)

    def lp_pool1d(
        self, norm_type: float, kernel_size: Extent, stride: Extent | None = None, ceil_mode: bool = False
    ) -> Tensor:
        return self._power_pool(1, norm_type, kernel_size, stride, ceil_mode)

    def lp_pool2d(
        self, norm_type: float, kernel_size: Extent, stride: Extent | None = None, ceil_mode: bool = False
    ) -> Tensor:
        """The p-th root of the sum of each window's p-th powers, scaled as in PyTorch where it hangs over the end."""
        return self._power_pool(2, norm_type, kernel_size, stride, ceil_mode)

    def lp_pool3d(
        self, norm_type: float, kernel_size: Extent, stride: Extent | None = None, ceil_mode: bool = False
    ) -> Tensor:
        return self._power_pool(3, norm_type, kernel_size, stride, ceil_mode)

    def adaptive_avg_pool1d(self, output_size: OutputSize) -> Tensor:
        return self._adaptive("adaptive_avg_pool2d", 1, output_size)

    def adaptive_avg_pool2d(self, output_size: OutputSize) -> Tensor:
        """The means of `output_size` windows that cut the image evenly; None keeps an axis as it is."""
        return self._adaptive("adaptive_avg_pool2d", 2, output_size)

    def adaptive_avg_pool3d(self, output_size: OutputSize) -> Tensor:
        return self._adaptive("adaptive_avg_pool2d", 3, output_size)

    def adaptive_max_pool1d(self, output_size: OutputSize) -> Tensor:
        return self._adaptive("adaptive_max_pool2d", 1, output_size)

    def adaptive_max_pool2d(self, output_size: OutputSize) -> Tensor:
        """The largest elements of `output_size` windows that cut the image evenly; None keeps an axis as it is."""
        return self._adaptive("adaptive_max_pool2d", 2, output_size)

    def adaptive_max_pool3d(self, output_size: OutputSize) -> Tensor:
        return self._adaptive("adaptive_max_pool2d", 3, output_size)

    # ── what they are made of ───────────────────────────────────────────────────────────────────────

    def _pool(
        self, op: str, axes: int, kernel_size: Extent, stride: Extent | None, padding: Extent, ceil_mode: bool,
        **attrs: Any,
    ) -> Tensor:  # fmt: skip
        kernel = many(kernel_size, axes)
        window: dict[str, tuple[int, ...]] = {
            "kernel_size": kernel,
            "stride": kernel if stride is None else many(stride, axes),
            "padding": many(padding, axes),
        }
        if "dilation" in attrs:
            window["dilation"] = attrs.pop("dilation")
        idle = {"kernel_size": 1, "stride": 1, "padding": 0, "dilation": 1}

        def pool(image: Tensor, first: int | None, second: int | None) -> Tensor:
            """Pool along two of the window's axes, or one."""
            pairs = {k: tuple(idle[k] if a is None else v[a] for a in (first, second)) for k, v in window.items()}
            return image.apply(op, **pairs, ceil_mode=ceil_mode, **attrs)

        return self._over_axes(axes, pool)

    def _power_pool(
        self, axes: int, norm_type: float, kernel_size: Extent, stride: Extent | None, ceil_mode: bool
    ) -> Tensor:
        kernel, p = many(kernel_size, axes), float(norm_type)
        x = cast("Tensor", self)
        powers = x if p == 1 else x * x if p == 2 else x**p
        count = 1
        for size in kernel:
            count *= size
        sums = powers._pool("avg_pool2d", axes, kernel, stride, 0, ceil_mode) * float(count)
        return sums if p == 1 else sums.sqrt() if p == 2 else sums ** (1 / p)

    def _adaptive(self, op: str, axes: int, output_size: OutputSize) -> Tensor:
        given = [output_size] * axes if isinstance(output_size, int) or output_size is None else list(output_size)
        if len(given) != axes:
            raise InputError(f"output_size has one number or {axes}, got {output_size}")
        sizes = [size if wanted is None else wanted for size, wanted in zip(self.shape[-axes:], given)]

        def pool(image: Tensor, first: int | None, second: int | None) -> Tensor:
            wanted = tuple(image.shape[2 + i] if a is None else sizes[a] for i, a in enumerate((first, second)))
            return image.apply(op, output_size=wanted)

        return self._over_axes(axes, pool)

    def _over_axes(self, axes: int, pool: Callable[[Tensor, int | None, int | None], Tensor]) -> Tensor:
        """Pool the last one, two or three axes by a function of an image and the numbers of its two axes.

        A box is separable: three axes are pooled by two images, height by width and then depth by all the rest.
        """
        if self.ndim not in (axes + 1, axes + 2):
            raise GraphError(
                f"a {axes}-D pool takes (N, C, {axes} axes) or (C, {axes} axes), got the shape {list(self.shape)}"
            )
        shape = self.shape if self.ndim == axes + 2 else (1, *self.shape)
        n, c = shape[:2]
        batched: Tensor = self.apply("reshape", shape=shape)
        if axes == 2:
            result = pool(batched, 0, 1)
        elif axes == 1:
            line = pool(batched.reshape((n, c, 1, shape[2])), None, 0)
            result = line.reshape((n, c, line.shape[3]))
        else:
            flat = pool(batched.reshape((n, c * shape[2], shape[3], shape[4])), 1, 2)
            h, w = flat.shape[2:]
            # What is beside depth takes the channels' place: channels-last, that moves nothing.
            deep = pool(flat.reshape((n * c, shape[2], 1, h * w)).permute((0, 3, 1, 2)), 0, None)
            result = deep.permute((0, 2, 3, 1)).reshape((n, c, deep.shape[2], h, w))
        return result if self.ndim == axes + 2 else result.reshape(result.shape[1:])


def many(value: Extent, axes: int) -> tuple[int, ...]:
    """Return one number for each axis. Raises InputError for another count of them."""
    numbers = (value,) * axes if isinstance(value, int) else tuple(int(v) for v in value)
    if len(numbers) == 1:
        numbers *= axes
    if len(numbers) != axes:
        raise InputError(f"a {axes}-D window takes one number or {axes}, got {value}")
    return numbers
