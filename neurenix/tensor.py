"""Tensor: an array that remembers how it was made.

A tensor holds a NumPy array, or while a model is being traced a `Value` of the graph under construction.
Every method goes through `apply`, which evaluates in the one case and records a node in the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from neurenix import autograd, ops
from neurenix.dims import Shape, Size, product
from neurenix.dtypes import DType, dtype
from neurenix.errors import GraphError, InputError
from neurenix.expr import Expr
from neurenix.graph.builder import active_builder, as_array
from neurenix.graph.graph import Array, Value

if TYPE_CHECKING:
    from neurenix.device import Device

Operand = Union["Tensor", Array, float, int]
_generator = np.random.default_rng(0)


class Tensor:
    """A tensor of numbers.

    `data` is anything `numpy.asarray` takes; Python floats become float32. With `requires_grad`,
    `backward()` on a result adds to `grad`.

    >>> (Tensor([1.0, 2.0]) * 3).numpy().tolist()
    [3.0, 6.0]
    """

    __array_priority__ = 1000  # so that ndarray * Tensor asks the Tensor
    entry: autograd.Entry | None = None
    grad: Tensor | None = None

    def __init__(self, data: Any, dtype: str | None = None, requires_grad: bool = False) -> None:
        if isinstance(data, Tensor):
            data = data._data
        self._data: Array | Value = data if isinstance(data, Value) else as_array(data)
        if dtype is not None and not isinstance(self._data, Value):
            self._data = self._data.astype(dtype)
        self.requires_grad = requires_grad

    # ── what it is ──────────────────────────────────────────────────────────────────────────────────

    @property
    def shape(self) -> Shape:
        return self._data.shape

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> Size:
        """The number of elements."""
        return product(self.shape)

    @property
    def dtype(self) -> DType:
        return dtype(self._data.dtype) if isinstance(self._data, np.ndarray) else self._data.dtype

    @property
    def traced(self) -> Value | None:
        """The graph's value that this tensor stands for while a model is being traced."""
        return self._data if isinstance(self._data, Value) else None

    def numpy(self) -> Array:
        """Return the array itself (not a copy). Raises GraphError while tracing, when there is none yet."""
        if isinstance(self._data, Value):
            raise GraphError(
                f"'{self._data.name}' has no numbers while the model is being traced: its forward() must not "
                "depend on values, only on shapes"
            )
        return self._data

    def item(self) -> float:
        """Return the one number of a tensor that has one."""
        return float(self.numpy().item())

    def tolist(self) -> Any:
        return self.numpy().tolist()

    def detach(self) -> Tensor:
        """Return the same numbers without their history."""
        return Tensor(self._data)

    def clone(self) -> Tensor:
        """Return a copy, without history."""
        return Tensor(self.numpy().copy())

    def to(self, device: Device | str) -> Tensor:
        """Return the tensor on a device; in this version that is the CPU."""
        from neurenix.device import as_device  # device needs no tensor, but a tensor's user may never need it

        as_device(device).require()
        return self

    def __repr__(self) -> str:
        if isinstance(self._data, Value):
            return f"Tensor({self._data.name}: {self.dtype}{list(self.shape)})"
        text = np.array2string(self._data, prefix="Tensor(", precision=4, threshold=60, separator=", ")
        grad = ", requires_grad=True" if self.requires_grad else ""
        return f"Tensor({text}{'' if self.dtype.name == 'float32' else f', dtype={self.dtype}'}{grad})"

    def __len__(self) -> int:
        if not self.shape or not isinstance(self.shape[0], int):
            raise InputError(f"a tensor of shape {list(self.shape)} has no length")
        return self.shape[0]

    def backward(self, gradient: Operand | None = None) -> None:
        """Add this tensor's gradient to the `grad` of everything it was made from.

        `gradient` is the gradient of some scalar by this tensor; a one-element tensor needs none. Raises
        GraphError when nothing that this was made from requires a gradient.
        """
        if not self.requires_grad:
            raise GraphError("backward() needs a result of something with requires_grad=True")
        if gradient is None:
            if self.size != 1:
                raise GraphError(f"backward() of shape {list(self.shape)} needs its gradient; only a scalar has 1")
            gradient = np.ones_like(self.numpy())
        given = as_tensor(gradient, self.dtype)
        if given.shape != self.shape:
            raise GraphError(f"backward() of shape {list(self.shape)} got a gradient of shape {list(given.shape)}")
        autograd.backward(self, given)

    # ── operators ───────────────────────────────────────────────────────────────────────────────────

    def __add__(self, other: Operand) -> Tensor:
        return apply("add", self, other)

    def __radd__(self, other: Operand) -> Tensor:
        return apply("add", other, self)

    def __sub__(self, other: Operand) -> Tensor:
        return apply("sub", self, other)

    def __rsub__(self, other: Operand) -> Tensor:
        return apply("sub", other, self)

    def __mul__(self, other: Operand) -> Tensor:
        return apply("mul", self, other)

    def __rmul__(self, other: Operand) -> Tensor:
        return apply("mul", other, self)

    def __truediv__(self, other: Operand) -> Tensor:
        return apply("div", self, other)

    def __rtruediv__(self, other: Operand) -> Tensor:
        return apply("div", other, self)

    def __matmul__(self, other: Operand) -> Tensor:
        return apply("matmul", self, other)

    def __neg__(self) -> Tensor:
        return apply("neg", self)

    # ── elementwise ─────────────────────────────────────────────────────────────────────────────────

    def abs(self) -> Tensor:
        return apply("abs", self)

    def exp(self) -> Tensor:
        return apply("exp", self)

    def log(self) -> Tensor:
        return apply("log", self)

    def sqrt(self) -> Tensor:
        return apply("sqrt", self)

    def reciprocal(self) -> Tensor:
        return apply("reciprocal", self)

    def tanh(self) -> Tensor:
        return apply("tanh", self)

    def relu(self) -> Tensor:
        return apply("relu", self)

    def leaky_relu(self, negative_slope: float = 0.01) -> Tensor:
        return apply("leaky_relu", self, negative_slope=negative_slope)

    def sigmoid(self) -> Tensor:
        return apply("sigmoid", self)

    def silu(self) -> Tensor:
        return apply("silu", self)

    def maximum(self, other: Operand) -> Tensor:
        return apply("maximum", self, other)

    def minimum(self, other: Operand) -> Tensor:
        return apply("minimum", self, other)

    def map(self, expr: Expr, *others: Operand) -> Tensor:
        """Apply a scalar expression; this tensor is operand 0, `others` follow."""
        return apply("map", self, *others, expr=expr)

    # ── reductions and normalisations ───────────────────────────────────────────────────────────────

    def sum(self, axes: Sequence[int] | int | None = None, keepdims: bool = False) -> Tensor:
        return apply("sum", self, axes=_axes(axes), keepdims=keepdims)

    def max(self, axes: Sequence[int] | int | None = None, keepdims: bool = False) -> Tensor:
        return apply("max", self, axes=_axes(axes), keepdims=keepdims)

    def mean(self, axes: Sequence[int] | int | None = None, keepdims: bool = False) -> Tensor:
        total = self.sum(axes, keepdims)
        count = product(self.shape) // product(total.shape)
        if not isinstance(count, int):
            raise GraphError("the mean over a symbolic dimension is not supported yet")
        return total * (1.0 / count)

    def softmax(self, axis: int = -1) -> Tensor:
        return apply("softmax", self, axis=axis)

    def log_softmax(self, axis: int = -1) -> Tensor:
        return apply("log_softmax", self, axis=axis)

    # ── movement ────────────────────────────────────────────────────────────────────────────────────

    def reshape(self, shape: Sequence[Size]) -> Tensor:
        return apply("reshape", self, shape=tuple(shape))

    def flatten(self, start_dim: int = 0) -> Tensor:
        """Join all axes from `start_dim` on into one."""
        return self.reshape((*self.shape[:start_dim], -1))

    def permute(self, axes: Sequence[int]) -> Tensor:
        return apply("permute", self, axes=tuple(axes))

    def transpose(self, dim0: int, dim1: int) -> Tensor:
        """Swap two axes."""
        axes = list(range(self.ndim))
        axes[dim0], axes[dim1] = axes[dim1], axes[dim0]
        return self.permute(axes)

    def expand(self, shape: Sequence[Size]) -> Tensor:
        return apply("expand", self, shape=tuple(shape))

    def sum_to(self, shape: Shape) -> Tensor:
        """Sum over the axes along which `shape` was broadcast to this one: the transpose of `expand`."""
        if self.shape == shape:
            return self
        extra = self.ndim - len(shape)
        axes = [a for a in range(self.ndim) if a < extra or (shape[a - extra] == 1 and self.shape[a] != 1)]
        return self.sum(axes).reshape(shape)

    # ── windows ─────────────────────────────────────────────────────────────────────────────────────

    def conv2d(self, weight: Operand, **window: Any) -> Tensor:
        return apply("conv2d", self, weight, **window)

    def im2col(self, **window: Any) -> Tensor:
        return apply("im2col", self, **window)

    def col2im(self, **window: Any) -> Tensor:
        return apply("col2im", self, **window)

    def max_pool2d(self, **window: Any) -> Tensor:
        return apply("max_pool2d", self, **window)

    def max_pool2d_scatter(self, gradient: Operand, **window: Any) -> Tensor:
        return apply("max_pool2d_scatter", self, gradient, **window)

    def max_pool2d_gather(self, values: Operand, **window: Any) -> Tensor:
        return apply("max_pool2d_gather", self, values, **window)


