"""Claims about `[tool.neurenix]`: what is read, and what each mistake is called."""

from __future__ import annotations

import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from neurenix.config import Config, DimConfig, load_config, parse_config
from neurenix.config.components import Component
from neurenix.dtypes import DTYPES
from neurenix.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MODEL = """
[tool.neurenix.models.digits]
train = "app.training:train"
inputs = { image = "float32[batch, 1, 28, 28]" }
dims = { batch = { min = 1, max = 32 } }
"""


def read(text: str) -> Config:
    return parse_config(tomllib.loads(text))


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(text)
    return [line.removeprefix("tool.neurenix") for line in caught.value.problems]


def test_a_whole_table_is_read() -> None:
    config = read(
        MODEL
        + """
        params = { epochs = 5, layers = [16, 8] }
        watch = ["data/*.csv"]
        labels = ["0", "1"]
        max-error = 1
        timeout = 60
        [tool.neurenix]
        train-dependencies = ["scikit-learn"]
        [tool.neurenix.web]
        simd = false
        max-size = "1.5 MiB"
        """
    )
    model = config.models["digits"]
    assert "app.training:train" == model.train
    assert {"image": "float32[batch, 1, 28, 28]"} == model.inputs
    assert {"batch": DimConfig(max=32, min=1)} == model.dims
    assert {"epochs": 5, "layers": [16, 8]} == model.params
    assert (("data/*.csv",), ("0", "1"), 1, 60) == (
        model.watch,
        model.labels,
        model.max_error,
        model.timeout,
    )
    assert ("scikit-learn",) == config.train_dependencies
    assert (False, True, None) == (config.web.simd, config.web.threads, config.web.webgpu)
    assert 1_572_864 == config.web.max_bytes


def test_defaults_need_only_the_model() -> None:
    config = read(MODEL)
    assert (None, 3600, False) == (
        config.models["digits"].max_error,
        config.models["digits"].timeout,
        config.models["digits"].quantize,
    )
    assert ((), None) == (config.native.targets, config.web.max_bytes)


def test_inputs_may_be_left_to_the_first_layer() -> None:
    assert read("[tool.neurenix.models.m]\ntrain = 'a:b'").models["m"].inputs is None


def test_the_order_of_inputs_is_kept() -> None:
    text = MODEL.replace("image =", 'z = "float32[2]", a = "int64[]", image =')
    assert ["z", "a", "image"] == list(read(text).models["digits"].inputs)


