"""A layer, loss or optimiser in the configuration: a name, or a table of one name with what it is made with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from neurenix.config.rules import quote, suggestion

if TYPE_CHECKING:
    from neurenix.declarative.vocabulary import Option, Word

Report = list[str]


@dataclass(frozen=True)
class Component:
    """One name of a vocabulary and its options, by parameter. `kind` is what messages call it, `table` where it is."""

    name: str
    options: Mapping[str, Any]

    kind: ClassVar[str]
    table: ClassVar[str]
    example: ClassVar[str]

    @classmethod
    def words(cls) -> Mapping[str, Word]:
        """Return the vocabulary."""
        # Imported here: it is made of the framework's classes, which a table without layers does not wait for.
        from neurenix.declarative import vocabulary

        words: Mapping[str, Word] = getattr(vocabulary, cls.table)
        return words

    @classmethod
    def read(cls, value: Any, path: str, problems: Report) -> Any:
        """Read `value`, or append what is wrong with it and return None."""
        name: str
        given: Any
        if isinstance(value, str):
            name, given = value, {}
        elif isinstance(value, Mapping) and len(value) == 1:
            ((name, given),) = value.items()
            path = f"{path}.{name}" if name in cls.words() else path
        else:
            found = f"a table of {len(value)} names" if isinstance(value, Mapping) else quote(value)
            problems.append(f"{path}: expected a name or a table of one name, such as {cls.example}, got {found}")
            return None
        word = cls.words().get(name)
        if word is None:
            problems.append(f"{path}: {quote(name)} is no {cls.kind}{suggestion(name, cls.words())}")
            return None
        before = len(problems)
        options = _read_options(word, given, path, problems)
        return cls(name, options) if len(problems) == before else None


@dataclass(frozen=True)
class LayerConfig(Component):
    """A layer of a model without Python."""

    kind = "layer"
    table = "LAYERS"
    example = "'relu' or { linear = 16 }"


@dataclass(frozen=True)
class LossConfig(Component):
    """The loss that a model without Python is trained with."""

    kind = "loss"
    table = "LOSSES"
    example = "'mse' or { huber = 0.5 }"


@dataclass(frozen=True)
class OptimizerConfig(Component):
    """The optimiser that a model without Python is trained with."""

    kind = "optimizer"
    table = "OPTIMIZERS"
    example = "'adam' or { adam = 0.01 }"


def _read_options(word: Word, given: Any, path: str, problems: Report) -> dict[str, Any]:
    if isinstance(given, Mapping):
        named = dict(given)
    elif word.first is None:
        problems.append(f"{path}: {quote(word.name)} takes no value, got {quote(given)} -- write {quote(word.name)}")
        return {}
    else:
        # { linear = 16 } is short for { linear = { out-features = 16 } }.
        named = {word.first.name: given}
    options: dict[str, Any] = {}
    for key, value in named.items():
        option = word.options.get(key)
        where = f"{path}.{key}" if isinstance(given, Mapping) else path
        if option is None and word.open and isinstance(value, (bool, int, float, list)):
            options[key.replace("-", "_")] = value
        elif option is None and word.open:
            problems.append(f"{where}: expected number, boolean or array, got {quote(value)}")
        elif option is None:
            problems.append(f"{where}: unknown option of {quote(word.name)}{_known(key, word)}")
        elif not option.accepts(value):
            problems.append(f"{where}: expected {option.type_name}, got {quote(value)}")
        else:
            options[option.parameter] = value
    missing = [option for option in word.required if option.name not in named]
    if missing:
        names = ", ".join(quote(option.name) for option in missing)
        problems.append(f"{path}: {quote(word.name)} needs {names} -- write {_example(word)}")
    return options


def _known(key: str, word: Word) -> str:
    close = suggestion(key, word.options)
    if close or not word.options:
        return close or " -- it has none"
    return f" -- it has {', '.join(word.options)}"


def _example(word: Word) -> str:
    if len(word.required) == 1:
        return f"{{ {word.name} = {_sample(word.required[0])} }}"
    inside = ", ".join(f"{option.name} = {_sample(option)}" for option in word.required)
    return f"{{ {word.name} = {{ {inside} }} }}"


def _sample(option: Option) -> str:
    samples = {"integer": "16", "number": "1.0", "boolean": "true", "array": "[1, 8, 8]", "string": "'…'"}
    return "3" if option.parameter == "kernel_size" else samples.get(option.type_name.partition(" ")[0], "1")