def apply(name: str, *operands: Operand, **attrs: Any) -> Tensor:
    """Run or record one op of the table.

    Numbers and arrays take the dtype of the first floating-point tensor among the operands, and so do
    integer tensors beside one.
    """
    row = ops.get(name)
    bound = row.bind(attrs)
    inputs = _as_tensors(operands)
    if any(t.traced for t in inputs):
        builder = active_builder()
        if builder is None:
            raise GraphError(f"op '{name}' got a traced tensor after its tracing had ended")
        values = [t.traced or builder.constant(t.numpy()) for t in inputs]
        return Tensor(builder.add(name, values, bound))
    arrays = [t.numpy() for t in inputs]
    row.infer([a.shape for a in arrays], bound)  # for its error message: NumPy's would not name the op
    result = Tensor(row.evaluate(arrays, bound))
    if autograd.is_grad_enabled() and any(t.requires_grad for t in inputs):
        result.requires_grad = True
        result.entry = autograd.Entry(row, inputs, bound)
    return result


def as_tensor(data: Operand, like: DType | None = None) -> Tensor:
    """Return data as a Tensor; what is none takes the dtype of `like`, unless that would round it to integers."""
    if isinstance(data, Tensor):
        return data
    array = np.asarray(data)
    if like is not None and (like.numpy.kind == "f" or (array.dtype.kind in "iu" and like.numpy.kind in "iu")):
        return Tensor(array.astype(like.numpy, copy=False))
    # A number has no precision of its own, np.float64 included: it is a Python float.
    return Tensor(float(data) if isinstance(data, float) else data)


