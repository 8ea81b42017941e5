"""Claims about custom ops of a project: declared in pyproject.toml, or registered by the modules that train."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from custom_ops import CLIP_C, ENERGY_C, ENERGY_WGSL, no_custom_ops
from onnx import TensorProto, helper

from neurenix import load_model
from neurenix.bundle.reader import read_bundle
from neurenix.config import load_config, parse_config
from neurenix.custom import unregister_op
from neurenix.errors import ConfigError, TrainingError, VerificationError
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


@pytest.mark.zig
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


@pytest.mark.zig
def test_a_kernel_is_proved_again_when_its_oracle_has_changed(tmp_path: Path) -> None:
    module = "changed_oracle_of_a_test"
    oracle = tmp_path / f"{module}.py"
    oracle.write_text("import numpy as np\n\ndef cut(x, *, limit=1.0):\n    return np.clip(x, -limit, limit)\n")
    (tmp_path / "cut.c").write_text(CLIP_C, encoding="utf-8")
    table = f'[tool.neurenix.ops."acme.cut"]\nc = "cut.c"\noracle = "{module}:cut"\nonnx = "my.domain::Cut"\n'
    model = '[tool.neurenix.models.cut]\nload = "cut.onnx"\n'
    (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "cutting"\nversion = "1.0"\n{model}{table}')
    kind = TensorProto.FLOAT
    ends = [helper.make_tensor_value_info(name, kind, [4]) for name in "xy"]
    versions = [helper.make_opsetid("", 18), helper.make_opsetid("my.domain", 1)]
    graph = helper.make_graph([helper.make_node("Cut", ["x"], ["y"], domain="my.domain")], "cut", ends[:1], ends[1:])
    (tmp_path / "cut.onnx").write_bytes(helper.make_model(graph, opset_imports=versions).SerializeToString())
    build_models(load_config(tmp_path), tmp_path, cache=tmp_path / "cache")
    unregister_op("acme.cut")
    oracle.write_text(oracle.read_text().replace("limit, limit)", "limit, limit) + 1"))
    del sys.modules[module]
    with pytest.raises(VerificationError, match=r"the kernel of 'acme.cut' .* differs from its oracle"):
        build_models(load_config(tmp_path), tmp_path, cache=tmp_path / "cache")


@pytest.mark.zig
def test_an_oracle_that_cannot_be_imported_is_named(tmp_path: Path) -> None:
    text = MODEL.format(module="nothing").replace('watch = ["nothing.py", "cut.c"]', "")
    text += '[tool.neurenix.ops.cut]\nc = "cut.c"\noracle = "not_there_at_all:cut"\n'
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
    (tmp_path / "cut.c").write_text(CLIP_C, encoding="utf-8")
    with pytest.raises(TrainingError, match=r"tool.neurenix.ops.cut.oracle: 'not_there_at_all:cut' cannot be imported"):
        build_models(load_config(tmp_path), tmp_path, cache=tmp_path / "cache")


@pytest.mark.gpu
@pytest.mark.zig
def test_a_shader_that_a_table_names_is_in_the_bundle(tmp_path: Path) -> None:
    oracles = "def energy(x):\n    return (x * x).sum(1)\n\ndef shape(x):\n    return x[:1]\n"
    oracles += "def sizes(x):\n    return dict(rows=x[0], columns=x[1])\n\ndef covers(x):\n    return (x[0] * 16,)\n"
    training = """
from neurenix.nn import Custom, Sequential

def train():
    return Sequential(Custom("acme.energy"))
"""
    files = {
        "energy_oracles.py": oracles, "energy_training.py": training, "energy.c": ENERGY_C, "energy.wgsl": ENERGY_WGSL,
        "pyproject.toml": MODEL.format(module="energy_training").replace("cut.c", "energy.c") + """
[tool.neurenix.ops."acme.energy"]
oracle = "energy_oracles:energy"
c = "energy.c"
wgsl = "energy.wgsl"
shape = "energy_oracles:shape"
sizes = "energy_oracles:sizes"
covers = "energy_oracles:covers"
""",
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    built = build_models(load_config(tmp_path), tmp_path, cache=tmp_path / "cache")[0]
    assert ["acme.energy"] == [d.op for d in read_bundle(built.directory / "cut.json").shaders().dispatches]
    unregister_op("acme.energy")
    answer = load_model(built.directory / "cut.json", "webgpu").forward(np.ones((2, 4), np.float32))
    assert [4.0, 4.0] == answer["output"].tolist()
