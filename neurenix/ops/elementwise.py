"""How an elementwise row is written, and the row `map`: a fused chain, whose scalar expression is an attribute."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from neurenix import expr as ex
from neurenix.dims import Shape
from neurenix.errors import GraphError
from neurenix.expr import Expr
from neurenix.ops import shapes
from neurenix.ops.op import REQUIRED, Array, Attrs, Family, Op, pointwise
from neurenix.ops.types import mapped


def row(name: str, arity: int, expr: Callable[..., Expr], oracle: Callable[..., Array], doc: str, **more: Any) -> Op:
    """Return an elementwise row: a scalar expression, and an oracle that shares nothing with it."""
    return Op(name, Family.ELEMENTWISE, doc, arity, shapes.broadcast, oracle, expr=expr, **more)


def primitive(name: str) -> Callable[..., Expr]:
    """Return the expression that is one primitive."""
    return lambda *xs: ex.call(name, *xs)


def choosing(arity: int, **choices: Sequence[Any]) -> Callable[[np.random.Generator], tuple[list[Any], dict[str, Any]]]:
    """Return `samples` of a row whose attributes are of these values, on shapes that broadcast."""

    def samples(rng: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
        full = tuple(int(s) for s in rng.choice([1, 2, 3, 9], int(rng.integers(0, 4))))
        attrs = {name: values[int(rng.integers(len(values)))] for name, values in choices.items()}
        return [full[int(rng.integers(0, len(full) + 1)) if i else 0 :] for i in range(arity)], attrs

    return samples


def _map_oracle(*arrays: Array, expr: Expr, dtype: str | None) -> Array:
    return pointwise(expr, arrays, arrays[0].dtype if dtype is None else np.dtype(dtype))


def _map_shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    highest = max(ex.operands_of(attrs["expr"]), default=-1)
    if highest >= len(ins):
        raise GraphError(f"{attrs['expr']!r} reads x{highest}, but there are {len(ins)} operands")
    return shapes.broadcast(ins, attrs)


ROWS = (
    # A fused chain is an op like any other: its expression is an attribute. The compiler makes these, and
    # so does autograd, whose derivative of an elementwise op is one `map`.
    Op("map", Family.ELEMENTWISE, "Any scalar expression `expr` of its inputs, in a `dtype` or the first input's.", -1,
       _map_shape, _map_oracle, dtype=mapped, attrs={"expr": REQUIRED, "dtype": None},
       expr=lambda *xs, expr, dtype: expr if dtype == "bool" else ex.number(expr)),
)  # fmt: skip