@pytest.mark.parametrize(
    ("added", "problem"),
    [
        ("quantise = false", ".quantise: unknown key -- did you mean 'quantize'?"),
        ("xyzzy = 1", ".xyzzy: unknown key"),
        ("max_error = 1.0", ".max_error: unknown key -- did you mean 'max-error'?"),
        ("watch = 'a.csv'", ".watch: expected array, got string 'a.csv' -- write ['a.csv']"),
        ("watch = [1]", ".watch[0]: expected string, got integer 1"),
        (
            "watch = ['a', '../b']",
            ".watch[1]: '../b' leaves the project -- write it relative to pyproject.toml, without '..'",
        ),
        (
            "watch = ['/etc/passwd']",
            ".watch[0]: '/etc/passwd' leaves the project -- write it relative to pyproject.toml, without '..'",
        ),
        (
            "watch = ['c:/x']",
            ".watch[0]: 'c:/x' leaves the project -- write it relative to pyproject.toml, without '..'",
        ),
        ("watch = ['a\\b']", ".watch[0]: 'a\\\\b' has a backslash -- separate folders with '/'"),
        ("watch = ['']", ".watch[0]: is empty -- name a file or a pattern such as 'data/*.csv'"),
        ("labels = { a = 1 }", ".labels: expected array, got a table"),
        ("timeout = true", ".timeout: expected number, got boolean true"),
        ("timeout = 0", ".timeout: 0 is not 1 or more"),
        ("timeout = inf", ".timeout: inf is not 1 or more"),
        ("max-error = -1.0", ".max-error: -1.0 is not 0 or more"),
        ("max-error = nan", ".max-error: nan is not 0 or more"),
        ("max-error = 'low'", ".max-error: expected number, got string 'low'"),
        ("params = 3", ".params: expected table, got integer 3"),
        ("params = [1]", ".params: expected table, got an array"),
        (
            "params = { 'my param' = 1 }",
            ".params.\"my param\": 'my param' is not the name of a Python parameter",
        ),
        (
            "params = { when = [{ at = 1979-05-27 }] }",
            ".params.when[0].at: 1979-05-27 is a date or time, which no parameter can be -- write it as a string",
        ),
        (
            "quantize = 'int9'",
            ".quantize: 'int9' is not one of false, 'float16', 'int8' -- did you mean 'int8'?",
        ),
        ("quantize = true", ".quantize: true is not one of false, 'float16', 'int8'"),
        ("quantize = 'int8'", ".quantize: 'int8' arrives in a later version -- use false"),
        ("load = 'x.onnx'", ": set exactly one of 'train', 'load' or 'data'"),
        ("sha256 = '0'", ".sha256: '0' is not a SHA-256, 64 hexadecimal digits"),
        ("architecture = 'a:b'", ".architecture: goes with 'load', and this model has 'train' -- remove it"),
        ("layers = ['relu']", ".layers: goes with 'data', and this model has 'train' -- remove it"),
        ("epochs = 3", ".epochs: goes with 'data', and this model has 'train' -- remove it"),
        ("outputs = ['A']", ".outputs[0]: 'A' must match [a-z][a-z0-9_]{0,63}"),
        ("outputs = ['a', 'a']", ".outputs[1]: 'a' is the name of another input or output -- use another name"),
        ("outputs = ['image']", ".outputs[0]: 'image' is the name of another input or output -- use another name"),
        ("min-metric = { accuracy = 'high' }", ".min-metric.accuracy: expected number, got string 'high'"),
        ("min-metric = { accuracy = nan }", ".min-metric.accuracy: nan is not a finite number"),
        ("max-metric = 3", ".max-metric: expected table, got integer 3"),
    ],
)
def test_a_mistake_in_a_model_is_named_with_its_path(added: str, problem: str) -> None:
    assert f".models.digits{problem}" in problems(MODEL + added)


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ("inputs = { x = 'float32[2]' }", ": set exactly one of 'train', 'load' or 'data'"),
        ("load = 'a.h5'", ".load: '.h5' is unsupported -- use one of .onnx, .pt2, .safetensors, .pt, .pth"),
        ("load = 'a'", ".load: 'a' is unsupported -- use one of .onnx, .pt2, .safetensors, .pt, .pth"),
        (
            "load = 'a.pkl'",
            ".load: 'a.pkl' needs pickle, which can run code -- convert it to .safetensors or .onnx",
        ),
        (
            "load = '../a.onnx'",
            ".load: '../a.onnx' leaves the project -- write it relative to pyproject.toml, without '..'",
        ),
        (
            "load = 'a.safetensors'",
            ".load: 'a.safetensors' holds weights only -- set architecture = 'module:function', which makes the model",
        ),
        (
            "load = 'a.onnx'\narchitecture = 'a:b'",
            ".architecture: 'a.onnx' says itself what is computed -- remove it",
        ),
        (
            "load = 'a:b'\nsha256 = '" + "0" * 64 + "'",
            ".sha256: goes with a file, and 'a:b' is a function -- remove it",
        ),
        (
            "load = 'a.onnx'\nconstants = { sr = 1979-05-27 }",
            ".constants.sr: 1979-05-27 is a date or time, which no parameter can be -- write it as a string",
        ),
        (
            "load = 'a.onnx'\nparams = { a = 1 }",
            ".params: goes with 'train', and this model has 'load' -- remove it",
        ),
        (
            "load = 'a.onnx'\nmin-metric = { accuracy = 0.5 }",
            ".min-metric: goes with 'train' or 'data', and this model has 'load' -- remove it",
        ),
        (
            "data = 'a.parquet'",
            ".data: 'a.parquet' is no .csv file -- a model without Python reads a table with a header, in UTF-8",
        ),
        (
            "train = 'a:b'\ninputs = {}",
            ".inputs: declare at least one input, such as image = 'float32[batch, 1, 28, 28]'",
        ),
        ("train = 'a.b'\ninputs = { x = 'float32[2]' }", ".train: 'a.b' is not 'module:function'"),
        ("train = 'a b:c'\ninputs = { x = 'float32[2]' }", ".train: 'a b:c' is not 'module:function'"),
        ("train = '../a:c'\ninputs = { x = 'float32[2]' }", ".train: '../a:c' is not 'module:function'"),
        (
            "train = 'a:b'\ninputs = { '__proto__' = 'float32[2]' }",
            ".inputs.__proto__: '__proto__' must match [a-z][a-z0-9_]{0,63}",
        ),
        (
            "train = 'a:b'\ninputs = { x = 'float32' }",
            ".inputs.x: 'float32' is not a dtype with a shape, such as 'float32[batch, 1, 28, 28]'",
        ),
        (
            "train = 'a:b'\ninputs = { x = 'flot32[2]' }",
            f".inputs.x: 'flot32' is not one of {', '.join(map(repr, DTYPES))} -- did you mean 'float32'?",
        ),
        (
            "train = 'a:b'\ninputs = { x = 'float32[0]' }",
            ".inputs.x: size 0 in 'float32[0]' is not between 1 and 2147483647",
        ),
        (
            "train = 'a:b'\ninputs = { x = 'float32[n m]' }",
            ".inputs.x: size 'n m' in 'float32[n m]' is neither a whole number nor a name",
        ),
        (
            "train = 'a:b'\ninputs = { x = 'float32[n]' }",
            ".inputs.x: symbol 'n' has no entry in 'dims' -- add dims = { n = { min = 1, max = 32 } }",
        ),
        (
            "train = 'a:b'\ninputs = { x = 'float32[2]' }\ndims = { n = { max = 2 } }",
            ".dims.n: no input has this symbol in its shape -- remove it",
        ),
        (
            "train = 'a:b'\ninputs = { x = 'float32[n]' }\ndims = { n = { min = 1 } }",
            ".dims.n.max: required key is missing",
        ),
        (
            "train = 'a:b'\ninputs = { x = 'float32[n]' }\ndims = { n = { min = 3, max = 2 } }",
            ".dims.n.min: 3 is more than max, 2",
        ),
        (
            "train = 'a:b'\ninputs = { x = 'float32[n]' }\ndims = { n = { max = 0 } }",
            ".dims.n.max: 0 is not between 1 and 2147483647",
        ),
    ],
)
def test_a_wrong_source_or_shape_is_named_with_its_path(model: str, problem: str) -> None:
    assert f".models.m{problem}" in problems(f"[tool.neurenix.models.m]\n{model}")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", ": declare at least one model: [tool.neurenix.models.NAME]"),
        ("[tool.neurenix.models]", ".models: declare at least one model: [tool.neurenix.models.NAME]"),
        ("[tool]\nneurenix = 3", ": expected table, got integer 3"),
        ("[tool.neurenix]\nmodles = {}", ".modles: unknown key -- did you mean 'models'?"),
        ("[tool.neurenix]\ntrain-dependencies = ['']", ".train-dependencies[0]: is empty -- name a package"),
        ("[tool.neurenix.web]\nsimd = 'yes'", ".web.simd: expected boolean, got string 'yes'"),
        ("[tool.neurenix.web]\nsimd = 1", ".web.simd: expected boolean, got integer 1"),
        (
            "[tool.neurenix.web]\nwebgpu = 'yes'",
            ".web.webgpu: expected boolean, got string 'yes'",
        ),
        (
            "[tool.neurenix.web]\nwebgpu-precision = 'half'",
            ".web.webgpu-precision: 'half' is not one of 'float32', 'float16'",
        ),
        (
            "[tool.neurenix.web]\nmax-size = '5'",
            ".web.max-size: '5' is not a size -- write a number and a unit, such as '5 MB' or '512 KiB'",
        ),
        ("[tool.neurenix]\nweb = 1979-05-27", ".web: expected table, got the date or time 1979-05-27"),
    ],
)
def test_a_mistake_outside_the_models_is_named_with_its_path(text: str, problem: str) -> None:
    assert problem in problems(text)