def _as_tensors(operands: Sequence[Operand]) -> tuple[Tensor, ...]:
    known = [o.dtype for o in operands if isinstance(o, Tensor)]
    like = next((d for d in known if d.numpy.kind == "f"), known[0] if known else None)
    inputs = [as_tensor(o, like) for o in operands]
    real = next((t.dtype for t in inputs if t.dtype.numpy.kind == "f"), None)
    if real is not None:
        inputs = [t if t.traced or t.dtype.numpy.kind == "f" else Tensor(t.numpy().astype(real.numpy)) for t in inputs]
    return tuple(inputs)


def manual_seed(seed: int) -> None:
    """Seed every random choice that Neurenix makes: initial weights, dropout, `randn`, `rand`."""
    global _generator
    _generator = np.random.default_rng(seed)


def generator() -> np.random.Generator:
    """Return the generator that `manual_seed` seeds."""
    return _generator


def zeros(shape: Sequence[int], requires_grad: bool = False) -> Tensor:
    return Tensor(np.zeros(shape, dtype=np.float32), requires_grad=requires_grad)


def ones(shape: Sequence[int], requires_grad: bool = False) -> Tensor:
    return Tensor(np.ones(shape, dtype=np.float32), requires_grad=requires_grad)


def randn(shape: Sequence[int], requires_grad: bool = False) -> Tensor:
    """Draw from the standard normal distribution."""
    return Tensor(_generator.standard_normal(shape, dtype=np.float32), requires_grad=requires_grad)


def rand(shape: Sequence[int], requires_grad: bool = False) -> Tensor:
    """Draw uniformly from [0, 1)."""
    return Tensor(_generator.random(shape, dtype=np.float32), requires_grad=requires_grad)


def _axes(axes: Sequence[int] | int | None) -> tuple[int, ...] | None:
    return (axes,) if isinstance(axes, int) else None if axes is None else tuple(axes)


__all__ = ["Tensor", "manual_seed", "no_grad", "ones", "rand", "randn", "zeros"]
no_grad = autograd.no_grad
