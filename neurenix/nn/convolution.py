"""The convolutions. Names, arguments, defaults, parameter names and shapes are PyTorch's."""

from __future__ import annotations

import math

from neurenix.errors import InputError
from neurenix.nn import init
from neurenix.nn.module import Module, Parameter
from neurenix.tensor import Tensor
from neurenix.tensor.convolution import Padding, Sizes, same_padding, sizes_of

_MODES = ("zeros", "reflect", "replicate", "circular")


class _Convolution(Module):
    """What all convolutions have: options, a weight and a bias."""

    rank: int
    transposed = False
    weight: Parameter
    bias: Parameter | None

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Sizes, stride: Sizes, padding: Padding,
                 dilation: Sizes, groups: int, bias: bool, padding_mode: str) -> None:  # fmt: skip
        super().__init__()
        name = type(self).__name__
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise InputError(
                f"{name}: groups must divide in_channels and out_channels, got {groups}, {in_channels}, {out_channels}"
            )
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise InputError(f"{name}: padding is a number, 'same' or 'valid', got {padding!r}")
        if padding_mode not in _MODES:
            raise InputError(f"{name}: padding_mode is one of {', '.join(_MODES)}, got {padding_mode!r}")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = sizes_of(f"{name}: kernel_size", kernel_size, self.rank)
        self.stride = sizes_of(f"{name}: stride", stride, self.rank)
        self.dilation = sizes_of(f"{name}: dilation", dilation, self.rank)
        self.padding = padding if isinstance(padding, str) else sizes_of(f"{name}: padding", padding, self.rank)
        self.padding_mode = padding_mode
        if padding == "same" and set(self.stride) != {1}:
            raise InputError(f"{name}: padding 'same' keeps the size, which stride {self.stride} does not")
        self.weight = Parameter(init.uniform(self._weight_shape(), self._fan_in()))
        self.register_parameter("bias", Parameter(init.uniform((out_channels,), self._fan_in())) if bias else None)

    def _weight_shape(self) -> tuple[int, ...]:
        channels = (self.in_channels, self.out_channels) if self.transposed else (self.out_channels, self.in_channels)
        return (channels[0], channels[1] // self.groups, *self.kernel_size)

    def _fan_in(self) -> int:
        """The inputs of one output, counted as PyTorch counts them: by the weight's second axis."""
        return math.prod(self._weight_shape()[1:])

    def reset_parameters(self) -> None:
        """Draw the weights anew."""
        self.weight.numpy()[...] = init.uniform(self._weight_shape(), self._fan_in())
        if self.bias is not None:
            self.bias.numpy()[...] = init.uniform((self.out_channels,), self._fan_in())


class _Forward(_Convolution):
    """A convolution, and what it does with the image's edge."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Sizes, stride: Sizes = 1,
                 padding: Padding = 0, dilation: Sizes = 1, groups: int = 1, bias: bool = True,
                 padding_mode: str = "zeros") -> None:  # fmt: skip
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode
        )  # fmt: skip

    def forward(self, input: Tensor) -> Tensor:
        padding: Padding = self.padding
        if self.padding_mode != "zeros" and padding != "valid":
            input, padding = input.pad(self._sides(), mode=self.padding_mode), 0
        convolve = getattr(input, f"conv{self.rank}d")
        result: Tensor = convolve(self.weight, self.bias, self.stride, padding, self.dilation, self.groups)
        return result

    def _sides(self) -> tuple[int, ...]:
        """Return the padding before and behind each axis, the last axis first, as `pad` takes it."""
        if self.padding == "same":
            sides = same_padding(self.kernel_size, self.dilation)
        else:
            assert not isinstance(self.padding, str)
            sides = [(p, p) for p in self.padding]
        return tuple(size for side in reversed(sides) for size in side)


class Conv1d(_Forward):
    """Cross-correlation of sequences (N, C, L) with a weight (out_channels, in_channels / groups, K)."""

    rank = 1


class Conv2d(_Forward):
    """Cross-correlation of images (N, C, H, W) with a weight (out_channels, in_channels / groups, KH, KW)."""

    rank = 2


class Conv3d(_Forward):
    """Cross-correlation of volumes (N, C, D, H, W) with a weight (out_channels, in_channels / groups, KD, KH, KW)."""

    rank = 3


class _Transposed(_Convolution):
    """The transpose of a convolution: it spreads where that one gathers."""

    transposed = True

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Sizes, stride: Sizes = 1, padding: Sizes = 0,
                 output_padding: Sizes = 0, groups: int = 1, bias: bool = True, dilation: Sizes = 1,
                 padding_mode: str = "zeros") -> None:  # fmt: skip
        name = type(self).__name__
        if padding_mode != "zeros":
            raise InputError(f"{name} knows the padding_mode 'zeros' only, got {padding_mode!r}")
        super().__init__(
            in_channels, out_channels, kernel_size, stride, sizes_of(f"{name}: padding", padding, self.rank), dilation,
            groups, bias, padding_mode,
        )  # fmt: skip
        self.output_padding = sizes_of(f"{name}: output_padding", output_padding, self.rank)

    def forward(self, input: Tensor, output_size: Sizes | None = None) -> Tensor:
        """Convolve; `output_size` chooses among the sizes that the stride leaves open."""
        extra = self.output_padding if output_size is None else self._extra(input, output_size)
        convolve = getattr(input, f"conv_transpose{self.rank}d")
        result: Tensor = convolve(
            self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation
        )  # fmt: skip
        return result

    def _extra(self, input: Tensor, output_size: Sizes) -> tuple[int, ...]:
        wanted = output_size if isinstance(output_size, int) else tuple(output_size)[-self.rank :]
        extra = []
        for axis, size in enumerate(sizes_of("output_size", wanted, self.rank)):
            before, padding = input.shape[input.ndim - self.rank + axis], self.padding[axis]
            assert isinstance(padding, int)
            reach = self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
            least = (before - 1) * self.stride[axis] - 2 * padding + reach
            if not isinstance(least, int) or not 0 <= size - least < self.stride[axis]:
                raise InputError(
                    f"{type(self).__name__}: axis {axis} of the output can have {least} to "
                    f"{least + self.stride[axis] - 1} elements, not {size}"
                )
            extra.append(size - least)
        return tuple(extra)


class ConvTranspose1d(_Transposed):
    """The transpose of Conv1d: (N, C, L) by a weight (in_channels, out_channels / groups, K)."""

    rank = 1


class ConvTranspose2d(_Transposed):
    """The transpose of Conv2d: (N, C, H, W) by a weight (in_channels, out_channels / groups, KH, KW)."""

    rank = 2


class ConvTranspose3d(_Transposed):
    """The transpose of Conv3d: (N, C, D, H, W) by a weight (in_channels, out_channels / groups, KD, KH, KW)."""

    rank = 3
