"""Tensor: an array that remembers how it was made.

A tensor holds a NumPy array, or while a model is being traced a `Value` of the graph under construction.
Every method goes through `apply`, which evaluates in the one case and records a node in the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from neurenix import autograd, ops
from neurenix.dims import Dim, Shape, Size, product
from neurenix.dtypes import DTYPES, DType, dtype
from neurenix.errors import GraphError, InputError
from neurenix.graph.builder import active_builder, as_array
from neurenix.graph.graph import Array, Value
from neurenix.ops import types
from neurenix.tensor.contraction import ContractionMethods
from neurenix.tensor.elementwise import ElementwiseMethods
from neurenix.tensor.limits import check_size
from neurenix.tensor.methods import Operand
from neurenix.tensor.normalization import NormalizationMethods
from neurenix.tensor.recurrent import RecurrentMethods
from neurenix.tensor.reduction import ReductionMethods
from neurenix.tensor.resizing import ResizingMethods
from neurenix.tensor.window import WindowMethods

if TYPE_CHECKING:
    from neurenix.device import Device


class Tensor(
    ElementwiseMethods,
    ReductionMethods,
    ResizingMethods,
    ContractionMethods,
    WindowMethods,
    NormalizationMethods,
    RecurrentMethods,
):
    """A tensor of numbers.

    `data` is anything `numpy.asarray` takes; Python floats become float32. With `requires_grad`,
    `backward()` on a result adds to `grad`.

    >>> (Tensor([1.0, 2.0]) * 3).numpy().tolist()
    [3.0, 6.0]
    """

    __array_priority__ = 1000  # so that ndarray * Tensor asks the Tensor
    entry: autograd.Entry | None = None
    grad: Tensor | None = None
    version: int = 0  # how often it was changed in place

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

    def to(self, target: Device | DType | Tensor | str) -> Tensor:
        """Return the tensor in a dtype, in the dtype of another tensor, or ready for a device.

        A tensor's numbers are in the host's memory; a model that is on a device takes its inputs from there and puts
        its answers there. So for a device that is available this is the tensor itself. Raises DeviceError for another.
        """
        if isinstance(target, Tensor):
            return self.type_as(target)
        if isinstance(target, DType) or (isinstance(target, str) and target in DTYPES):
            return self.type(target)
        from neurenix.device import as_device  # device needs no tensor, but a tensor's user may never need it

        as_device(target).require()
        return self

    @property
    def device(self) -> Device:
        """Where the numbers are: in the host's memory, whichever device computes with them."""
        from neurenix.device import Device  # device needs no tensor, but a tensor's user may never need it

        return Device()

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

    def backward(self, gradient: Operand | None = None, create_graph: bool = False) -> None:
        """Add this tensor's gradient to the `grad` of every leaf that it was made from.

        `gradient` is the gradient of some scalar by this tensor; a one-element tensor needs none. With
        `create_graph` the gradients have a history themselves and can be differentiated again. Raises GraphError
        when nothing that this was made from requires a gradient.
        """
        autograd.backward(self, self.seed(gradient), create_graph)

    def seed(self, gradient: Operand | None) -> Tensor:
        """Return the gradient that a backward pass from here starts with. Raises GraphError when it does not fit."""
        if not self.requires_grad:
            raise GraphError("backward() needs a result of something with requires_grad=True")
        if gradient is None:
            if self.size != 1:
                raise GraphError(f"backward() of shape {list(self.shape)} needs its gradient; only a scalar has 1")
            gradient = np.ones_like(self.numpy())
        given = as_tensor(gradient, self.dtype)
        if given.shape != self.shape:
            raise GraphError(f"backward() of shape {list(self.shape)} got a gradient of shape {list(given.shape)}")
        return given

    def apply(self, op: str, *others: Operand, **attrs: Any) -> Tensor:
        return apply(op, self, *others, **attrs)

    def lift(self, other: Operand) -> Tensor:
        return as_tensor(other, self.dtype)

    def _replace(self, result: Tensor) -> None:
        self._data = result._data
        self.version += 1
        if autograd.is_grad_enabled():
            self.entry, self.requires_grad = result.entry, result.requires_grad


