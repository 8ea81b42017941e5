"""Mistakes that users make with custom ops are refused where they are made, by a typed error that names them."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from custom_ops import CLIP_C, clip, no_custom_ops

from neurenix.config import load_config
from neurenix.custom import check_op, register_op
from neurenix.errors import ConfigError, GraphError, InputError, MissingExtraError, VerificationError
from neurenix.nn import Custom, Linear, Sequential
from neurenix.project.pipeline import build_models
from neurenix.wasm import export_to_wasm

__all__ = ["no_custom_ops"]

DECLARATIONS: dict[str, tuple[dict[str, Any], str]] = {
    "a tolerance that nothing exceeds": ({"tolerance": float("nan")}, "the tolerance of 'acme.clip' is nan"),
    "a tolerance below 0": ({"tolerance": -1}, "it is a number, 0 or more"),
    "a tolerance of letters": ({"tolerance": "small"}, "it is a number, 0 or more"),
    "dtypes as one text": ({"takes": "float32"}, "it is a list with the dtype of each input"),
    "a path that is none": ({"c": "a\0.c"}, "cannot be read"),
    "a folder": ({"c": "folder.c"}, "it is no file"),
}


@pytest.mark.parametrize("name", DECLARATIONS)
def test_a_declaration_that_cannot_be_meant_is_refused(name: str, tmp_path: Path) -> None:
    options, problem = DECLARATIONS[name]
    (tmp_path / "folder.c").mkdir()
    with pytest.raises(InputError, match=problem):
        register_op("acme.clip", clip, **{"c": CLIP_C, "root": tmp_path, **options})


@pytest.mark.parametrize("name", [None, 3, "acme.x; y", "../x.y"])
def test_a_name_of_no_letters_is_refused(name: Any) -> None:
    with pytest.raises(InputError, match="of a custom op must be letters"):
        register_op(name, clip, c=CLIP_C)


RULES: dict[str, tuple[Callable[..., Any], dict[str, Any], str]] = {
    "a size below 0": (clip, {"shape": lambda x, **attrs: (x[0], -1)}, r"must return a tuple of sizes, got \(3, -1\)"),
    "a size without a name": (clip, {"sizes": lambda x, **attrs: {"n; m": 3}}, "must return a dict of names and sizes"),
    "an oracle of nothing": (lambda x, *, limit=1.0: None, {}, "must return real numbers, got object for"),
    "an oracle of text": (lambda x, *, limit=1.0: "x", {}, "must return real numbers, got <U1 for"),
    "a complex oracle": (lambda x, *, limit=1.0: x * 1j, {}, "must return real numbers, got complex128 for"),
}


@pytest.mark.parametrize("name", RULES)
def test_a_rule_or_an_oracle_that_gives_nonsense_is_named(name: str) -> None:
    oracle, options, problem = RULES[name]
    op = register_op("acme.clip", oracle, c=CLIP_C, samples=[[(3, 5)]], **options)
    with pytest.raises(GraphError, match=rf"'acme.clip': its .*{problem}"):
        check_op(op)


@pytest.mark.parametrize("source", [".", "*.c", "clip.py", "../clip.c", "/clip.c", "clip.c/"])
def test_a_table_names_one_source_of_the_project(source: str, tmp_path: Path) -> None:
    table = f'[tool.neurenix.ops."acme.clip"]\noracle = "a:b"\nc = "{source}"\n'
    text = '[tool.neurenix.models.m]\nload = "m.onnx"\n' + table
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"acme.clip..c: '{re.escape(source)}' (leaves|is no file's name)"):
        load_config(tmp_path)


@pytest.mark.zig
def test_a_kernel_that_keeps_something_for_the_next_call_is_told_however_little_it_shows() -> None:
    kept = CLIP_C.replace("static float bent", "static float calls;\nstatic float bent")
    kept = kept.replace("y[i] = bent(x[i]);", "{ calls += 1e-9f; y[i] = bent(x[i]) + calls; }")
    with pytest.raises(VerificationError, match="it writes to a variable of its own"):
        check_op(register_op("acme.clip", clip, c=kept))


@pytest.mark.zig
def test_a_build_holds_a_kernel_to_its_oracle_at_more_than_the_smallest_size(tmp_path: Path) -> None:
    wrong = CLIP_C.replace("y[i] = bent(x[i])", "y[i] = bent(x[i]) + (i > 4 ? 0.01f : 0)")
    register_op("acme.clip", clip, c=wrong)
    with pytest.raises(VerificationError, match=r"the kernel of 'acme.clip' .* differs from its oracle"):
        export_to_wasm(Sequential(Linear(4, 4), Custom("acme.clip")), tmp_path, "clipped")


TRAINING = """
import neurenix
from neurenix.nn import Linear
from neurenix.wasm import register_custom_shader

