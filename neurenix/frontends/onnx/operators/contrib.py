"""Operators of the domain com.microsoft: what onnxruntime's optimiser makes of transformers and fused convolutions."""

from __future__ import annotations

from collections.abc import Callable

from neurenix.errors import ModelError, UnsupportedError
from neurenix.frontends.onnx.operator import Call, operator
from neurenix.frontends.onnx.operators.convolution import conv
from neurenix.frontends.onnx.windows import Numbers
from neurenix.tensor import Tensor

MICROSOFT = "com.microsoft"

Floats = tuple[float, ...] | None

# What FusedConv may end in, of the parameters that its attribute gives.
_ACTIVATIONS: dict[str, Callable[..., Tensor]] = {
    "Relu": lambda x: x.relu(),
    "Tanh": lambda x: x.tanh(),
    "Sigmoid": lambda x: x.sigmoid(),
    "LeakyRelu": lambda x, alpha=0.01: x.leaky_relu(alpha),
    "Clip": lambda x, low, high: x.clamp(low, high),
    "HardSigmoid": lambda x, alpha=0.2, beta=0.5: (x * alpha + beta).clamp(0.0, 1.0),
}


@operator("Gelu", domain=MICROSOFT)
def gelu(x: Tensor) -> Tensor:
    return x.gelu()


@operator("BiasGelu", domain=MICROSOFT)
def bias_gelu(a: Tensor, b: Tensor) -> Tensor:
    return (a + b).gelu()


@operator("FastGelu", domain=MICROSOFT)
def fast_gelu(x: Tensor, bias: Tensor | None = None) -> Tensor:
    return (x if bias is None else x + bias).gelu("tanh")


@operator("QuickGelu", domain=MICROSOFT)
def quick_gelu(x: Tensor, *, alpha: float = 1.702) -> Tensor:
    return x * (x * alpha).sigmoid()


@operator("FusedMatMul", domain=MICROSOFT)
def fused_matmul(
    a: Tensor, b: Tensor, *,
    alpha: float = 1.0, transA: bool = False, transB: bool = False, transBatchA: bool = False,
    transBatchB: bool = False,
) -> Tensor:  # fmt: skip
    """A vector is not transposed."""
    if transBatchA or transBatchB:
        raise UnsupportedError("its attributes transBatchA and transBatchB are not supported")
    y = (a.mT if transA and a.ndim > 1 else a) @ (b.mT if transB and b.ndim > 1 else b)
    return y if alpha == 1 else y * alpha


@operator("SimplifiedLayerNormalization")
@operator("SimplifiedLayerNormalization", domain=MICROSOFT)
def simplified_layer_normalization(
    call: Call, x: Tensor, scale: Tensor, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> Tensor:
    """RMSNormalization under its older name, which onnxruntime keeps in ONNX's own domain."""
    if axis not in (-1, x.ndim - 1):
        raise UnsupportedError(f"its axis {axis} is not the last, which alone is supported")
    return x.rms_norm(x.shape[-1], scale, epsilon)


@operator("SkipLayerNormalization", domain=MICROSOFT)
def skip_layer_normalization(
    call: Call, x: Tensor, skip: Tensor, gamma: Tensor, beta: Tensor | None = None, bias: Tensor | None = None, *,
    epsilon: float = 1e-12,
) -> tuple[Tensor | None, ...]:  # fmt: skip
    total = x + skip if bias is None else x + skip + bias
    return _without_moments(call, total.layer_norm(total.shape[-1], gamma, beta, epsilon), total)


@operator("SkipSimplifiedLayerNormalization", domain=MICROSOFT)
def skip_simplified_layer_normalization(
    call: Call, x: Tensor, skip: Tensor, gamma: Tensor, bias: Tensor | None = None, *, epsilon: float = 1e-12
) -> tuple[Tensor | None, ...]:
    total = x + skip if bias is None else x + skip + bias
    return _without_moments(call, total.rms_norm(total.shape[-1], gamma, epsilon), total)


def _without_moments(call: Call, y: Tensor, total: Tensor) -> tuple[Tensor | None, ...]:
    if call.wants(1) or call.wants(2):
        raise UnsupportedError("its outputs 'mean' and 'inv_std_var' are for training, and not supported")
    return y, None, None, total


@operator("FusedConv", domain=MICROSOFT)
def fused_conv(
    x: Tensor, w: Tensor, b: Tensor | None = None, z: Tensor | None = None, *,
    activation: str = "", activation_params: Floats = None, auto_pad: str = "NOTSET", dilations: Numbers = None,
    group: int = 1, kernel_shape: Numbers = None, pads: Numbers = None, strides: Numbers = None,
) -> Tensor:  # fmt: skip
    """A convolution, what is added to it, and an activation."""
    y = conv(
        x, w, b, auto_pad=auto_pad, dilations=dilations, group=group, kernel_shape=kernel_shape, pads=pads,
        strides=strides,
    )  # fmt: skip
    y = y if z is None else y + z
    if not activation:
        return y
    if activation not in _ACTIVATIONS:
        raise ModelError(f"its activation {activation[:60]!r} is none of {', '.join(_ACTIVATIONS)}")
    return _ACTIVATIONS[activation](y, *(activation_params or ()))
