"""Activations, limits, and Dropout, which passes everything on when a model is used.

ONNX has bodies for most activations, but only from opset 18 on, and its body of Softplus overflows.
"""

from __future__ import annotations

from collections.abc import Callable

from neurenix.dims import product
from neurenix.errors import ModelError, UnsupportedError
from neurenix.frontends.onnx.operator import Call, Constant, operator
from neurenix.ops.shapes import axis_of
from neurenix.tensor import Tensor, arange, full_like


@operator("Relu")
def relu(x: Tensor) -> Tensor:
    return x.relu()


@operator("LeakyRelu")
def leaky_relu(x: Tensor, *, alpha: float = 0.01) -> Tensor:
    return x.leaky_relu(alpha)


@operator("PRelu")
def prelu(x: Tensor, slope: Tensor) -> Tensor:
    """The slope broadcasts as in NumPy: it goes along the last axes, unlike PyTorch's."""
    if x.dtype.numpy.kind == "f":
        return x.apply("prelu", slope)
    return (slope * x).where(x < 0, x)


@operator("Elu")
def elu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    return x.elu(alpha)


@operator("Selu")
def selu(x: Tensor, *, alpha: float = 1.6732632423543772, gamma: float = 1.0507009873554805) -> Tensor:
    return x.elu(alpha) * gamma


@operator("Celu", since=12)
def celu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    if alpha == 0:
        raise ModelError("its attribute 'alpha' is 0, by which it would divide")
    return x.celu(alpha)


@operator("Softplus")
def softplus(x: Tensor) -> Tensor:
    return x.softplus()


@operator("HardSigmoid")
def hard_sigmoid(x: Tensor, *, alpha: float = 0.2, beta: float = 0.5) -> Tensor:
    return x.apply("hard_sigmoid", alpha=alpha, beta=beta)


@operator("HardSwish", since=14)
def hard_swish(x: Tensor) -> Tensor:
    return x.hardswish()


@operator("ThresholdedRelu", since=10)
def thresholded_relu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    return x.threshold(alpha, 0.0)


@operator("Shrink", since=9)
def shrink(input: Tensor, *, bias: float = 0.0, lambd: float = 0.5) -> Tensor:
    """Moved towards 0 by `bias` where it is beyond `lambd`, else 0; integers stay ones."""
    moved = (input + bias).where(input < -lambd, (input - bias).where(input > lambd, 0))
    return moved.type(input.dtype)


# ── limits ──────────────────────────────────────────────────────────────────────────────────────────


@operator("Clip", since=6)
def clip_6(input: Tensor, *, min: float | None = None, max: float | None = None) -> Tensor:
    return input if min is None and max is None else input.clamp(min, max)


@operator("Clip", since=11)
def clip(input: Tensor, min: Tensor | None = None, max: Tensor | None = None) -> Tensor:
    """Where the limits cross, the upper one holds."""
    limits = [None if limit is None else _number(limit) for limit in (min, max)]
    return input if limits == [None, None] else input.clamp(*limits)


def _number(limit: Tensor) -> Tensor | float:
    """Return a limit as a number where it is known, which compiles to less than a tensor."""
    if product(limit.shape) != 1:
        raise ModelError(f"a limit is one number, not a tensor of shape {list(limit.shape)}")
    known: Tensor | float = limit.reshape(()) if limit.traced else limit.numpy().reshape(()).item()
    return known


# ── along an axis ───────────────────────────────────────────────────────────────────────────────────


def _hardmax(x: Tensor, axis: int) -> Tensor:
    """1 at the first of the largest elements, 0 elsewhere."""
    at = axis_of(axis, x.ndim)
    places = arange(x.shape[at]).reshape((-1, *(1,) * (x.ndim - 1 - at)))
    return x.argmax(axis, keepdim=True).eq(places).cast(x.dtype)


_ALONG: dict[str, Callable[[Tensor, int], Tensor]] = {
    "Softmax": Tensor.softmax,
    "LogSoftmax": Tensor.log_softmax,
    "Hardmax": _hardmax,
}


@operator(*_ALONG)
def over_the_rest(call: Call, input: Tensor, *, axis: int = 1) -> Tensor:
    """Before opset 13 these took all axes from `axis` on as one."""
    cut = axis_of(axis, input.ndim) if axis != input.ndim else axis
    flat = input.reshape((product(input.shape[:cut]), product(input.shape[cut:])))
    return _ALONG[call.op_type](flat, -1).reshape(input.shape)


@operator(*_ALONG, since=13)
def along_axis(call: Call, input: Tensor, *, axis: int = -1) -> Tensor:
    return _ALONG[call.op_type](input, axis)


# ── Dropout ─────────────────────────────────────────────────────────────────────────────────────────


@operator("Dropout", since=7)
def dropout_7(call: Call, data: Tensor, *, ratio: float = 0.5) -> tuple[Tensor, Tensor | None]:
    mask = full_like(data, 1, "bool" if call.opset >= 10 else data.dtype) if call.wants(1) else None
    return data, mask


@operator("Dropout", since=12)
def dropout(
    call: Call,
    data: Tensor,
    ratio: Constant | None = None,
    training_mode: Constant | None = None,
    *,
    seed: int | None = None,
) -> tuple[Tensor, Tensor | None]:
    training = training_mode is not None and bool(training_mode.any())
    if training and (ratio is None or ratio.any()):
        raise UnsupportedError("it drops elements at random, as in training: export the model for inference")
    return data, full_like(data, True, "bool") if call.wants(1) else None
