"""The table of ONNX operators: how a function becomes one, and how a node's inputs and attributes reach it.

An operator is a function whose signature says everything about the node that it takes:

    @operator("LeakyRelu")
    def leaky_relu(x: Tensor, *, alpha: float = 0.01) -> Tensor:
        return x.leaky_relu(alpha)

Positional parameters are inputs in ONNX's order, keyword-only ones are attributes under ONNX's names; a default
makes either optional. The annotation of an input says in what form it is wanted:

    Tensor         at run time or constant (a symbolic size is turned into a tensor)
    Constant       a NumPy array that must be known when the model is built
    Sizes          integers known at build time or symbolic: a shape, axes, repeats
    TensorSequence a sequence of tensors, whose length is always known
    Value          as it is: Tensor or Symbolic, for operators that compute shapes

A first parameter annotated `Call` receives the node itself: its opset, its outputs, its subgraphs.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from neurenix.dims import Dim, Size, product
from neurenix.errors import ModelError, UnsupportedError
from neurenix.frontends.onnx.ratio import NotExact
from neurenix.frontends.onnx.symbolic import (
    MOST_SIZES,
    Symbolic,
    Value,
    all_sizes,
    as_objects,
    materialized,
    symbolic,
)
from neurenix.tensor import Tensor

if TYPE_CHECKING:
    from neurenix.frontends.onnx.importer import Importer

# Sizes that one input may give: the parts of a split, at most. Axes and shapes are a handful.
MOST_GIVEN = 1 << 12

Constant = np.ndarray[Any, Any]


class Sizes(tuple[Size, ...]):
    """A vector of sizes, each an integer or a Dim."""


@dataclass(frozen=True)
class TensorSequence:
    """A sequence of values; ONNX's sequences exist only while a model is read."""

    items: tuple[Value, ...]

    def tensors(self) -> list[Tensor]:
        return [materialized(item) for item in self.items]


@dataclass(frozen=True)
class Call:
    """One node as its operator sees it. `outputs` are the names that it makes; an empty one is not wanted."""

    name: str
    op_type: str
    domain: str
    opset: int
    outputs: tuple[str, ...]
    importer: Importer

    def wants(self, index: int) -> bool:
        """Say whether the model uses the output of this index."""
        return index < len(self.outputs) and bool(self.outputs[index])


Function = Callable[..., Any]
_F = TypeVar("_F", bound=Function)