def test_an_unknown_native_target_is_named_with_a_suggestion() -> None:
    (problem,) = problems(MODEL + "[tool.neurenix.native]\ntargets = ['host', 'x86_64-linus']")
    assert problem.startswith(".native.targets[1]: 'x86_64-linus' is not one of host, ")
    assert problem.endswith(" -- did you mean 'x86_64-linux'?")


@pytest.mark.parametrize("name", ["My", "my model", "../x", "1a", "", "a" * 65, "ä", "<b>", "a.b"])
def test_a_model_name_that_could_leave_a_path_or_a_tag_is_refused(name: str) -> None:
    table = {"train": "a:b", "inputs": {"x": "float32[2]"}}
    with pytest.raises(ConfigError, match=r"must match \[a-z\]\[a-z0-9_-\]\{0,63\}"):
        parse_config({"tool": {"neurenix": {"models": {name: table}}}})


@pytest.mark.parametrize("name", ["con", "nul", "com1", "lpt9"])
def test_a_model_named_like_a_windows_device_is_refused(name: str) -> None:
    table = {"train": "a:b", "inputs": {"x": "float32[2]"}}
    with pytest.raises(ConfigError, match="is a device name on Windows -- use another name"):
        parse_config({"tool": {"neurenix": {"models": {name: table}}}})


