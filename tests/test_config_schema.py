"""Claims about the JSON Schema that is made from the tables: it agrees with the reader."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from validate_pyproject.api import Validator
from validate_pyproject.error_reporting import ValidationError
from validate_pyproject.plugins import PluginWrapper

from neurenix.config import parse_config
from neurenix.config.reference import EXAMPLE
from neurenix.config.schema import tool_schema
from neurenix.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
MODEL = "[tool.neurenix.models.m]\n"
TRAINED = MODEL + "train = 'a:b'\n"
DECLARED = MODEL + "data = 'a.csv'\ntarget = 'y'\n"

GOOD = [
    EXAMPLE,
    TRAINED,
    TRAINED + "quantize = false\nmin-metric = { accuracy = 1 }\nmax-error = 0.5\n",
    DECLARED + "layers = ['relu', { linear = 3 }, { conv2d = { out-channels = 3, kernel-size = [1, 2] } }]\n",
    DECLARED + "layers = [{ linear = 3 }]\nloss = 'mse'\noptimizer = { sgd = { lr = 0.1, nesterov = true } }\n",
    TRAINED + "dims = { batch = { max = 8 } }\n[tool.neurenix.profiles.ci.models.m]\ndims = { batch = { min = 1 } }\n",
]
BAD = [
    TRAINED + "epoch = 3",
    TRAINED + "timeout = 0",
    TRAINED + "timeout = '3'",
    TRAINED + "quantize = 'int9'",
    TRAINED + "watch = 'a'",
    TRAINED + "inputs = { A = 'float32[2]' }",
    TRAINED + "inputs = { a = 'float32' }",
    TRAINED + "min-metric = { accuracy = 'high' }",
    MODEL + "train = 'a.b'",
    MODEL + "load = 'a.onnx'\nsha256 = 'no'",
    DECLARED + "layers = ['rleu']",
    DECLARED + "layers = ['linear']",
    DECLARED + "layers = [{ linear = 'x' }]",
    DECLARED + "layers = [{ linear = 3, relu = {} }]",
    DECLARED + "layers = [{ linear = 3 }]\nepochs = 1.5",
    DECLARED + "layers = [{ linear = 3 }]\ncolumns = { a = 'text' }",
    "[tool.neurenix.models.'A b']\ntrain = 'a:b'",
    TRAINED + "[tool.neurenix.targets.whel]\n",
    TRAINED + "[tool.neurenix.profiles.ci]\nmodles = {}\n",
    TRAINED + "[tool.neurenix.profiles.ci.profiles.b]\n",
    TRAINED + "[tool.neurenix.web]\nmax-size = '5'\n",
    TRAINED + "[tool.neurenix.native]\ntargets = ['x86']\n",
]


def errors(text: str) -> list[Any]:
    schema = tool_schema()
    return list(jsonschema.Draft7Validator(schema).iter_errors(tomllib.loads(text)["tool"]["neurenix"]))


@pytest.mark.parametrize("text", GOOD)
def test_what_the_reader_takes_the_schema_takes(text: str) -> None:
    parse_config(tomllib.loads(text))
    assert [] == errors(text)


@pytest.mark.parametrize("text", BAD)
def test_what_the_schema_refuses_the_reader_refuses(text: str) -> None:
    assert [] != errors(text)
    with pytest.raises(ConfigError):
        parse_config(tomllib.loads(text))


def test_the_schema_is_one() -> None:
    jsonschema.Draft7Validator.check_schema(tool_schema())


def test_validate_pyproject_checks_by_the_declared_entry_point() -> None:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    group = document["project"]["entry-points"]["validate_pyproject.tool_schema"]
    ((name, value),) = group.items()
    schema = EntryPoint(name, value, "validate_pyproject.tool_schema").load()
    validate = Validator(plugins=[PluginWrapper(name, schema)])
    project = {"project": {"name": "app", "version": "1"}}
    validate({**tomllib.loads(EXAMPLE), **project})
    with pytest.raises(ValidationError, match=r"tool\.neurenix\.models\.m"):
        validate({**tomllib.loads(TRAINED + "epoch = 3"), **project})


def test_an_unrelated_key_of_the_example_would_show() -> None:
    assert [] != errors(EXAMPLE.replace("epochs = 60", "epoch = 60"))
