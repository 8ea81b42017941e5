"""The row of the op table: everything that is known about one operator, in one place.

The tensor library, autograd, the graph checker, the C printer, the docs and the tests all read the row.
An elementwise op is its `expr`; a structured op has a `compute` of its own, and a `Kernel` that says how the
C function of its family is called.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np

from neurenix import expr as ex
from neurenix.dims import Shape, Size
from neurenix.dtypes import DType, dtype
from neurenix.errors import GraphError
from neurenix.ops import flops as fl
from neurenix.ops import types
from neurenix.ops.user_source import UserSource
from neurenix.threads import each

Array = np.ndarray[Any, Any]
Attrs = Mapping[str, Any]


class Family(str, Enum):
    """The loop that an op belongs to."""

    ELEMENTWISE = "elementwise"
    REDUCE = "reduce"
    MOVEMENT = "movement"
    CONTRACTION = "contraction"
    WINDOW = "window"
    NORMALIZATION = "normalization"
    RECURRENT = "recurrent"
    CUSTOM = "custom"  # registered by users, see `ops.custom`


_FLOPS: Mapping[Family, fl.Rule] = {
    Family.ELEMENTWISE: fl.per_output(1),
    Family.REDUCE: fl.per_input(1),
    Family.MOVEMENT: fl.per_output(0),
    Family.CONTRACTION: fl.matmul,
    Family.WINDOW: fl.window,
    Family.NORMALIZATION: fl.per_input(5),
    Family.RECURRENT: fl.recurrent,
    Family.CUSTOM: fl.per_output(1),  # the least that it can be
}


class Required:
    """The default of an attribute that has none."""

    def __repr__(self) -> str:
        return "required"


REQUIRED = Required()


@dataclass(frozen=True)
class Kernel:
    """How the compiled plan calls a structured op's C function.

    `source` is a file of kernels/c, included once for each epilogue. `sizes(shapes, out, attrs)` names the
    integer arguments in the function's order. `packing` gives the weight layout that each input has when it
    is a constant (`None`: it is passed as it is); `scratch(sizes)` is the number of float32 values of
    scratch memory that one thread needs. Where `channels_last` is set, input 0 and the output are image
    tensors that the layout pass turns to NHWC, and the attribute `layout` says so.

    A kernel takes float32, unless it is `typed`: then NX_TYPE is the output's element type, NX_IN that of input 0,
    and NX_INDEX that of input `index`. `in_place` means that the output is input 0's own buffer. `defines(attrs)` are
    further macros that change the loop itself, such as what a reduction does to two elements. `user` is the source of a
    custom op's kernel, which is no file of kernels/c.
    """

    source: str
    sizes: Callable[[Sequence[Shape], Shape, Attrs], dict[str, Size]]
    packing: tuple[str | None, ...]
    epilogue: bool = False
    typed: bool = False
    index: int | None = None
    in_place: bool = False
    defines: Callable[[Attrs], dict[str, str]] | None = None
    scratch: Callable[[Mapping[str, Size]], Size] | None = None
    channels_last: bool = False
    user: UserSource | None = None


# The expressions of elementwise ops without attributes, by their names: building one costs more than a small array's
# arithmetic.
_plain_expressions: dict[str, ex.Expr] = {}


@dataclass(frozen=True)
class Op:
    """One operator.

    `shape(shapes, attrs)` is the shape rule and `dtype(dtypes, attrs)` the dtype rule. `oracle(*arrays,
    **attrs)` is an independent NumPy definition, correct in any float precision: tests and golden values
    come from it. `compute` is the eager implementation where the oracle would be too slow to train with.
    `gradient(g, y, inputs, attrs)` returns the gradient for each input (or None), written with the inputs'
    own operators, so that it can be traced and differentiated again; an elementwise op leaves it out, or returns
    None, and has the derivative of its `expr`. `domain` bounds each input in tests, and `samples(rng)` gives for each
    of them a shape or an array, and attributes; `tolerance` is the accepted relative error of a float32 kernel.
    `flops` counts the arithmetic where the family's rule does not.
    """

    name: str
    family: Family
    doc: str
    arity: int
    shape: Callable[[Sequence[Shape], Attrs], Shape]
    oracle: Callable[..., Array]
    dtype: types.Rule = types.same
    expr: Callable[..., ex.Expr] | None = None
    compute: Callable[..., Array] | None = None
    gradient: Callable[..., Sequence[Any]] | None = None
    attrs: Mapping[str, Any] = field(default_factory=dict)
    domain: tuple[float, float] = (-10.0, 10.0)
    tolerance: float = 1e-5
    kernel: Kernel | None = None
    samples: Callable[[np.random.Generator], tuple[list[Any], dict[str, Any]]] | None = None
    flops: fl.Rule | None = None

    def bind(self, attrs: Attrs) -> dict[str, Any]:
        """Fill in the defaults; an unknown or missing attribute is a GraphError."""
        if not attrs and not self.attrs:
            return {}
        unknown = sorted(set(attrs) - set(self.attrs))
        if unknown:
            known = ", ".join(self.attrs) or "none"
            raise GraphError(f"op '{self.name}' has no attribute '{unknown[0]}'; it has {known}")
        bound = {**self.attrs, **attrs}
        missing = [k for k, v in bound.items() if v is REQUIRED]
        if missing:
            raise GraphError(f"op '{self.name}' needs the attribute '{missing[0]}'")
        return bound

    def infer(self, shapes: Sequence[Shape], attrs: Attrs) -> Shape:
        """Apply the shape rule. Raises GraphError, naming the op, when inputs or attributes do not fit it."""
        if self.arity >= 0 and len(shapes) != self.arity:
            raise GraphError(f"op '{self.name}' takes {self.arity} inputs, got {len(shapes)}")
        try:
            return self.shape(shapes, attrs)
        except GraphError as error:
            raise GraphError(f"op '{self.name}': {error}") from None
        except (TypeError, ValueError, IndexError) as error:
            raise GraphError(f"op '{self.name}' cannot use its attributes {dict(attrs)}: {error}") from error

    def infer_dtype(self, dtypes: Sequence[DType], attrs: Attrs) -> DType:
        """Apply the dtype rule. Raises GraphError, naming the op, for dtypes that the op does not take."""
        try:
            return self.dtype(dtypes, attrs)
        except GraphError as error:
            raise GraphError(f"op '{self.name}': {error}") from None

    def expression(self, attrs: Attrs) -> ex.Expr:
        """Return the scalar expression of an elementwise op, its attributes filled in."""
        assert self.expr is not None, f"{self.name} is not elementwise"
        if not attrs and self.name in _plain_expressions:
            return _plain_expressions[self.name]
        made = self.expr(*map(ex.operand, range(self.arity if self.arity >= 0 else 0)), **attrs)
        return made if attrs else _plain_expressions.setdefault(self.name, made)

    def count_flops(self, shapes: Sequence[fl.Sizes], out: fl.Sizes, attrs: Attrs) -> int:
        """Return how much arithmetic an op that has a kernel does for inputs and an output of these shapes."""
        if self.flops is None and self.expr is not None:
            return fl.in_expression(self.expression(attrs)) * math.prod(out)
        return (self.flops or _FLOPS[self.family])(shapes, out, attrs)

    def evaluate(self, arrays: Sequence[Array], attrs: Attrs) -> Array:
        """Compute the op eagerly with NumPy, in the inputs' precision."""
        out = self.infer_dtype([dtype(a.dtype) for a in arrays], attrs).numpy
        if self.compute is None and self.expr is not None:
            return pointwise(self.expression(attrs), arrays, out)
        with np.errstate(all="ignore"):
            return np.asarray((self.compute or self.oracle)(*arrays, **attrs), dtype=out)


