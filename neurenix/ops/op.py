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
from neurenix.ops import types

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
    further macros that change the loop itself, such as what a reduction does to two elements.
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
    own operators, so that it can be traced and differentiated again; an elementwise op leaves it out and has
    the derivative of its `expr`. `domain` bounds each input in tests, and `samples(rng)` gives for each of
    them a shape or an array, and attributes; `tolerance` is the accepted relative error of a float32 kernel.
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

    def bind(self, attrs: Attrs) -> dict[str, Any]:
        """Fill in the defaults; an unknown or missing attribute is a GraphError."""
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

    def evaluate(self, arrays: Sequence[Array], attrs: Attrs) -> Array:
        """Compute the op eagerly with NumPy, in the inputs' precision."""
        out = self.infer_dtype([dtype(a.dtype) for a in arrays], attrs).numpy
        with np.errstate(all="ignore"):
            if self.compute is not None:
                return np.asarray(self.compute(*arrays, **attrs), dtype=out)
            if self.expr is not None:
                return pointwise(self.expression(attrs), arrays, out)
            return np.asarray(self.oracle(*arrays, **attrs), dtype=out)


# Elements of a block that the steps of an expression take turns on: its intermediate results stay in the cache, and
# are small enough that the allocator need not ask the system for each (from 128 KiB on, most of them do).
BLOCK = 28 << 10


def pointwise(expr: ex.Expr, arrays: Sequence[Array], out: np.dtype[Any]) -> Array:
    """Compute a scalar expression on arrays that broadcast, those that it does not read included."""
    shape = np.broadcast_shapes(*(a.shape for a in arrays))
    with np.errstate(all="ignore"):
        if math.prod(shape) > 2 * BLOCK and len(expr.args) and any(a.args for a in expr.args):
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
    for start in range(0, whole.shape[axis], rows):
        part = (slice(None),) * axis + (slice(start, start + rows),)
        whole[part] = ex.evaluate(expr, [v[part] if v.shape[axis] > 1 else v for v in views])
    return result
