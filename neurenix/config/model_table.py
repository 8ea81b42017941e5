"""Defines the table of one model, `[tool.neurenix.models.NAME]`, and how its keys go together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import PurePosixPath
from typing import Any, Literal, Union

from neurenix.config.components import LayerConfig, LossConfig, OptimizerConfig
from neurenix.config.keys import SOURCES, key
from neurenix.config.rules import (
    WEIGHTS,
    a_data_file,
    a_model_source,
    a_module_function,
    a_parameter_name,
    a_plain_value,
    a_sha256,
    a_symbol_name,
    a_watch_pattern,
    an_input_shape,
    an_io_name,
    at_least,
    each,
    each_value,
    filled,
    is_function,
    parse_input,
)
from neurenix.config.rules import quote as _quote

Path = Union[str, tuple[str, ...]]
"""A key below a table, or the path to what is at fault."""

MAX_DIM = 2**31 - 1

# Layers that the finished model gets by itself when the target is a category.
_ADDED = frozenset(["softmax", "log_softmax", "softmin"])


@dataclass(frozen=True)
class DimConfig:
    """The range of one symbolic dimension. Memory is planned for `max`."""

    max: int = key("The largest size of the dimension.", check=at_least(1, MAX_DIM))
    min: int = key(
        "The smallest size of the dimension; 0 where it may be empty.", default=1, check=at_least(0, MAX_DIM)
    )

    @staticmethod
    def check_table(values: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
        low, high = values.get("min"), values.get("max")
        if low is not None and high is not None and low > high:
            yield "min", f"{low} is more than max, {high}"


@dataclass(frozen=True)
class ModelConfig:
    """One model: where it comes from, what goes in, and what the build must hold it to."""

    train: str | None = key(
        "The function that trains the model and returns it: 'module:function'.",
        default=None,
        check=a_module_function,
        sources=("train",),
    )
    params: Mapping[str, Any] = key(
        "The keyword arguments of the training function.",
        empty=dict,
        check=a_plain_value,
        check_key=a_parameter_name,
        sources=("train",),
    )
    load: str | None = key(
        "A model to read instead of training one: a file, from pyproject.toml's folder, or its 'module:function'.",
        default=None,
        check=a_model_source,
        sources=("load",),
    )
    architecture: str | None = key(
        "The function that makes the model which the weights of a .safetensors or .pt file belong to.",
        default=None,
        check=a_module_function,
        sources=("load",),
    )
    constants: Mapping[str, Any] = key(
        "Inputs of an ONNX file that are fixed to a value, which is then part of the model.",
        empty=dict,
        check=a_plain_value,
        sources=("load",),
    )
    sha256: str | None = key(
        "What the model file must be; checked before anything reads it.",
        default=None,
        check=a_sha256,
        sources=("load",),
    )
    data: str | None = key(
        "A CSV file with a header: a model without Python is trained on its columns.",
        default=None,
        check=a_data_file,
        sources=("data",),
    )
    target: str | None = key(
        "The column to predict: words make a classifier, numbers a regressor.",
        default=None,
        check=filled("is empty -- name a column of the data"),
        sources=("data",),
    )
    columns: Mapping[str, Literal["number", "category", "ignore"]] = key(
        "What a column holds, where its values do not tell: 'number', 'category' or 'ignore'.",
        empty=dict,
        sources=("data",),
    )
    layers: tuple[LayerConfig, ...] | None = key(
        "The network: names of layers, or tables such as { linear = 16 }; input sizes follow from what is before.",
        default=None,
        check=filled("has no layer -- a classifier of 3 categories ends with { linear = 3 }"),
        sources=("data",),
    )
    loss: LossConfig | None = key(  # noqa: RUF009 - it is a field
        "What training makes small; 'cross_entropy' for a category and 'mse' for a number when absent.",
        default=None,
        sources=("data",),
    )
    optimizer: OptimizerConfig = key(  # noqa: RUF009 - it is a field
        "How training makes it small.",
        default=OptimizerConfig("adam", {"lr": 0.01}),
        sources=("data",),
    )
    epochs: int = key(
        "How often training goes through the data.", default=100, check=at_least(1, 10**6), sources=("data",)
    )
    batch_size: int = key("The rows of one step.", default=32, check=at_least(1, 10**6), sources=("data",))
    validation: float = key(
        "The share of the rows that is kept to measure the model; the best epoch by them is taken.",
        default=0.2,
        check=at_least(0, 0.9),
        sources=("data",),
    )
    seed: int = key("Decides the first weights, the split and the order.", default=0, check=at_least(0, 2**32 - 1),
                    sources=("data",))  # fmt: skip
    inputs: Mapping[str, str] | None = key(
        "The inputs, in order: a name and a dtype with its shape, such as 'float32[batch, 1, 28, 28]'. Not "
        "needed where the first layer or the file fixes the shape.",
        default=None,
        check=filled(
            "declare at least one input, such as image = 'float32[batch, 1, 28, 28]'",
            additionalProperties=an_input_shape.schema,
        ),
        check_key=an_io_name,
        sources=("train", "load"),
    )
    outputs: tuple[str, ...] | None = key(
        "Names for the outputs, in order; the model's own when absent.",
        default=None,
        check=each(an_io_name),
    )
    dims: Mapping[str, DimConfig] = key(
        "The range of each symbol in the inputs' shapes.", empty=dict, check_key=a_symbol_name
    )
    labels: tuple[str, ...] = key(
        "Names for the entries of the output's last axis.", empty=tuple, sources=("train", "load")
    )
    quantize: Literal[False, "float16", "int8"] = key("Store the parameters in fewer bits.", default=False)
    watch: tuple[str, ...] = key(
        "Glob patterns of files: a change in one makes the model anew, and the sdist carries them.",
        empty=tuple,
        check=each(a_watch_pattern),
    )
    timeout: float = key("Stop training after this many seconds.", default=3600, check=at_least(1))
    max_error: float | None = key(
        "The largest accepted difference between a compiled form and the reference; by default what float32's rounding "
        "explains, at most 0.0001.",
        default=None,
        check=at_least(0),
    )
    min_metric: Mapping[str, float] = key(
        "The build fails when a metric of the training is below this, as in { accuracy = 0.9 }.",
        empty=dict,
        check=each_value(at_least(-math.inf)),
        sources=("train", "data"),
    )
    max_metric: Mapping[str, float] = key(
        "The build fails when a metric of the training is above this, as in { mae = 0.5 }.",
        empty=dict,
        check=each_value(at_least(-math.inf)),
        sources=("train", "data"),
    )

    @property
    def source(self) -> str:
        """Which of SOURCES the model comes from."""
        return next(name for name in SOURCES if getattr(self, name) is not None)

    def __post_init__(self) -> None:
        # A function that returns a finished model is called as one that trains it is.
        if self.load is not None and is_function(self.load):
            object.__setattr__(self, "train", self.load)
            object.__setattr__(self, "load", None)

    @property
    def file(self) -> str | None:
        """The file that the source names, if it names one."""
        return self.load if self.load is not None else self.data

    @staticmethod
    def check_table(values: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
        given = [name for name in SOURCES if values.get(name, "unreadable") is not None]
        if len(given) != 1:
            yield "", "set exactly one of 'train', 'load' or 'data'"
        else:
            yield from _check_source(given[0], values)
        if values.get("quantize"):
            yield "quantize", f"{_quote(values['quantize'])} arrives in a later version -- use false"
        outputs = values.get("outputs") or ()
        for index, name in enumerate(outputs):
            if name in outputs[:index] or name in (values.get("inputs") or {}):
                yield (
                    ("outputs", f"[{index}]"),
                    f"{_quote(name)} is the name of another input or output -- use another name",
                )
        yield from _check_shapes(values.get("inputs"), values.get("dims"))


def dropped_keys(path: tuple[str, ...], key: str) -> frozenset[str]:
    """Return the keys of a model that an overlay drops when it sets `key`: what belongs to another source, mainly."""
    if len(path) != 2 or path[0] != "models":
        return frozenset()
    if key in ("loss", "optimizer"):
        return frozenset([key])
    if key not in SOURCES:
        return frozenset()
    return frozenset(f.name.replace("_", "-") for f in fields(ModelConfig) if key not in f.metadata["sources"])


def _check_source(source: str, values: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    for f in fields(ModelConfig):
        sources = f.metadata["sources"]
        default = f.default_factory() if f.default_factory is not MISSING else f.default
        if source not in sources and values.get(f.name, default) != default:
            wanted = " or ".join(map(_quote, sources))
            name = f.name.replace("_", "-")
            yield name, f"goes with {wanted}, and this model has {_quote(source)} -- remove it{_WHY.get(name, '')}"
    if source == "load" and values.get("load") is not None:
        path = values["load"]
        is_weights = PurePosixPath(path).suffix.lower() in WEIGHTS
        for name in ("architecture", "sha256", "constants"):
            if is_function(path) and values.get(name):
                yield name, f"goes with a file, and {_quote(path)} is a function -- remove it"
        if is_weights and values.get("architecture", "unreadable") is None:
            yield (
                "load",
                f"{_quote(path)} holds weights only -- set architecture = 'module:function', which makes the model",
            )
        if not is_weights and not is_function(path) and values.get("architecture") is not None:
            yield "architecture", f"{_quote(path)} says itself what is computed -- remove it"
    if source == "data":
        yield from _check_declared(values)


_WHY = {
    "labels": ": the target's categories are the labels",
    "inputs": ": the columns of the data are the input",
}


def _check_declared(values: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    for name, example in (("target", "'species'"), ("layers", "[{ linear = 16 }, 'relu', { linear = 3 }]")):
        if values.get(name, "unreadable") is None:
            yield name, f"required key is missing -- add {name} = {example}"
    layers, loss, target = values.get("layers"), values.get("loss"), values.get("target")
    if layers and layers[-1].name in _ADDED and (loss is None or loss.name == "cross_entropy"):
        yield (
            ("layers", f"[{len(layers) - 1}]"),
            f"{_quote(layers[-1].name)}: training wants plain scores, and the finished model gives probabilities by "
            "itself -- remove it",
        )
    if (values.get("columns") or {}).get(target) == "ignore":
        yield ("columns", str(target)), "'ignore': this column is the target -- remove it"
    for name in values.get("dims") or {}:
        if name != "batch":
            yield ("dims", name), "a model without Python has one symbol, 'batch' -- remove it"


def _check_shapes(inputs: Mapping[str, str] | None, dims: Mapping[str, DimConfig] | None) -> Iterator[tuple[Path, str]]:
    used: set[str] = set()
    for name, text in (inputs or {}).items():
        problem = an_input_shape(text)
        if problem is not None:
            yield ("inputs", name), str(problem)
            continue
        symbols = [size for size in parse_input(text)[1] if isinstance(size, str)]
        used.update(symbols)
        for symbol in dict.fromkeys(symbols):
            if dims is not None and symbol not in dims:
                yield (
                    ("inputs", name),
                    (
                        f"symbol '{symbol}' has no entry in 'dims' "
                        f"-- add dims = {{ {symbol} = {{ min = 1, max = 32 }} }}"
                    ),
                )
    for name in dims or {}:
        if inputs is not None and name not in used:
            yield ("dims", name), "no input has this symbol in its shape -- remove it"