def apply(name: str, *operands: Operand, **attrs: Any) -> Tensor:
    """Run or record one op of the table.

    Where the op wants one dtype, what is narrower is cast: numbers and arrays beside a tensor take its dtype, an
    integer tensor beside a float one becomes float, as in PyTorch.
    """
    row = ops.get(name)
    bound = row.bind(attrs)
    inputs = _as_tensors(operands, row)
    arrays = [t._data for t in inputs]
    builder, traced, recorded = active_builder(), False, False
    for tensor in inputs:  # a loop, which costs less than two generators do
        traced = traced or isinstance(tensor._data, Value)
        recorded = recorded or tensor.requires_grad
    if traced or (builder is not None and _depends_on_dims(bound)):
        if builder is None:
            raise GraphError(f"op '{name}' got a traced tensor after its tracing had ended")
        values = [t.traced or builder.constant(t.numpy()) for t in inputs]
        return Tensor(builder.add(name, values, bound))
    known = cast("list[Array]", arrays)  # where one is a Value, the lines above have returned
    # For its error message, NumPy's would not name the op; and before anything is allocated.
    check_size(row.infer([a.shape for a in known], bound), 8)
    result = Tensor(row.evaluate(known, bound))
    if recorded and autograd.is_grad_enabled() and result.dtype.numpy.kind == "f":
        result.requires_grad = True
        result.entry = autograd.Entry(row, inputs, bound, tuple([t.version for t in inputs]))
    return result


def _depends_on_dims(attrs: Mapping[str, Any]) -> bool:
    """Say whether what a constant becomes, expanded to `batch` rows, is known at run time only."""
    items = (i for v in attrs.values() for i in (v if isinstance(v, tuple) else (v,)))
    return any(isinstance(i, Dim) for i in items)


def as_tensor(data: Operand, like: DType | None = None) -> Tensor:
    """Return data as a Tensor; what is none takes the dtype of `like`, unless that would round it to integers."""
    if isinstance(data, Tensor):
        return data
    array = np.asarray(data)
    if array.ndim == 0 and array.dtype.kind in "iu" and like is not None and like.numpy.kind in "iu":
        info = np.iinfo(like.name)
        return Tensor(array.astype(like.numpy if info.min <= int(array) <= info.max else np.int64))
    if like is not None and (like.numpy.kind == "f" or (array.dtype.kind in "iu" and like.numpy.kind in "iu")):
        return Tensor(array.astype(like.numpy, copy=False))
    # A number has no precision of its own, np.float64 included: it is a Python float.
    return Tensor(float(data) if isinstance(data, float) else data)


def _as_tensors(operands: Sequence[Operand], row: ops.Op) -> tuple[Tensor, ...]:
    kinds = {o._data.dtype if isinstance(o, Tensor) else None for o in operands}
    if len(kinds) == 1 and None not in kinds:  # tensors of one dtype
        return cast("tuple[Tensor, ...]", operands if isinstance(operands, tuple) else tuple(operands))
    known = [o.dtype for o in operands if isinstance(o, Tensor)]
    like = None if not known else known[0] if len(known) == 1 else types.promoted(known)
    inputs = [as_tensor(o, like) for o in operands]
    first = 1 if row.dtype is types.chosen else 0  # the condition of a choice stays bool
    if row.dtype in types.PROMOTING and len({t.dtype for t in inputs[first:]}) > 1:
        wide = types.promoted([t.dtype for t in inputs[first:]])
        inputs[first:] = [t if t.dtype == wide else apply("cast", t, dtype=wide.name) for t in inputs[first:]]
    return tuple(inputs)


def where(condition: Operand, input: Operand, other: Operand) -> Tensor:
    """Return `input` where the condition holds and `other` elsewhere; all three broadcast."""
    chosen = condition if isinstance(condition, Tensor) else Tensor(np.asarray(condition))
    return apply("where", chosen if chosen.dtype.name == "bool" else chosen.cast("bool"), input, other)
