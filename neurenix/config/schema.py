"""The JSON Schema of `[tool.neurenix]`, made from the tables that read it; editors and checkers use it."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from typing import Any

from neurenix.config.components import Component, LayerConfig, LossConfig, OptimizerConfig
from neurenix.config.overlays import TARGETS
from neurenix.config.tables import Config
from neurenix.config.validate import toml_key
from neurenix.declarative.vocabulary import Option, Word

_TYPES: dict[Any, str] = {str: "string", bool: "boolean", int: "integer", float: "number"}
_OVERLAY = {"$ref": "#/definitions/overlay"}


def tool_schema(tool_name: str = "neurenix") -> dict[str, Any]:
    """Return the schema of `[tool.neurenix]`, for the entry point `validate_pyproject.tool_schema`."""
    whole = _table(Config, required=True)
    overlays = {"targets": {"propertyNames": {"enum": list(TARGETS)}}, "profiles": {}}
    for key, more in overlays.items():
        described = {k: v for k, v in whole["properties"][key].items() if k in ("description", "propertyNames")}
        whole["properties"][key] = {"type": "object", "additionalProperties": _OVERLAY, **described, **more}
    partial = _table(Config, required=False)
    for key in (*overlays, "minimum-version"):
        del partial["properties"][key]
    components = {kind.kind: _component(kind) for kind in (LayerConfig, LossConfig, OptimizerConfig)}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": "https://json.schemastore.org/partial-neurenix.json",
        "title": "The table [tool.neurenix] of pyproject.toml",
        **whole,
        "definitions": {"overlay": partial, **components},
    }


def schema_json() -> str:
    """Return the schema as the text of the file that ships in docs/."""
    return json.dumps(tool_schema(), indent=2, ensure_ascii=False) + "\n"


def _table(kind: type[Any], required: bool) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    found: dict[str, Any] = {
        "type": "object",
        "description": (kind.__doc__ or "").strip(),
        "additionalProperties": False,
        "properties": {toml_key(f.name): _field(f, hints[f.name], required) for f in dataclasses.fields(kind)},
    }
    missing = dataclasses.MISSING
    needed = [
        toml_key(f.name) for f in dataclasses.fields(kind) if f.default is missing and f.default_factory is missing
    ]
    return {**found, "required": needed} if needed and required else found


def _field(field: dataclasses.Field[Any], kind: Any, required: bool) -> dict[str, Any]:
    schema = _value(kind, required)
    check, check_key = field.metadata.get("check"), field.metadata.get("check_key")
    for keyword, rule in check.schema.items() if check else ():
        if keyword in ("items", "additionalProperties") and keyword in schema:
            schema[keyword] = {**schema[keyword], **rule}
        elif keyword in _KEYWORDS.get(schema.get("type", ""), ()):
            schema[keyword] = rule
    if check_key is not None:
        schema["propertyNames"] = dict(check_key.schema)
    if isinstance(field.default, (str, bool, int, float)):
        schema["default"] = field.default
    return {"description": field.metadata["description"], **schema}


# The keywords that say something about each type.
_KEYWORDS = {
    "string": ("pattern", "enum", "minLength"),
    "number": ("minimum", "maximum"),
    "integer": ("minimum", "maximum"),
    "array": ("minItems",),
    "object": ("minProperties",),
}


def _value(kind: Any, required: bool) -> dict[str, Any]:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return {}
    if origin in (types.UnionType, typing.Union):
        (one,) = (argument for argument in arguments if argument is not type(None))
        return _value(one, required)
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        return {"type": "array", "items": _value(arguments[0], required)}
    if isinstance(kind, type) and issubclass(kind, Component):
        return {"$ref": f"#/definitions/{kind.kind}"}
    if dataclasses.is_dataclass(kind):
        return _table(typing.cast("type[Any]", kind), required)
    if origin is not None and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _value(arguments[1], required)}
    return {"type": _TYPES[kind]}


def _component(kind: type[Component]) -> dict[str, Any]:
    bare = [name for name, word in kind.words().items() if not word.required]
    table = {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
        "properties": {name: _word(word) for name, word in kind.words().items()},
    }
    return {"description": (kind.__doc__ or "").strip(), "anyOf": [{"enum": bare}, table]}


def _word(word: Word) -> dict[str, Any]:
    options: dict[str, Any] = {
        "type": "object",
        "additionalProperties": {"type": ["number", "boolean", "array"]} if word.open else False,
        "properties": {name: _option(option) for name, option in word.options.items()},
    }
    if word.required:
        options["required"] = [option.name for option in word.required]
    if word.first is None or len(word.required) > 1:
        return options
    return {"anyOf": [_option(word.first), options]}


def _option(option: Option) -> dict[str, Any]:
    kinds = option.type_name.split(" or ")
    return {"type": kinds if len(kinds) > 1 else kinds[0]} if set(kinds) <= {*_TYPES.values(), "array"} else {}