@dataclass(frozen=True)
class Operator:
    """One entry of the table: a function for opsets from `since` on, and its twin on symbolic sizes, if any."""

    op_type: str
    domain: str
    since: int
    function: Function
    sizes: Function | None = None

    @cached_property
    def parameters(self) -> list[tuple[inspect.Parameter, Any]]:
        hints = typing.get_type_hints(self.function)
        return [(p, hints.get(p.name, Any)) for p in inspect.signature(self.function).parameters.values()]

    def run(self, call: Call, inputs: Sequence[Value | None], attributes: Mapping[str, Any]) -> tuple[Any, ...]:
        """Apply the operator. Raises ModelError for inputs or attributes that do not fit its signature."""
        named = self._attributes(attributes)
        held = any(isinstance(v, TensorSequence) for v in inputs)
        if self.sizes is not None and not held and all_sizes(*inputs):
            made = self._on_sizes(inputs, named)
            if made is not None:
                return (made,)
        result = self.function(*self._inputs(call, inputs), **named)
        return tuple(result) if isinstance(result, (tuple, list)) else (result,)

    def _on_sizes(self, inputs: Sequence[Value | None], named: Mapping[str, Any]) -> Value | None:
        """Return what the twin makes of symbolic sizes; None where it leaves that to the run."""
        assert self.sizes is not None
        try:
            made = self.sizes(*(None if v is None else as_objects(v) for v in inputs), **named)
        except NotExact:
            return None
        if not isinstance(made, (Tensor, Symbolic)):
            made = symbolic(made, _kind_of(inputs))
        return None if isinstance(made, Symbolic) and made.array.size > MOST_SIZES else made

    def _inputs(self, call: Call, inputs: Sequence[Value | None]) -> list[Any]:
        given, bound = list(inputs), []
        for parameter, hint in self.parameters:
            if hint is Call:
                bound.append(call)
            elif parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                bound += [_as(hint, value, parameter.name, len(bound)) for value in given]
                given = []
            elif parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
                value = given.pop(0) if given else None
                if value is None and parameter.default is inspect.Parameter.empty:
                    raise ModelError(f"its input '{parameter.name}' is missing")
                bound.append(_as(hint, value, parameter.name, len(bound)))
        if given:
            raise ModelError(f"it has {len(given)} inputs too many")
        return bound

    def _attributes(self, given: Mapping[str, Any]) -> dict[str, Any]:
        wanted = {p.name: (p, h) for p, h in self.parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
        unknown = sorted(set(given) - set(wanted))
        if unknown:
            raise UnsupportedError(
                f"the attribute '{unknown[0]}' is not supported; it has {', '.join(wanted) or 'none'}"
            )
        missing = [n for n, (p, _) in wanted.items() if p.default is inspect.Parameter.empty and n not in given]
        if missing:
            raise ModelError(f"its attribute '{missing[0]}' is missing")
        return {name: _attribute(name, value, wanted[name][1]) for name, value in given.items()}


_TABLE: dict[tuple[str, str], list[Operator]] = {}


def operator(*op_types: str, domain: str = "", since: int = 1, sizes: Function | None = None) -> Callable[[_F], _F]:
    """Enter a function into the table, for nodes of these types from opset `since` on.

    `sizes` computes the same on NumPy arrays of objects (see `symbolic`), where every input is symbolic or a constant:
    NumPy's own function, or one of `size_arithmetic`. It returns an array of the inputs' dtype, or a Value, and raises
    NotExact to leave the node to the run.
    """

    def enter(function: _F) -> _F:
        for op_type in op_types:
            entries = _TABLE.setdefault((domain, op_type), [])
            entries.append(Operator(op_type, domain, since, function, sizes))
            entries.sort(key=lambda o: -o.since)
        return function

    return enter


def find_operator(op_type: str, domain: str, opset: int) -> Operator | None:
    """Return the entry for a node of this type in an opset; None where there is none."""
    return next((o for o in _TABLE.get((domain, op_type), []) if o.since <= opset), None)


def supported_operators() -> dict[tuple[str, str], list[Operator]]:
    """Return the whole table, by domain and operator."""
    return dict(_TABLE)


def _kind_of(inputs: Sequence[Value | None]) -> str:
    return next(v.dtype.name for v in inputs if isinstance(v, Symbolic))


def _as(hint: Any, value: Value | None, name: str, at: int) -> Any:
    """Return an input in the form that its parameter asks for."""
    optional = typing.get_origin(hint) in (typing.Union, types.UnionType)
    wanted = [h for h in typing.get_args(hint) if h is not type(None)] if optional else [hint]
    if value is None:
        return None
    if isinstance(value, TensorSequence):
        if TensorSequence not in wanted:
            raise ModelError(f"its input '{name}' is a sequence, and must be a tensor")
        return value
    if wanted == [TensorSequence]:
        raise ModelError(f"its input '{name}' is a tensor, and must be a sequence")
    if wanted == [Tensor]:
        return materialized(value)
    if Constant in wanted:
        if isinstance(value, Symbolic) or value.traced is not None:
            raise UnsupportedError(
                f"its input '{name}' must be known when the model is built, and depends on the model's inputs: "
                f"fix it with constants={{…}} if it is an input of the model"
            )
        return value.numpy()
    if Sizes in wanted:
        return Sizes(sizes_of(value, name))
    return value


def sizes_of(value: Value, name: str) -> tuple[Size, ...]:
    """Return a value as sizes. Raises UnsupportedError where they depend on the model's data."""
    if isinstance(value, Tensor) and value.traced is not None:
        raise UnsupportedError(
            f"its input '{name}' depends on the data that the model is given, and only shapes may decide shapes: "
            f"fix it with constants={{…}} if it is an input of the model"
        )
    if value.dtype.numpy.kind not in "iu":
        raise ModelError(f"its input '{name}' holds {value.dtype}, and sizes are integers")
    count = product(value.shape)
    assert isinstance(count, int), "what is known has a known size"
    if count > MOST_GIVEN:
        raise ModelError(f"its input '{name}' holds {count} numbers; no more than {MOST_GIVEN} can be sizes")
    return tuple(s if isinstance(s, Dim) else int(s) for s in as_objects(value).reshape(-1))


_KINDS: dict[Any, Any] = {
    int: int, float: (int, float), str: str, bool: int, tuple[int, ...]: int, tuple[float, ...]: (int, float),
    tuple[str, ...]: str, Constant: np.ndarray,
}  # fmt: skip


def _attribute(name: str, value: Any, hint: Any) -> Any:
    """Check an attribute's type against the parameter's annotation. Raises ModelError."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        hint = next(h for h in typing.get_args(hint) if h is not type(None))
    kind = _KINDS.get(hint)
    items = value if typing.get_origin(hint) is tuple else (value,)
    if kind is not None and not (isinstance(items, tuple) and all(isinstance(i, kind) for i in items)):
        raise ModelError(f"its attribute '{name}' is {str(value)[:60]!r}, which is not of the type that it must have")
    if hint is float:
        return float(value)
    return bool(value) if hint is bool else value
