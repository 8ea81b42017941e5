"""Defines every table and key below `[tool.neurenix]`; the reader and its messages follow from here.

A field is one key: `max_error` is written `max-error`. Its metadata holds `description` (one sentence for
the reference), `check` (a value's own rule) and `check_key` (a rule for the names in a table of tables).
`check_table`, where a table has one, sees all the values that could be read and compares them; it yields
a key or a dotted path below the table, and the problem.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field
from typing import Any, Literal

from neurenix.config.rules import (
    Rule,
    a_byte_count,
    a_module_function,
    a_parameter_name,
    a_plain_value,
    a_symbol_name,
    a_watch_pattern,
    an_input_shape,
    an_io_name,
    at_least,
    each,
    filled,
    model_name,
    native_target,
    parse_bytes,
    parse_input,
)
from neurenix.config.rules import quote as _quote

MAX_DIM = 2**31 - 1


def key(
    description: str,
    *,
    default: Any = MISSING,
    empty: Callable[[], Any] | None = None,
    check: Rule | None = None,
    check_key: Rule | None = None,
) -> Any:
    """Declare one key of a table: required, unless `default` or `empty` (makes the value) is given."""
    metadata = {"description": description, "check": check, "check_key": check_key}
    if empty is not None:
        return field(default_factory=empty, metadata=metadata)
    if default is MISSING:
        return field(metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class DimConfig:
    """The range of one symbolic dimension. Memory is planned for `max`."""

    max: int = key("The largest size of the dimension.", check=at_least(1, MAX_DIM))
    min: int = key("The smallest size of the dimension.", default=1, check=at_least(1, MAX_DIM))

    @staticmethod
    def check_table(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        low, high = values.get("min"), values.get("max")
        if low is not None and high is not None and low > high:
            yield "min", f"{low} is more than max, {high}"


@dataclass(frozen=True)
class ModelConfig:
    """One model: where it comes from, what goes in, and what the build must hold it to."""

    inputs: Mapping[str, str] | None = key(
        "The inputs, in order: a name and a dtype with its shape, such as 'float32[batch, 1, 28, 28]'. Not "
        "needed where the first layer fixes the shape.",
        default=None,
        check=filled("declare at least one input, such as image = 'float32[batch, 1, 28, 28]'"),
        check_key=an_io_name,
    )
    train: str | None = key(
        "The function that trains the model and returns it: 'module:function'.",
        default=None,
        check=a_module_function,
    )
    load: str | None = key("A model file to read instead of training.", default=None)
    params: Mapping[str, Any] = key(
        "The keyword arguments of the training function.",
        empty=dict,
        check=a_plain_value,
        check_key=a_parameter_name,
    )
    watch: tuple[str, ...] = key(
        "Glob patterns of files: a change in one retrains the model, and the sdist carries them.",
        empty=tuple,
        check=each(a_watch_pattern),
    )
    dims: Mapping[str, DimConfig] = key(
        "The range of each symbol in the inputs' shapes.", empty=dict, check_key=a_symbol_name
    )
    labels: tuple[str, ...] = key("Names for the entries of the output's last axis.", empty=tuple)
    quantize: Literal[False, "float16", "int8"] = key("Store the parameters in fewer bits.", default=False)
    max_error: float = key(
        "The largest accepted difference between a compiled form and the reference.",
        default=1e-4,
        check=at_least(0),
    )
    timeout: float = key("Stop training after this many seconds.", default=3600, check=at_least(1))

    @staticmethod
    def check_table(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        given = [name for name in ("train", "load") if values.get(name, "unreadable") is not None]
        if len(given) != 1:
            yield "", "set exactly one of 'train' or 'load'"
        if values.get("load") is not None:
            path = _quote(values["load"])
            yield "load", f"{path}: reading a model file arrives in a later version -- use 'train'"
        if values.get("quantize"):
            yield "quantize", f"{_quote(values['quantize'])} arrives in a later version -- use false"
        yield from _check_shapes(values.get("inputs"), values.get("dims"))


def _check_shapes(inputs: Mapping[str, str] | None, dims: Mapping[str, DimConfig] | None) -> Iterator[tuple[str, str]]:
    used: set[str] = set()
    for name, text in (inputs or {}).items():
        problem = an_input_shape(text)
        if problem is not None:
            yield f"inputs.{name}", problem
            continue
        symbols = [size for size in parse_input(text)[1] if isinstance(size, str)]
        used.update(symbols)
        for symbol in dict.fromkeys(symbols):
            if dims is not None and symbol not in dims:
                yield (
                    f"inputs.{name}",
                    (
                        f"symbol '{symbol}' has no entry in 'dims' "
                        f"-- add dims = {{ {symbol} = {{ min = 1, max = 32 }} }}"
                    ),
                )
    for name in dims or {}:
        if inputs is not None and name not in used:
            yield f"dims.{name}", "no input has this symbol in its shape -- remove it"


@dataclass(frozen=True)
class WebConfig:
    """What the web part of each bundle has."""

    simd: bool = key("Also make SIMD and relaxed SIMD variants; scalar is always there.", default=True)
    threads: bool = key("Run on several threads where the page allows it.", default=True)
    webgpu: bool = key("Also make WebGPU shaders.", default=False)
    max_size: str | None = key(
        "The build fails when a model's web files weigh more, such as '5 MB'.",
        default=None,
        check=a_byte_count,
    )

    @property
    def max_bytes(self) -> int | None:
        """The limit in bytes, or None."""
        return None if self.max_size is None else parse_bytes(self.max_size)

    @staticmethod
    def check_table(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if values.get("webgpu"):
            yield "webgpu", "true: this version makes no WebGPU shaders -- leave it false"


@dataclass(frozen=True)
class NativeConfig:
    """Which native libraries each bundle has."""

    targets: tuple[str, ...] = key(
        "Platforms to compile for: 'host', or names such as 'x86_64-linux'.",
        empty=tuple,
        check=each(native_target),
    )


@dataclass(frozen=True)
class Config:
    """The table `[tool.neurenix]`."""

    models: Mapping[str, ModelConfig] = key(
        "The models of the project, each by its name.",
        empty=dict,
        check=filled("declare at least one model: [tool.neurenix.models.NAME]"),
        check_key=model_name,
    )
    train_dependencies: tuple[str, ...] = key(
        "Packages to install for a build that must train, and only then.",
        empty=tuple,
        check=each(filled("is empty -- name a package")),
    )
    web: WebConfig = field(default_factory=WebConfig, metadata={"description": "What the web part of each bundle has."})
    native: NativeConfig = field(
        default_factory=NativeConfig, metadata={"description": "Which native libraries each bundle has."}
    )
