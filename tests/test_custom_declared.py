"""Claims about custom ops of a project: declared in pyproject.toml, or registered by the modules that train."""

from __future__ import annotations

from pathlib import Path

import pytest
from custom_ops import CLIP_C, no_custom_ops

from neurenix import load_model
from neurenix.config import load_config, parse_config
from neurenix.custom import unregister_op
from neurenix.errors import ConfigError, TrainingError
from neurenix.project.pipeline import build_models

__all__ = ["no_custom_ops"]

TRAINING = """
import numpy as np
from neurenix.custom import register_op
from neurenix.nn import Custom, Sequential

@register_op("acme.cut", c="cut.c")
def cut(x, *, limit=1.0):
    return np.clip(x, -limit, limit)

def train():
    return Sequential(Custom(cut, limit=0.5))
"""
MODEL = """
[project]
name = "cutting"
version = "1.0"
[tool.neurenix.models.cut]
train = "{module}:train"
inputs = {{ x = "float32[2, 4]" }}
watch = ["{module}.py", "cut.c"]
"""


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"oracle": "a:b"}, "tool.neurenix.ops.cut: set exactly one of 'c' or 'zig'"),
        ({"oracle": "a:b", "c": "a.c", "zig": "a.zig"}, "tool.neurenix.ops.cut: set exactly one of 'c' or 'zig'"),
        ({"c": "a.c"}, "tool.neurenix.ops.cut.oracle: required key is missing"),
        ({"oracle": "a", "c": "a.c"}, "tool.neurenix.ops.cut.oracle: 'a' is not 'module:function'"),
        ({"oracle": "a:b", "c": "../a.c"}, "tool.neurenix.ops.cut.c: '../a.c' leaves the project"),
        ({"oracle": "a:b", "c": "a.c", "shape": "big"}, "shape: 'big' is neither 'same' nor 'module:function'"),
        ({"oracle": "a:b", "c": "a.c", "takes": ["float"]}, "takes[0]: 'float' is not one of"),
    ],
)
def test_a_mistake_in_the_table_is_named_with_its_path(table: dict[str, object], problem: str) -> None:
    models = {"m": {"load": "m.onnx"}}
    with pytest.raises(ConfigError) as raised:
        parse_config({"tool": {"neurenix": {"models": models, "ops": {"cut": table}}}})
    assert problem in str(raised.value)


def test_every_model_watches_the_sources_of_the_ops() -> None:
    table = {"oracle": "a:b", "zig": "a.zig", "wgsl": "a.wgsl"}
    config = parse_config({"tool": {"neurenix": {"models": {"m": {"load": "m.onnx"}}, "ops": {"cut": table}}}})
    assert ("a.zig", "a.wgsl") == config.models["m"].watch


def test_an_op_that_the_training_module_registers_is_found_where_the_model_is_compiled(tmp_path: Path) -> None:
    module = "cutting_of_a_test"
    (tmp_path / f"{module}.py").write_text(TRAINING, encoding="utf-8")
    (tmp_path / "cut.c").write_text(CLIP_C, encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(MODEL.format(module=module), encoding="utf-8")
    config, cache = load_config(tmp_path), tmp_path / "cache"
    built = build_models(config, tmp_path, cache=cache)[0]
    assert built.compiled_now
    unregister_op("acme.cut")
    answer = load_model(built.directory / "cut.json", "wasm").forward([[-2.0, 0.0, 0.25, 2.0], [0.0] * 4])
    assert [[-0.5, 0.0, 0.25, 0.5], [0.0] * 4] == answer["output"].tolist()
    again = build_models(config, tmp_path, cache=cache)[0]
    assert (False, False) == (again.trained_now, again.compiled_now)


def test_an_oracle_that_cannot_be_imported_is_named(tmp_path: Path) -> None:
    text = MODEL.format(module="nothing").replace('watch = ["nothing.py", "cut.c"]', "")
    text += '[tool.neurenix.ops.cut]\nc = "cut.c"\noracle = "not_there_at_all:cut"\n'
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
    (tmp_path / "cut.c").write_text(CLIP_C, encoding="utf-8")
    with pytest.raises(TrainingError, match=r"tool.neurenix.ops.cut.oracle: 'not_there_at_all:cut' cannot be imported"):
        build_models(load_config(tmp_path), tmp_path, cache=tmp_path / "cache")
