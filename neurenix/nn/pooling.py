"""The pooling layers. Names, arguments and defaults are PyTorch's; images are (N, C, …) or (C, …)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from neurenix.nn.module import Module
from neurenix.tensor import Tensor
from neurenix.tensor.window import Extent, OutputSize, many


class _Pool(Module):
    """A layer that is one method of Tensor, called with the layer's own options."""

    method: ClassVar[str]
    axes: ClassVar[int]
    options: ClassVar[tuple[str, ...]]

    def forward(self, *inputs: Tensor) -> Any:
        return getattr(inputs[0], self.method)(**self.config())

    def config(self) -> Mapping[str, Any]:
        return {name: getattr(self, name) for name in self.options}


class _MaxPool(_Pool):
    options: ClassVar[tuple[str, ...]] = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")

    def __init__(
        self, kernel_size: Extent, stride: Extent | None = None, padding: Extent = 0, dilation: Extent = 1,
        ceil_mode: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kernel_size = many(kernel_size, self.axes)
        self.stride = self.kernel_size if stride is None else many(stride, self.axes)
        self.padding, self.dilation = many(padding, self.axes), many(dilation, self.axes)
        self.ceil_mode = ceil_mode


class MaxPool1d(_MaxPool):
    """The largest element of each window of (N, C, L); the stride is the window's size unless given."""

    method, axes = "max_pool1d", 1


class MaxPool2d(_MaxPool):
    """The largest element of each window of (N, C, H, W); the stride is the window's size unless given.

    With `return_indices` the answer is a pair: the elements, and where they are, h * W + w (not compiled).
    """

    method, axes = "max_pool2d", 2

    def __init__(
        self, kernel_size: Extent, stride: Extent | None = None, padding: Extent = 0, dilation: Extent = 1,
        return_indices: bool = False, ceil_mode: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(kernel_size, stride, padding, dilation, ceil_mode)
        self.return_indices = return_indices

    def config(self) -> Mapping[str, Any]:
        return {**super().config(), **({"return_indices": True} if self.return_indices else {})}


class MaxPool3d(_MaxPool):
    """The largest element of each window of (N, C, D, H, W); the stride is the window's size unless given."""

    method, axes = "max_pool3d", 3


class _AvgPool(_Pool):
    options: ClassVar[tuple[str, ...]] = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")

    def __init__(
        self, kernel_size: Extent, stride: Extent | None = None, padding: Extent = 0, ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kernel_size = many(kernel_size, self.axes)
        self.stride = self.kernel_size if stride is None else many(stride, self.axes)
        self.padding = many(padding, self.axes)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad


class AvgPool1d(_AvgPool):
    """The mean of each window of (N, C, L); padding counts as zeros unless `count_include_pad` is off."""

    method, axes = "avg_pool1d", 1


class _DividedAvgPool(_AvgPool):
    options = (*_AvgPool.options, "divisor_override")

    def __init__(
        self, kernel_size: Extent, stride: Extent | None = None, padding: Extent = 0, ceil_mode: bool = False,
        count_include_pad: bool = True, divisor_override: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)
        self.divisor_override = divisor_override


class AvgPool2d(_DividedAvgPool):
    """The mean of each window of (N, C, H, W); padding counts as zeros unless `count_include_pad` is off."""

    method, axes = "avg_pool2d", 2


class AvgPool3d(_DividedAvgPool):
    """The mean of each window of (N, C, D, H, W); padding counts as zeros unless `count_include_pad` is off."""

    method, axes = "avg_pool3d", 3


class _PowerPool(_Pool):
    options = ("norm_type", "kernel_size", "stride", "ceil_mode")

    def __init__(
        self, norm_type: float, kernel_size: Extent, stride: Extent | None = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.norm_type, self.ceil_mode = norm_type, ceil_mode
        self.kernel_size = many(kernel_size, self.axes)
        self.stride = self.kernel_size if stride is None else many(stride, self.axes)


class LPPool1d(_PowerPool):
    """The p-th root of the sum of p-th powers of each window of (N, C, L), p being `norm_type`."""

    method, axes = "lp_pool1d", 1


class LPPool2d(_PowerPool):
    """The p-th root of the sum of p-th powers of each window of (N, C, H, W), p being `norm_type`."""

    method, axes = "lp_pool2d", 2


class LPPool3d(_PowerPool):
    """The p-th root of the sum of p-th powers of each window of (N, C, D, H, W), p being `norm_type`."""

    method, axes = "lp_pool3d", 3


class _AdaptivePool(_Pool):
    options = ("output_size",)

    def __init__(self, output_size: OutputSize) -> None:
        super().__init__()
        whole = isinstance(output_size, int) or output_size is None
        self.output_size = output_size if whole else tuple(output_size)  # type: ignore[arg-type]


class AdaptiveAvgPool1d(_AdaptivePool):
    """The means of `output_size` windows that cut (N, C, L) evenly."""

    method, axes = "adaptive_avg_pool1d", 1


class AdaptiveAvgPool2d(_AdaptivePool):
    """The means of `output_size` windows that cut (N, C, H, W) evenly; 1 is global average pooling."""

    method, axes = "adaptive_avg_pool2d", 2


class AdaptiveAvgPool3d(_AdaptivePool):
    """The means of `output_size` windows that cut (N, C, D, H, W) evenly."""

    method, axes = "adaptive_avg_pool3d", 3


class AdaptiveMaxPool1d(_AdaptivePool):
    """The largest elements of `output_size` windows that cut (N, C, L) evenly."""

    method, axes = "adaptive_max_pool1d", 1


class AdaptiveMaxPool2d(_AdaptivePool):
    """The largest elements of `output_size` windows that cut (N, C, H, W) evenly; 1 is global max pooling."""

    method, axes = "adaptive_max_pool2d", 2


class AdaptiveMaxPool3d(_AdaptivePool):
    """The largest elements of `output_size` windows that cut (N, C, D, H, W) evenly."""

    method, axes = "adaptive_max_pool3d", 3
