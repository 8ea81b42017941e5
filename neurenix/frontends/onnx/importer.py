"""Runs an ONNX graph on tensors that stand for values to come: what is constant is computed, the rest recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from neurenix.dims import Ranges
from neurenix.errors import ModelError, NeurenixError, UnsupportedError
from neurenix.frontends.onnx import operators  # noqa: F401  (fills the table)
from neurenix.frontends.onnx.attributes import Subgraph, attributes_of
from neurenix.frontends.onnx.custom import find_custom_operator
from neurenix.frontends.onnx.functions import expansion, schema_defaults
from neurenix.frontends.onnx.operator import Call, find_operator
from neurenix.frontends.onnx.symbolic import Value
from neurenix.frontends.onnx.tensors import TensorReader
from neurenix.graph.builder import GraphBuilder
from neurenix.tensor import Tensor

# What NumPy and the Tensor methods raise for attributes that make no sense: a node's fault, not a fault of ours.
MISTAKES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)

# Functions that call functions, and loops in loops, multiply: 30 nodes can stand for a billion.
MOST_NODES = 50_000

Environment = dict[str, "Value | None"]


@dataclass(frozen=True, eq=False)
class Importer:
    """What every node of a model shares: opsets, the model's own functions, dims, and where nodes are recorded."""

    builder: GraphBuilder
    opsets: Mapping[str, int]
    functions: Mapping[tuple[str, str], Any]
    read: TensorReader
    ranges: Ranges
    names: dict[int, str] = field(default_factory=dict)  # of initializers, by the id of their array
    count: list[int] = field(default_factory=list)  # one entry for each node run so far

    def run(self, graph: Any, environment: Environment) -> Environment:
        """Run a GraphProto's nodes on the values of `environment`; return it with everything that they made."""
        for tensor in graph.initializer:
            if tensor.name not in environment:
                environment[tensor.name] = self._parameter(tensor)
        for sparse in graph.sparse_initializer:
            raise UnsupportedError(f"the initializer '{sparse.values.name}' is sparse, which is not supported")
        self.run_nodes(graph.node, environment)
        return environment

    def run_nodes(self, nodes: Iterable[Any], environment: Environment) -> None:
        """Run nodes in their order, which ONNX demands to be one in which every value is made before it is read."""
        for node in nodes:
            self.count.append(1)
            if len(self.count) > MOST_NODES:
                raise ModelError(f"with its loops and functions the model has more than {MOST_NODES:,} nodes")
            made = self.run_node(node, environment)
            for name, value in zip(node.output, made):
                if name:
                    environment[name] = value

    def run_node(self, node: Any, environment: Environment) -> tuple[Value | None, ...]:
        """Run one NodeProto. Whatever goes wrong is raised as a NeurenixError that names the node."""
        try:
            inputs = [self._input(name, environment) for name in node.input]
            attributes = attributes_of(node, self, environment)
            with self.builder.scope(node.name or next(iter(node.output), "") or node.op_type):
                made = self._apply(node, inputs, attributes)
            if len(made) < len([o for o in node.output if o]):
                raise UnsupportedError(f"its output '{node.output[len(made)]}' is not supported")
            return made
        except NeurenixError as error:
            raise _located(node, error) from error
        except MISTAKES as error:
            raise _located(node, ModelError(f"it cannot be computed: {type(error).__name__}: {error}")) from error

    def _apply(self, node: Any, inputs: Sequence[Value | None], attributes: Mapping[str, Any]) -> tuple[Any, ...]:
        domain = "" if node.domain == "ai.onnx" else node.domain
        own = self.functions.get((domain, node.op_type))
        if own is not None:
            return self._expand(own, inputs, attributes)
        if domain not in self.opsets:
            raise ModelError(f"the model does not say which version of the domain '{domain or 'ai.onnx'}' it uses")
        opset = self.opsets[domain]
        known = find_operator(node.op_type, domain, opset) or find_custom_operator(node.op_type, domain)
        if known is not None:
            call = Call(node.name, node.op_type, domain, opset, tuple(node.output), self)
            return known.run(call, inputs, attributes)
        body = expansion(node, opset, inputs, attributes)
        if body is None:
            raise UnsupportedError(
                f"the operator '{node.op_type}' of the domain '{domain or 'ai.onnx'}' is not supported in opset "
                f"{opset}: export the model without it, "
                + (
                    f"or register it with onnx='{domain}::{node.op_type}'"
                    if domain
                    else "or open an issue that names it"
                )
            )
        defaults = attributes_of(node, self, {}, schema_defaults(node, opset))
        return self._expand(body, inputs, {**defaults, **attributes})

    def _expand(self, function: Any, inputs: Sequence[Value | None], given: Mapping[str, Any]) -> tuple[Any, ...]:
        """Run a FunctionProto's body in place of the node that calls it."""
        defaults = attributes_of(function, self, {}, function.attribute_proto)
        bound = {**defaults, **given}
        opsets = {("" if o.domain == "ai.onnx" else o.domain): o.version for o in function.opset_import}
        inner = Importer(
            self.builder,
            {**self.opsets, **opsets},
            self.functions,
            self.read.with_references(bound),
            self.ranges,
            self.names,
            self.count,
        )
        environment: Environment = dict(zip(function.input, [*inputs, *[None] * len(function.input)]))
        inner.run_nodes(function.node, environment)
        return tuple(environment.get(name) for name in function.output)

    def subgraph(self, graph: Any, outer: Environment) -> Subgraph:
        """Return a GraphProto attribute as a function of its inputs; it sees the values around it."""

        def run(*values: Value | None) -> tuple[Value | None, ...]:
            inputs = dict(zip([i.name for i in graph.input], values))
            environment = self.run(graph, {**outer, **inputs})
            return tuple(environment[o.name] for o in graph.output)

        return Subgraph(tuple(i.name for i in graph.input), tuple(o.name for o in graph.output), run)

    def _input(self, name: str, environment: Environment) -> Value | None:
        if not name:
            return None
        if name not in environment:
            raise ModelError(f"it reads '{name}' before anything makes it")
        return environment[name]

    def _parameter(self, tensor: Any) -> Tensor:
        array = self.read(tensor)
        self.names[id(array)] = tensor.name
        return Tensor(array)


def _located(node: Any, error: NeurenixError) -> NeurenixError:
    """Return the error with the node's name before it, once for each node that it passes through."""
    where = f"node '{node.name or next(iter(node.output), '')}' ({node.op_type})"
    kind = type(error) if isinstance(error, (ModelError, UnsupportedError)) else ModelError
    return kind(f"{where}: {error}")