register_custom_shader("matrix_multiply", '''
override M: u32; override N: u32; override K: u32;
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;
@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= N || id.y >= M) { return; }
    var of_the_project = 0.0;
    for (var k = 0u; k < K; k++) { of_the_project += a[id.y * K + k] * b[k * N + id.x]; }
    c[id.y * N + id.x] = of_the_project;
}
''')


def train():
    neurenix.manual_seed(0)
    return Linear(4, 3)
"""


@pytest.mark.gpu
@pytest.mark.zig
def test_a_shader_that_the_training_module_registers_is_in_the_bundle(tmp_path: Path) -> None:
    module = "shader_of_a_test"
    (tmp_path / f"{module}.py").write_text(TRAINING, encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(
        f'[project]\nname = "shading"\nversion = "1.0"\n[tool.neurenix.models.m]\ntrain = "{module}:train"\n'
        'inputs = { x = "float32[2, 4]" }\n',
        encoding="utf-8",
    )
    built = build_models(load_config(tmp_path), tmp_path, cache=tmp_path / "cache")[0]
    assert "of_the_project" in (built.directory / "m.wgsl").read_text(encoding="utf-8")
    assert module not in sys.modules
    again = build_models(load_config(tmp_path), tmp_path, cache=tmp_path / "cache")[0]
    assert (False, False) == (again.trained_now, again.compiled_now)


def test_an_oracle_of_whole_numbers_and_of_bools_is_no_nonsense() -> None:
    op = register_op("acme.positive", lambda x: x > 0, c=CLIP_C, dtype="bool")
    assert [False, True] == np.asarray(op([-1.0, 2.0]).numpy()).tolist()


@pytest.mark.zig
def test_a_model_without_python_has_a_custom_op_as_a_layer(tmp_path: Path) -> None:
    module = "layer_of_a_test"
    (tmp_path / f"{module}.py").write_text(
        "import numpy as np\n\n\ndef clip(x, *, limit=1.0):\n    return np.clip(x, -limit, limit)\n\n\n"
        "def gradient(g, y, inputs, attrs):\n    return [g * (inputs[0].abs() < attrs['limit'])]\n",
        encoding="utf-8",
    )
    (tmp_path / "clip.c").write_text(CLIP_C, encoding="utf-8")
    rows = "".join(f"{i / 40},{1 - i / 20}\n" for i in range(40))
    (tmp_path / "line.csv").write_text(f"x,y\n{rows}", encoding="utf-8")
    text = f"""
[project]
name = "layered"
version = "1.0"
[tool.neurenix.models.m]
data = "line.csv"
target = "y"
layers = [{{ linear = 4 }}, {{ custom = {{ op = "acme.clip", limit = 0.5 }} }}, {{ linear = 1 }}]
epochs = 1
[tool.neurenix.ops."acme.clip"]
c = "clip.c"
oracle = "{module}:clip"
gradient = "{module}:gradient"
"""
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
    built = build_models(load_config(tmp_path), tmp_path, cache=tmp_path / "cache")[0]
    layers = json.loads((built.directory / "m.json").read_text(encoding="utf-8"))["layers"]
    assert [{"op": "acme.clip", "limit": 0.5}] == [layer["config"] for layer in layers if layer["type"] == "Custom"]
    (tmp_path / "pyproject.toml").write_text(text.replace("limit = 0.5", "limit = 'high'"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"layers\[1\].custom.limit: expected number, boolean or array, got 'high'"):
        load_config(tmp_path)


def test_a_kernel_is_not_run_where_nothing_watches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "wasmtime" else find(name))
    op = register_op("acme.clip", clip, c=CLIP_C)
    with pytest.raises(MissingExtraError, match=r"the kernel of 'acme.clip' needs the package 'wasmtime': pip install"):
        check_op(op)
