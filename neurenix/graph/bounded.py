"""Axes of which only a beginning counts, because how much of them there is depends on data.

A value has one shape. Where ONNX or NumPy would give a shape that depends on numbers, the value here is as large as it
can be at most, and the builder knows for each such axis an int64 scalar, its length: what lies behind it is padding and
means nothing. `propagation` says what each op makes of such values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neurenix import ops
from neurenix.dims import Shape, Size
from neurenix.dtypes import DType
from neurenix.errors import UnsupportedError
from neurenix.ops import shapes

if TYPE_CHECKING:
    from neurenix.graph.builder import GraphBuilder
    from neurenix.graph.graph import Value

Axes = Mapping[int, "Value"]


def lowest(of: DType) -> Any:
    """Return what no value of a dtype is below."""
    kind = of.numpy.kind
    return -np.inf if kind == "f" else False if kind == "b" else np.iinfo(of.name).min


def highest(of: DType) -> Any:
    """Return what no value of a dtype is above."""
    kind = of.numpy.kind
    return np.inf if kind == "f" else True if kind == "b" else np.iinfo(of.name).max


def last_sorted(of: DType) -> Any:
    """Return what is sorted behind all else: NaN counts as the largest."""
    return np.nan if of.numpy.kind == "f" else highest(of)


@dataclass(frozen=True)
class Call:
    """An op that is being added to a graph, and that has an input with lengths, or a result with some of its own."""

    builder: GraphBuilder
    op: str
    inputs: tuple[Value, ...]
    attrs: Mapping[str, Any]

    @property
    def shape(self) -> Shape:
        """The shape of the result."""
        row = ops.get(self.op)
        return row.infer([v.shape for v in self.inputs], row.bind(self.attrs))

    def lengths(self, index: int) -> Axes:
        return self.builder.lengths.get(self.inputs[index].name, {})

    def axis(self, index: int = 0) -> int:
        return shapes.axis_of(self.attrs["axis"], len(self.inputs[index].shape))

    def refuse(self, why: str) -> UnsupportedError:
        read = " and ".join(shapes.show(v.shape) for v in self.inputs)
        return UnsupportedError(
            f"op '{self.op}' reads {read}, of which it depends on data how much counts, and {why}: "
            "let the model do this before it selects, or take what it selects as an output"
        )

    # ── adding nodes ────────────────────────────────────────────────────────────────────────────────

    def record(self, op: str, *inputs: Value, **attrs: Any) -> Value:
        """Add a node that no rule looks at."""
        return self.builder.record(op, inputs, attrs)

    def result(self, lengths: Axes, *inputs: Value, attrs: Mapping[str, Any] | None = None) -> Value:
        """Add the op itself, with other inputs where they are given, and say what its result's lengths are."""
        value = self.builder.record(self.op, inputs or self.inputs, self.attrs if attrs is None else attrs)
        return self.bound(value, lengths)

    def bound(self, value: Value, lengths: Axes) -> Value:
        if lengths:
            self.builder.lengths[value.name] = dict(lengths)
        return value

    def once(self, key: tuple[Any, ...], make: Callable[[], Value]) -> Value:
        """Return what `make` adds, added once for each key: equal lengths are one value."""
        if key not in self.builder.made:
            self.builder.made[key] = make()
        return self.builder.made[key]

    def constant(self, number: Any, of: DType) -> Value:
        # The number as a text: NaN is not equal to itself, and True is equal to 1.
        return self.once(("constant", repr(number), of), lambda: self.builder.constant(np.asarray(number, of.numpy)))

    def number(self, size: Size) -> Value:
        """Return a size as an int64 scalar."""
        if not isinstance(size, int):
            return self.once(("dimension", size), lambda: self.record("dimension", size=size))
        return self.once(("size", size), lambda: self.builder.constant(np.asarray(size, np.int64)))

    def combined(self, op: str, length: Value, size: Size) -> Value:
        """Return a length combined with a size by "add", "sub", "mul", "minimum" or "maximum"."""
        return self.once((op, length.name, size), lambda: self.record(op, length, self.number(size)))

    def as_dtype(self, value: Value, of: DType) -> Value:
        return value if value.dtype == of else self.record("cast", value, dtype=of.name)

    # ── padding ─────────────────────────────────────────────────────────────────────────────────────

    def masked(self, value: Value, lengths: Axes, fill: Any) -> Value:
        """Return a value with `fill` in the place of the padding along some axes."""
        for axis, length in lengths.items():
            inside = self._inside(value.shape[axis], len(value.shape) - axis - 1, length)
            value = self.record("where", inside, value, self.constant(fill, value.dtype))
        return value

    def _inside(self, size: Size, behind: int, length: Value) -> Value:
        """Return where places are before the length, with `behind` axes of size 1 to follow."""

        def make() -> Value:
            places = self.record("iota", size=size)
            return self.record("lt", self.record("reshape", places, shape=(size, *(1,) * behind)), length)

        return self.once(("inside", size, behind, length.name), make)

    def from_start(self, indices: Value, length: Value) -> Value:
        """Return indices of which negative ones count from the true end."""
        known = self.builder.constants.get(indices.name)
        if known is not None and (known.size == 0 or known.min() >= 0):
            return indices
        negative = self.record("lt", indices, self.constant(0, indices.dtype))
        behind = self.record("add", indices, self.as_dtype(length, indices.dtype))
        return self.record("where", negative, behind, indices)


# What an op makes of such an input: takes the call, and returns the value that it adds.
Rule = Callable[[Call], "Value"]


def recipe(builder: GraphBuilder, value: Value, deep: int = 16) -> object:
    """Return what a value is computed from and how, whatever its shape: two with one recipe have the same elements."""
    makers = {n.output: n for n in builder.nodes}
    known: dict[str, object] = {}

    def visit(name: str, left: int) -> object:
        if name not in known:
            node, array = makers.get(name), builder.constants.get(name)
            if array is not None and array.size == 1:
                known[name] = (array.dtype.name, array.tobytes())
            elif node is None or left == 0:
                known[name] = name
            elif node.op == "reshape":
                known[name] = visit(node.inputs[0], left)
            else:
                shapes = tuple(builder.values[i].shape for i in node.inputs)
                attrs = tuple(sorted(node.attrs.items(), key=lambda pair: pair[0]))
                known[name] = (node.op, attrs, shapes, tuple(visit(i, left - 1) for i in node.inputs))
        return known[name]

    return visit(value.name, deep)
