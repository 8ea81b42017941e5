"""Layers that change an image's resolution or its borders, with PyTorch's names and arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Union

from neurenix.errors import InputError
from neurenix.nn.module import Module
from neurenix.tensor import Tensor

Scale = Union[float, Sequence[float], None]


class Upsample(Module):
    """Resize an image (N, C, d1, …) to `size` or by `scale_factor`.

    `mode` is "nearest", "linear", "bilinear", "trilinear" or "bicubic".
    """

    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        scale_factor: Scale = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        if (size is None) == (scale_factor is None):
            raise InputError(f"Upsample takes either size or scale_factor, got {size} and {scale_factor}")
        self.size, self.scale_factor, self.mode, self.align_corners = size, scale_factor, mode, align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: Tensor) -> Tensor:
        return input.interpolate(
            self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor
        )


class UpsamplingNearest2d(Upsample):
    """Resize an image (N, C, H, W) to `size` or by `scale_factor`, each pixel taking its nearest one's value."""

    def __init__(self, size: int | Sequence[int] | None = None, scale_factor: Scale = None) -> None:
        super().__init__(size, scale_factor, "nearest")


class UpsamplingBilinear2d(Upsample):
    """Resize an image (N, C, H, W) to `size` or by `scale_factor`, linearly, with its corners kept."""

    def __init__(self, size: int | Sequence[int] | None = None, scale_factor: Scale = None) -> None:
        super().__init__(size, scale_factor, "bilinear", align_corners=True)


class PixelShuffle(Module):
    """(…, C r², H, W) becomes (…, C, H r, W r)."""

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input: Tensor) -> Tensor:
        return input.pixel_shuffle(self.upscale_factor)


class PixelUnshuffle(Module):
    """(…, C, H r, W r) becomes (…, C r², H, W)."""

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input: Tensor) -> Tensor:
        return input.pixel_unshuffle(self.downscale_factor)


class ChannelShuffle(Module):
    """Interleave the channels (axis 1) of `groups` groups."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, input: Tensor) -> Tensor:
        return input.channel_shuffle(self.groups)


class _Pad(Module):
    """Add a border along the last `axes` axes; `padding` is one width, or two for each axis, the last axis first."""

    axes: ClassVar[int]
    mode: ClassVar[str]

    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__()
        self.padding = (padding,) * (2 * self.axes) if isinstance(padding, int) else tuple(padding)
        if len(self.padding) != 2 * self.axes:
            raise InputError(f"{type(self).__name__} takes {2 * self.axes} widths, got {self.padding}")

    def forward(self, input: Tensor) -> Tensor:
        return input.pad(self.padding, self.mode)


class ReflectionPad1d(_Pad):
    """A border that mirrors the signal without its edge."""

    axes, mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """A border that mirrors the image without its edge."""

    axes, mode = 2, "reflect"


class ReplicationPad1d(_Pad):
    """A border that repeats the edge of a signal."""

    axes, mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """A border that repeats the edge of an image."""

    axes, mode = 2, "replicate"


class CircularPad1d(_Pad):
    """A border that goes on with the signal's other end."""

    axes, mode = 1, "circular"


class CircularPad2d(_Pad):
    """A border that goes on with the image's other end."""

    axes, mode = 2, "circular"


class _ConstantPad(_Pad):
    mode = "constant"

    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return input.pad(self.padding, self.mode, self.value)

    def config(self) -> Mapping[str, Any]:
        return {"padding": self.padding, "value": self.value}


class ConstantPad1d(_ConstantPad):
    """A border of one value around a signal."""

    axes = 1


class ConstantPad2d(_ConstantPad):
    """A border of one value around an image."""

    axes = 2


class ZeroPad1d(_ConstantPad):
    """A border of zeros around a signal."""

    axes = 1

    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__(padding, 0.0)


class ZeroPad2d(_ConstantPad):
    """A border of zeros around an image."""

    axes = 2

    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__(padding, 0.0)