# Elements of a block that the steps of an expression take turns on: its intermediate results stay in the cache, and
# are small enough that the allocator need not ask the system for each (from 128 KiB on, most of them do).
BLOCK = 14 << 10


def pointwise(expr: ex.Expr, arrays: Sequence[Array], out: np.dtype[Any]) -> Array:
    """Compute a scalar expression on arrays that broadcast, those that it does not read included."""
    shape = arrays[0].shape
    if any(a.shape != shape for a in arrays):
        shape = np.broadcast_shapes(*(a.shape for a in arrays))
    with np.errstate(all="ignore"):
        if math.prod(shape) > 2 * BLOCK and any(a.args for a in expr.args):
            return _in_blocks(expr, arrays, shape, out)
        result = np.asarray(ex.evaluate(expr, arrays), dtype=out)
    return result if result.shape == shape else np.broadcast_to(result, shape).copy()


def _in_blocks(expr: ex.Expr, arrays: Sequence[Array], shape: tuple[int, ...], out: np.dtype[Any]) -> Array:
    result = np.empty(shape, dtype=out)
    whole = result
    if all(a.size == 1 or (a.shape == shape and a.flags.c_contiguous) for a in arrays):
        arrays = [a.reshape(-1) for a in arrays]
        whole = result.reshape(-1)
    axis = next(i for i, size in enumerate(whole.shape) if size > 1)
    views = [np.broadcast_to(a, (*(1,) * (whole.ndim - a.ndim), *a.shape)) for a in arrays]
    rows = max(1, BLOCK * whole.shape[axis] // whole.size)

    def compute(start: int) -> None:
        part = (slice(None),) * axis + (slice(start, start + rows),)
        place = whole[part]
        made = ex.evaluate(expr, [v[part] if v.shape[axis] > 1 else v for v in views], place)
        if made is not place:
            place[...] = made

    each(compute, range(0, whole.shape[axis], rows))
    return result
