"""Writes docs/config.md: every key with its type, default and meaning, as the tables define them."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from neurenix.config.components import Component, LayerConfig, LossConfig, OptimizerConfig
from neurenix.config.keys import SOURCES
from neurenix.config.model_table import DimConfig, ModelConfig
from neurenix.config.op_table import OpConfig
from neurenix.config.tables import Config, NativeConfig, WebConfig
from neurenix.config.validate import toml_key
from neurenix.declarative.vocabulary import INFERRED, TASKS, Word

TABLES: tuple[tuple[str, type[Any]], ...] = (
    ("[tool.neurenix]", Config),
    ("[tool.neurenix.models.NAME]", ModelConfig),
    ("[tool.neurenix.models.NAME.dims.SYMBOL]", DimConfig),
    ("[tool.neurenix.ops.NAME]", OpConfig),
    ("[tool.neurenix.web]", WebConfig),
    ("[tool.neurenix.native]", NativeConfig),
)

EXAMPLE = """\
[tool.neurenix]
minimum-version = "0.1"
train-dependencies = ["scikit-learn"]        # installed only when a model must be trained

[tool.neurenix.models.digits]                # trained by a function of the project's
train = "digits_app.training:train"
params = { epochs = 5, seed = 0 }
watch = ["data/digits.npz"]
inputs = { image = "float32[batch, 1, 28, 28]" }
dims = { batch = { min = 1, max = 32 } }
labels = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
min-metric = { accuracy = 0.97 }

[tool.neurenix.models.embed]                 # read from a file
load = "models/embed.onnx"
sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

[tool.neurenix.models.iris]                  # no Python at all
data = "data/iris.csv"
target = "species"
layers = [{ linear = 16 }, "relu", { linear = 3 }]
optimizer = { adam = { lr = 0.01, weight-decay = 1e-4 } }
epochs = 60
min-metric = { accuracy = 0.9 }

[tool.neurenix.web]
max-size = "5 MB"

[tool.neurenix.native]
targets = ["host"]

[tool.neurenix.targets.static-site]          # laid over the rest for this build target
native = { targets = [] }

[tool.neurenix.profiles.ci.models.digits]    # laid over the rest when NEURENIX_PROFILE=ci
params = { epochs = 1 }
min-metric = { accuracy = 0.9 }
"""

_PROSE = """\
# Configuration

All keys of `[tool.neurenix]` in `pyproject.toml`. Every problem is reported at once, with its dotted path, its value
and the way out. This page is generated from the tables that read the file (`python -m neurenix.config`), and so is
the JSON Schema beside it, [neurenix.schema.json](neurenix.schema.json), which validate-pyproject finds by itself.

```toml
{example}```

## Where a model comes from

Exactly one of these keys: `train` calls a function of the project's in a process of its own; `load` reads a model
file; `data` trains a declared network on a CSV file. The column "with" says which keys go with which of them.

## A model without Python

The first line of the CSV file names its columns. All columns but the `target` are inputs, in the file's order, as
one input `input` of `float32[batch, columns]`. What goes in are raw values: the shift and the scale of each number,
taken from the training rows, are a part of the model. A column of words is a category: the index of the word goes in,
and the model makes one feature per word of it; a word among numbers is refused as a slip, unless `columns` says that
it is a `"category"`. The manifest's first layer has the names (`features`), the words
(`categories`) and the span of each column (`ranges`), from which a page can make a form.

A target of words makes a classifier: its answers are probabilities, its labels the words in alphabetic order; the last
layer gives one score for each of them. A target of numbers makes a regressor: its answers are in the target's own
unit; the last layer gives one value. Where numbers stand for categories, say so:
`columns = {{ digit = "category" }}`.

A layer is a name, `"relu"`, or a table of one name. Its value is what must be given, `{{ linear = 16 }}`, or a table
of options, `{{ conv2d = {{ out-channels = 8, kernel-size = 3 }} }}`. The size of what comes in is inferred. The metrics
that `min-metric` and `max-metric` know are `accuracy` of a classifier, `mae`, `rmse` and `r2` of a regressor.

## Targets and profiles

`[tool.neurenix.targets.TARGET]` and `[tool.neurenix.profiles.NAME]` hold the same keys as `[tool.neurenix]` and are
laid over it, the target first: tables are merged, everything else is replaced. A model that gets another source (`load`
instead of `train`) loses the keys of the first. The environment variable `NEURENIX_PROFILE` chooses the profile.
All of them are checked on every build.
"""


def reference_page() -> str:
    """Return the page as Markdown."""
    parts = [_PROSE.format(example=EXAMPLE)]
    parts += ["\n".join(_table(title, kind)) for title, kind in TABLES]
    parts.append("\n".join(_components("Layers", LayerConfig)))
    parts.append("\n".join(_components("Losses", LossConfig)))
    parts.append("\n".join(_components("Optimisers", OptimizerConfig)))
    return "\n".join(parts)


def _table(title: str, kind: type[Any]) -> Iterator[str]:
    hints = typing.get_type_hints(kind)
    by_source = kind is ModelConfig
    yield f"## `{title}`\n"
    yield f"{(kind.__doc__ or '').strip()}\n"
    yield "| key | type | default | " + ("with | " if by_source else "") + "meaning |"
    yield "|---|---|---|" + ("---|" if by_source else "") + "---|"
    for field in dataclasses.fields(kind):
        sources = field.metadata.get("sources", SOURCES)
        shown = "" if sources == SOURCES else ", ".join(f"`{name}`" for name in sources)
        cells = [f"`{toml_key(field.name)}`", _type(hints[field.name]), _default(field)]
        cells += [shown] if by_source else []
        yield "| " + " | ".join([*cells, _cell(field.metadata["description"])]) + " |"
    yield ""


def _components(title: str, kind: type[Component]) -> Iterator[str]:
    yield f"## {title}\n"
    yield f"{(kind.__doc__ or '').strip()} Names and options are those of the Python class.\n"
    yield "| name | options | " + ("target | " if kind is LossConfig else "") + "what |"
    yield "|---|---|" + ("---|" if kind is LossConfig else "") + "---|"
    for word in kind.words().values():
        task = [f"a {TASKS[word.name]}"] if kind is LossConfig else []
        what = (word.make.__doc__ or "").strip().partition("\n")[0]
        yield "| " + " | ".join([f"`{word.name}`", _options(word), *task, _cell(what)]) + " |"
    yield ""


def _options(word: Word) -> str:
    shown = []
    for option in word.options.values():
        if option.parameter in INFERRED:
            continue
        shown.append(f"**`{option.name}`**" if option.required else f"`{option.name}`")
    return ", ".join([*shown, "others"] if word.open else shown)


def _type(kind: Any) -> str:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        (kind,) = (argument for argument in arguments if argument is not type(None))
        return _type(kind)
    if origin is typing.Literal:
        return " or ".join(f"`{json.dumps(choice)}`" for choice in arguments)
    if origin is tuple:
        return f"array of {_type(arguments[0])}"
    if origin is not None and issubclass(origin, Mapping):
        return "table" if arguments[1] is Any else f"table of {_type(arguments[1])}"
    named = {str: "string", bool: "boolean", int: "integer", float: "number", LayerConfig: "layer"}
    if kind in named:
        return named[kind]
    return "name or table" if issubclass(kind, Component) else "table"


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is dataclasses.MISSING:
        return "" if field.default_factory is not dataclasses.MISSING else "required"
    if isinstance(field.default, Component):
        ((_, value),) = field.default.options.items()
        return f"`{{ {field.default.name} = {value} }}`"
    return "" if field.default is None else f"`{json.dumps(field.default)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