def test_all_problems_are_reported_at_once() -> None:
    found = problems(
        MODEL.replace("app.training:train", "nowhere")
        + "[tool.neurenix.web]\nsmid = true\n[tool.neurenix.models.aux]\ntrain = 'a:b'"
    )
    assert [
        ".models.digits.train: 'nowhere' is not 'module:function'",
        ".models.aux: 'aux' is a device name on Windows -- use another name",
        ".web.smid: unknown key -- did you mean 'simd'?",
    ] == found


def test_the_message_counts_the_problems_and_names_the_file() -> None:
    with pytest.raises(ConfigError) as caught:
        read("")
    assert str(caught.value).startswith("1 problem in pyproject.toml:\n  tool.neurenix: declare")
    assert "bad_config" == caught.value.code


def test_every_key_has_a_description_for_the_reference() -> None:
    tables, seen = [Config], 0
    while tables:
        table = tables.pop()
        hints = get_type_hints(table)
        for field in fields(table):
            seen += 1
            assert field.metadata["description"].endswith("."), f"{table.__name__}.{field.name}"
            kinds: list[Any] = [hints[field.name], *get_args(hints[field.name])]
            tables.extend(
                kind
                for kind in kinds
                if isinstance(kind, type) and is_dataclass(kind) and not issubclass(kind, Component)
            )
    assert seen >= 20


def test_a_project_is_read_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(MODEL, encoding="utf-8")
    assert ["digits"] == list(load_config(tmp_path).models)


def test_a_folder_without_pyproject_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"pyproject\.toml is not there"):
        load_config(tmp_path)


@pytest.mark.parametrize("content", [b"[tool", b"\xff\xfe"])
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pyproject.toml").write_bytes(content)
    with pytest.raises(ConfigError, match="is not valid TOML"):
        load_config(tmp_path)
