"""The words of a declared model: every layer, loss and optimiser by a name derived from its class, with its options."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neurenix import nn, optim
from neurenix.nn import Module
from neurenix.optim import Optimizer

# The axis of a layer's input that decides these parameters where nobody gives them.
INFERRED = {
    "in_features": -1,
    "in_channels": 1,
    "num_features": 1,
    "num_channels": 1,
    "normalized_shape": -1,
    "input_size": -1,
    "d_model": -1,
}

# What the target of a loss must be.
TASKS = {
    "cross_entropy": "category",
    "bce_with_logits": "category",
    "mse": "number",
    "l1": "number",
    "smooth_l1": "number",
    "huber": "number",
}

# Its input would be whole numbers, and those of a table are measures and categories.
_NOT_FOR_TABLES = frozenset(["Embedding", "Identity"])
# A loss must be one number, of all the targets; a layer must give one tensor; `inplace` changes nothing here.
_FIXED = frozenset(["reduction", "ignore_index", "params", "inplace", "return_indices"])

_NAMES: dict[Any, str] = {bool: "boolean", int: "integer", float: "number", str: "string"}


@dataclass(frozen=True)
class Option:
    """One option of a word: its name in TOML, the parameter that it sets, and the type that the parameter has."""

    name: str
    parameter: str
    kind: Any
    default: Any = inspect.Parameter.empty

    @property
    def required(self) -> bool:
        return self.default is inspect.Parameter.empty and self.parameter not in INFERRED

    @property
    def type_name(self) -> str:
        """What a message calls the values that are allowed, such as "integer or array"."""
        return " or ".join(dict.fromkeys(_kinds(self.kind))) or "value"

    def accepts(self, value: Any) -> bool:
        """Tell whether a value from TOML has the parameter's type."""
        return _fits(self.kind, value)


@dataclass(frozen=True)
class Word:
    """One name that a declared model may use. `first` is the option that a bare value sets.

    A word that is `open` has other options than these, which the class itself judges: numbers, booleans and arrays.
    """

    name: str
    make: Any
    options: Mapping[str, Option]
    open: bool = False

    @property
    def first(self) -> Option | None:
        return next((o for o in self.options.values() if o.parameter not in INFERRED), None)

    @property
    def required(self) -> tuple[Option, ...]:
        return tuple(o for o in self.options.values() if o.required)


def snake_case(name: str) -> str:
    """Return the name of a class as a word: `LeakyReLU` is `leaky_relu`, `BatchNorm1d` is `batch_norm1d`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z][a-z\d])|(?<=[A-Z]{2})(?=[A-Z][a-z])", "_", name).lower()


def _hints(kind: Any) -> dict[str, Any]:
    # Some modules import these names for type checkers alone; a size in TOML is a number.
    return typing.get_type_hints(kind.__init__, localns={"Sequence": Sequence, "Size": int})


def _word(name: str, kind: type) -> Word:
    signature = inspect.signature(kind)
    hints = _hints(kind)
    options = {}
    for parameter in signature.parameters.values():
        if parameter.name in _FIXED or parameter.name.startswith("_") or parameter.kind is parameter.VAR_KEYWORD:
            continue
        option = parameter.name.replace("_", "-")
        options[option] = Option(option, parameter.name, hints.get(parameter.name, Any), parameter.default)
    kinds = [parameter.kind for parameter in signature.parameters.values()]
    return Word(name, kind, options, inspect.Parameter.VAR_KEYWORD in kinds)


def _takes_one_tensor(kind: type[Module]) -> bool:
    signature = inspect.signature(kind.forward)
    if "tuple" in str(signature.return_annotation):
        return False
    wanted = [p for p in list(signature.parameters.values())[1:] if p.default is p.empty]
    return len(wanted) == 1 and Module not in _hints(kind).values()


def _layers() -> dict[str, Word]:
    strangers = {"neurenix.nn.containers", "neurenix.nn.losses", "neurenix.nn.module"}
    found = {}
    for name in nn.__all__:
        kind = getattr(nn, name)
        if not isinstance(kind, type) or not issubclass(kind, Module) or name in _NOT_FOR_TABLES:
            continue
        if kind.__module__ not in strangers and _takes_one_tensor(kind):
            found[snake_case(name)] = _word(snake_case(name), kind)
    return dict(sorted(found.items()))


def _losses() -> dict[str, Word]:
    named = {snake_case(n.removesuffix("Loss")): getattr(nn, n) for n in nn.__all__ if n.endswith("Loss")}
    return {name: _word(name, named[name]) for name in TASKS}


def _optimizers() -> dict[str, Word]:
    kinds = [getattr(optim, name) for name in optim.__all__]
    found = [k for k in kinds if isinstance(k, type) and issubclass(k, Optimizer) and k is not Optimizer]
    return {kind.__name__.lower(): _word(kind.__name__.lower(), kind) for kind in found}


LAYERS: Mapping[str, Word] = _layers()
LOSSES: Mapping[str, Word] = _losses()
OPTIMIZERS: Mapping[str, Word] = _optimizers()


def _fits(kind: Any, value: Any) -> bool:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return any(_fits(argument, value) for argument in arguments)
    if origin is typing.Literal:
        return value in arguments
    if isinstance(origin, type) and issubclass(origin, Sequence):
        items = [a for a in arguments if a is not Ellipsis]
        return isinstance(value, list) and all(any(_fits(i, v) for i in items) for v in value)
    if kind in (int, float) and isinstance(value, bool):
        return False
    if kind is float:
        return isinstance(value, (int, float))
    # A type that TOML has no word for, such as an array of weights: the class itself will judge.
    return isinstance(value, kind) if kind in _NAMES else kind is not type(None)


def _kinds(kind: Any) -> list[str]:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return [name for argument in arguments for name in _kinds(argument)]
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return ["array"]
    if origin is typing.Literal:
        return [repr(a) for a in arguments]
    return [] if kind is type(None) else [_NAMES.get(kind, "array")]
