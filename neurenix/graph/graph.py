"""The Graph: a typed list of operations in which every value is made once, plus constants as NumPy arrays."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from neurenix import ops
from neurenix.dims import Ranges, Shape, evaluate, loose, symbols, within
from neurenix.dtypes import DType
from neurenix.errors import GraphError, NeurenixError
from neurenix.expr import Expr, operands_of
from neurenix.graph.spread import Spread

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Value:
    """A named tensor: what flows between nodes."""

    name: str
    dtype: DType
    shape: Shape


@dataclass(frozen=True)
class Epilogue:
    """What happens to every element of a node's result before it is stored.

    Operand 0 of `expr` is the result, operand i the i-th of `inputs`, which broadcast to it.
    """

    expr: Expr
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Node:
    """One operation. `scope` is the layer it came from; `label` names a fused chain for its readers."""

    op: str
    inputs: tuple[str, ...]
    output: str
    attrs: Mapping[str, Any] = field(default_factory=dict)
    epilogue: Epilogue | None = None
    scope: str = ""
    label: str = ""

    @property
    def reads(self) -> tuple[str, ...]:
        """Every value that the node reads, the epilogue's included."""
        return self.inputs + (self.epilogue.inputs if self.epilogue else ())


@dataclass(frozen=True)
class Length:
    """How much of an output's axis counts: `value` names an int64 scalar, the shape says the most that it can be."""

    axis: int
    value: str


Lengths = Mapping[str, tuple[Length, ...]]


@dataclass(frozen=True)
class Layer:
    """A layer as the model's author wrote it, for people and tools."""

    name: str
    type: str
    config: Mapping[str, Any]
    parameters: tuple[str, ...]


@dataclass(frozen=True)
class Graph:
    """A whole model. Nodes are in an order that can be run; `values` holds every input, constant and result.

    `lengths` says of outputs whose size depends on data how much of them counts, `spreads` of inputs what they were
    like in the data, where somebody knows.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    values: Mapping[str, Value]
    constants: Mapping[str, Array]
    dims: Ranges
    layers: tuple[Layer, ...] = ()
    device: str = "auto"
    lengths: Lengths = field(default_factory=dict)
    spreads: Mapping[str, Spread] = field(default_factory=dict)

    @property
    def results(self) -> tuple[str, ...]:
        """What must be computed: the outputs, and the values that say how much of them counts."""
        return with_lengths(self.outputs, self.lengths)

    def with_nodes(self, nodes: Iterable[Node], **more: Any) -> Graph:
        """Return the graph with other nodes, without the values and constants that nothing reads any more."""
        graph = replace(self, nodes=tuple(nodes), **more)
        used = {*graph.inputs, *graph.results}
        for node in graph.nodes:
            used |= {*node.reads, node.output}
        return replace(
            graph,
            values={k: v for k, v in graph.values.items() if k in used},
            constants={k: v for k, v in graph.constants.items() if k in used},
        )

    def uses(self) -> dict[str, int]:
        """Count how often each value is read; being a result is one reading."""
        counts = dict.fromkeys(self.values, 0)
        for name in [*self.results, *(r for n in self.nodes for r in n.reads)]:
            counts[name] += 1
        return counts


def with_lengths(outputs: tuple[str, ...], lengths: Lengths) -> tuple[str, ...]:
    """Return the names of outputs, and behind them those of their lengths, each once."""
    return tuple(dict.fromkeys((*outputs, *(x.value for found in lengths.values() for x in found))))


def check_lengths(
    lengths: Lengths, outputs: Collection[str], values: Mapping[str, _Typed], made: Collection[str]
) -> None:
    """Raise GraphError unless every length is a made int64 scalar, and of an axis of an output that has no other."""
    for name, found in lengths.items():
        axes = [x.axis for x in found]
        if name not in outputs or len(set(axes)) != len(axes) or not set(axes) <= set(range(len(values[name].shape))):
            raise GraphError(f"'{name}' has lengths along the axes {axes}, which are not those of an output")
        for value in (x.value for x in found):
            if value not in made or value not in values:
                raise GraphError(f"the length '{value}' of '{name}' is made by no node")
            if values[value].dtype.name != "int64" or values[value].shape != ():
                raise GraphError(f"the length '{value}' of '{name}' is no int64 scalar")


class _Typed(Protocol):
    """What has a dtype and a shape: a value, or a buffer of a plan."""

    @property
    def dtype(self) -> DType: ...

    @property
    def shape(self) -> Shape: ...


def check(graph: Graph) -> Graph:
    """Return the graph if it keeps its rules, or raise GraphError naming the node that does not."""
    ready = {*graph.inputs, *graph.constants}
    for node in graph.nodes:
        where = f"node '{node.output}' ({node.op})"
        row = ops.get(node.op)
        if row.arity >= 0 and len(node.inputs) != row.arity:
            raise GraphError(f"{where} has {len(node.inputs)} inputs, the op takes {row.arity}")
        late = [n for n in node.reads if n not in ready]
        if late:
            raise GraphError(f"{where} reads '{late[0]}' before anything makes it")
        if node.output in ready:
            raise GraphError(f"{where} makes a value that is there already")
        try:
            bound = row.bind(node.attrs)
            with within(graph.dims):
                shape = row.infer([graph.values[i].shape for i in node.inputs], bound)
            made = row.infer_dtype([graph.values[i].dtype for i in node.inputs], bound)
        except NeurenixError as error:
            raise GraphError(f"{where}: {error}") from error
        if made != graph.values[node.output].dtype:
            raise GraphError(f"{where} makes {made}, declared is {graph.values[node.output].dtype}")
        if shape != graph.values[node.output].shape:
            raise GraphError(f"{where} makes shape {shape}, declared is {graph.values[node.output].shape}")
        if node.epilogue and max(operands_of(node.epilogue.expr), default=0) > len(node.epilogue.inputs):
            raise GraphError(f"{where}: its epilogue reads an operand that it has not")
        ready.add(node.output)
    for name in graph.outputs:
        if name not in ready:
            raise GraphError(f"output '{name}' is made by no node")
    check_lengths(graph.lengths, graph.outputs, graph.values, ready)
    for name in sorted(loose(graph.values[n].shape for n in graph.inputs)):
        raise GraphError(
            f"'{name}' is part of an input's size, but no input has an axis of '{name}' alone, to tell what it is"
        )
    smallest = {name: low for name, (low, _) in graph.dims.items()}
    for value in graph.values.values():
        free = {s for size in value.shape for s in symbols(size)} - set(graph.dims)
        if free:
            raise GraphError(f"'{value.name}' has the undeclared dimension '{sorted(free)[0]}'")
        for size in value.shape:
            if not isinstance(size, int) and evaluate(size, smallest) < 0:
                raise GraphError(
                    f"'{value.name}' has an axis of {size}, which is {evaluate(size, smallest)} where its dims are "
                    f"smallest: raise the 'min' of {', '.join(sorted(symbols(size)))} in dims"
                )
    return graph
