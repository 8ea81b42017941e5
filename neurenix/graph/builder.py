"""Builds a Graph node by node; what a traced Tensor writes to."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurenix import ops
from neurenix.dims import Ranges, Shape, within
from neurenix.dtypes import DType, dtype
from neurenix.errors import GraphError
from neurenix.graph import propagation
from neurenix.graph.graph import Array, Graph, Layer, Length, Node, Value, check

_OUTPUT = re.compile(r"[a-z][a-z0-9_]{0,63}")
_active: ContextVar[GraphBuilder | None] = ContextVar("active", default=None)


def active_builder() -> GraphBuilder | None:
    """Return the builder that is recording now, if any."""
    return _active.get()


@dataclass(eq=False)
class GraphBuilder:
    """Collects values and nodes. `names` gives known arrays (parameters, by `id`) their names."""

    name: str
    dims: Ranges
    names: Mapping[int, str] = field(default_factory=dict)
    modules: Mapping[int, str] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)
    constants: dict[str, Array] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    lengths: dict[str, dict[int, Value]] = field(default_factory=dict)  # of values whose size depends on data, by axis
    made: dict[tuple[Any, ...], Value] = field(default_factory=dict)  # what was added once for all who need it
    _scopes: list[str] = field(default_factory=list)
    _counts: dict[str, Iterator[int]] = field(default_factory=dict)
    _held: dict[int, tuple[Array, Value]] = field(default_factory=dict)

    @contextmanager
    def recording(self) -> Iterator[None]:
        token = _active.set(self)
        try:
            with within(self.dims):
                yield
        finally:
            _active.reset(token)

    @contextmanager
    def scope(self, origin: object) -> Iterator[None]:
        """Nodes added inside are said to come from this module, or from the layer of this name."""
        self._scopes.append(origin if isinstance(origin, str) else self.modules.get(id(origin), ""))
        try:
            yield
        finally:
            self._scopes.pop()

    def input(self, name: str, of: DType, shape: Shape) -> Value:
        value = self.values[name] = Value(name, of, shape)
        self.inputs.append(name)
        return value

    def constant(self, array: Array) -> Value:
        """Add an array; the same array object is added once."""
        if id(array) in self._held:
            return self._held[id(array)][1]
        # A view of a parameter, such as its transpose, goes by the parameter's name.
        known = self.names.get(id(array)) or self.names.get(id(array.base))
        name = self._fresh(known or "constant")
        value = self.values[name] = Value(name, dtype(array.dtype), array.shape)
        self.constants[name] = array
        # The array is kept beside its value, so that its id cannot be given to another one.
        self._held[id(array)] = (array, value)
        return value

    def add(self, op: str, inputs: Sequence[Value], attrs: Mapping[str, Any]) -> Value:
        """Append a node and return its result, with the lengths that it has where an input has some.

        Raises GraphError when the shapes do not fit, UnsupportedError when the answer would depend on padding.
        """
        with within(self.dims):
            return propagation.add(self, op, inputs, attrs)

    def record(self, op: str, inputs: Sequence[Value], attrs: Mapping[str, Any]) -> Value:
        """Append a node as `add` does, without a look at lengths."""
        row = ops.get(op)
        bound = row.bind(attrs)
        shape = row.infer([v.shape for v in inputs], bound)
        name = self._fresh(op)
        value = self.values[name] = Value(name, row.infer_dtype([v.dtype for v in inputs], bound), shape)
        scope = next((s for s in reversed(self._scopes) if s), "")
        self.nodes.append(Node(op, tuple(v.name for v in inputs), name, bound, scope=scope, label=op))
        return value

    def finish(self, outputs: Mapping[str, Value], layers: Sequence[Layer] = (), device: str = "auto") -> Graph:
        """Return the checked graph, its results renamed to the given output names."""
        if not outputs:
            raise GraphError(f"'{self.name}' has no outputs: its forward() must return a tensor or a dict of tensors")
        renamed: dict[str, str] = {}
        lengths: dict[str, dict[int, Value]] = {}
        for wanted, value in outputs.items():
            if not isinstance(wanted, str) or not _OUTPUT.fullmatch(wanted):
                raise GraphError(f"the output name {wanted!r} must match [a-z][a-z0-9_]*, as names of inputs do")
            if wanted in self.inputs:
                raise GraphError(f"the output '{wanted}' has the name of an input: name one of them otherwise")
            if value.name in (*self.inputs, *self.constants, *renamed):
                # An output that is no node's own result gets one: a copy.
                value = self.add("reshape", [value], {"shape": value.shape})
            renamed[value.name] = wanted
            found = {axis: self._computed(x) for axis, x in self.lengths.get(value.name, {}).items()}
            lengths |= {wanted: found} if found else {}
        for taken in [n for n in outputs if n in self.values and n not in renamed]:
            names = (f"{taken}_{i}" for i in itertools.count(1))
            renamed[taken] = next(n for n in names if n not in self.values and n not in outputs)
            self.values[renamed[taken]] = self.values[taken]  # so that the name is not given twice
        self.values = {
            renamed.get(n, n): Value(renamed.get(n, n), v.dtype, v.shape)
            for n, v in self.values.items()
            if n not in renamed.values() or n in renamed
        }
        self.constants = {renamed.get(n, n): a for n, a in self.constants.items()}
        nodes = [
            Node(n.op, tuple(renamed.get(i, i) for i in n.inputs), renamed.get(n.output, n.output), n.attrs,
                 scope=n.scope, label=n.label)
            for n in self.nodes
        ]  # fmt: skip
        graph = Graph(
            self.name, tuple(self.inputs), tuple(outputs), tuple(nodes), self.values, self.constants,
            dict(self.dims), tuple(layers), device,
            {n: tuple(Length(a, renamed.get(x.name, x.name)) for a, x in of.items()) for n, of in lengths.items()},
        )  # fmt: skip
        return check(graph.with_nodes(graph.nodes))

    def _computed(self, value: Value) -> Value:
        """Return a value that some node makes: the value itself, or a copy of an input or a constant."""
        known = value.name in self.inputs or value.name in self.constants
        return self.record("reshape", [value], {"shape": value.shape}) if known else value

    def _fresh(self, stem: str) -> str:
        if stem not in self.values:
            return stem
        # Counted on from the last one: a search from 1 would take the square of the number of nodes.
        count = self._counts.setdefault(stem, itertools.count(1))
        return next(n for n in (f"{stem}_{i}" for i in count) if n not in self.values)


def as_array(data: Any) -> Array:
    """Return data as an array, floats in float32 unless they say otherwise."""
    array = np.asarray(data)
    if array.dtype == np.float64 and not isinstance(data, (np.ndarray, np.generic)):
        return array.astype(np.float32)
    return array
