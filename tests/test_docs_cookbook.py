"""Claims of docs/cookbook.md: every recipe works as it stands there, from its files and commands."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scratch_project import REPOSITORY, make_shared
from test_runtime_js import node

from neurenix import load_model
from neurenix.config import load_config
from neurenix.project.pipeline import BuiltModel, build_models
from neurenix.state import save

Array = np.ndarray[Any, Any]

PAGE = (REPOSITORY / "docs" / "cookbook.md").read_text(encoding="utf-8")
# What follows each heading, and in it the blocks of code with the line before, which may name their file.
RECIPES = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))
BLOCK = re.compile(r"([^\n]*)\n\n```(\w+)\n(.*?)```", re.DOTALL)
HEAD = BLOCK.findall(PAGE.split("\n## ")[0])[0][2]
PROJECT = '[project]\nname = "app"\nversion = "1.0"\nrequires-python = ">=3.10"\n\n'

WEIGHT = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 2]], np.float32)


def scorer(x: Array) -> Array:
    """What models/scorer.onnx computes."""
    return np.maximum(x @ WEIGHT, 0)


def write_recipe(folder: Path, heading: str) -> None:
    """Write the files of a recipe, and the model files that it starts from, into a folder."""
    from onnx_models import model, node

    found = {"pyproject.toml": HEAD + PROJECT}
    for before, _, text in BLOCK.findall(RECIPES[heading]):
        name = re.match(r"(?:Add to )?`([\w./-]+\.\w+)`:", before)
        if name:
            found[name[1]] = found.get(name[1], "") + text + "\n"
    for path, text in {"src/app/__init__.py": "", **found}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    nodes = [node("MatMul", "x w", "h"), node("Relu", "h", "y")]
    protos = {
        "scorer": model(nodes, {"x": ["batch", 3]}, ["y"], {"w": WEIGHT}),
        "reshaping": model(
            [node("Reshape", "x shape", "y")], {"x": [24], "shape": [2]}, ["y"], dtypes={"shape": np.int64}
        ),
    }
    (folder / "models").mkdir(exist_ok=True)
    for name, proto in protos.items():
        (folder / "models" / f"{name}.onnx").write_bytes(proto.SerializeToString())


def built(folder: Path, heading: str) -> dict[str, BuiltModel]:
    write_recipe(folder, heading)
    models = build_models(load_config(folder), folder, cache=folder / "cache")
    return {model.name: model for model in models}


def answer(model: BuiltModel, **inputs: Array) -> dict[str, Array]:
    return load_model(model.directory / f"{model.name}.json", "wasm").forward(inputs)


def python(*arguments: str, folder: Path, path: str = "", **variables: str) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [path, str(REPOSITORY)])), **variables}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.zig
@pytest.mark.wasm
def test_an_onnx_file_in_a_wheel_built_without_a_network(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    write_recipe(project, "An ONNX file in a wheel")
    plugin = str(make_shared(tmp_path / "shared") / "site")
    cache = str(tmp_path / "cache")
    ((_, _, commands),) = BLOCK.findall(RECIPES["A build without a network"])
    install, offline = (shlex.split(line.removeprefix("$ ")) for line in commands.splitlines())
    # What it installs is in the environment of the tests, with this checkout in place of the package.
    assert (["pip", "install", "hatchling"], "python") == (install[:3], offline[0])
    python(*offline[1:], folder=project, path=plugin, NEURENIX_CACHE_DIR=cache)
    (wheel,) = (project / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    said = python(str(project / "ask.py"), folder=tmp_path, path=str(tmp_path / "installed"), NEURENIX_CACHE_DIR=cache)
    assert f"{scorer(np.array([[1, -2, 3]], np.float32)).tolist()}\n" == said


@pytest.mark.zig
@pytest.mark.wasm
def test_weights_find_their_places_by_name(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shapes = {"hidden.weight": (16, 8), "hidden.bias": 16, "scores.weight": (3, 16), "scores.bias": 3}
    weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    (tmp_path / "weights").mkdir()
    save(weights, tmp_path / "weights" / "tagger.safetensors")
    tagger = built(tmp_path, "PyTorch weights, by name")["tagger"]
    words = rng.normal(size=(5, 8)).astype(np.float32)
    hidden = np.maximum(words @ weights["hidden.weight"].T + weights["hidden.bias"], 0)
    scores = np.exp(hidden @ weights["scores.weight"].T + weights["scores.bias"])
    np.testing.assert_allclose(answer(tagger, words=words)["tags"], scores / scores.sum(1, keepdims=True), rtol=1e-5)


@pytest.mark.zig
@pytest.mark.wasm
def test_an_open_size_and_a_shape_that_is_an_input_are_fixed(tmp_path: Path) -> None:
    models = built(tmp_path, "Fix a dynamic input")
    x = np.array([[1, -2, 3]], np.float32)
    assert scorer(x).tolist() == answer(models["fixed"], x=x)["y"].tolist()
    loaded = load_model(models["fixed"].directory / "fixed.json", "wasm")
    with pytest.raises(Exception, match=r"must have shape \[1, 3\]"):
        loaded.forward({"x": np.zeros((2, 3), np.float32)})
    y = answer(models["reshaping"], x=np.arange(24, dtype=np.float32))["y"]
    assert np.arange(24).reshape(4, 6).tolist() == y.tolist()


@pytest.mark.zig
@pytest.mark.wasm
def test_labels_name_the_answers(tmp_path: Path) -> None:
    model = built(tmp_path, "Labels")["scorer"]
    said = python("best.py", str(model.directory / "scorer.json"), folder=tmp_path)
    order = scorer(np.array([[1, -2, 3]], np.float32))[0].argsort()[::-1]
    assert [("cat", "dog", "horse")[i] for i in order[:2]] == said.split()


@pytest.mark.zig
@pytest.mark.wasm
def test_one_function_makes_several_models(tmp_path: Path) -> None:
    models = built(tmp_path, "Several models")
    assert ["small", "large"] == list(models)
    weights = {
        name: next(f["raw"] for f in model.report["files"] if f["name"] == f"{name}.bin")
        for name, model in models.items()
    }
    assert weights["large"] > 10 * weights["small"]
    said = python("-m", "neurenix", "build", "small", folder=tmp_path, NEURENIX_CACHE_DIR=str(tmp_path / "cache"))
    assert "small" in said
    assert ["small"] == [path.name for path in (tmp_path / "dist" / "models").iterdir()]


@pytest.mark.zig
@pytest.mark.wasm
@pytest.mark.node
def test_the_bundle_from_javascript(tmp_path: Path) -> None:
    model = built(tmp_path, "An ONNX file in a wheel")["scorer"]
    write_recipe(tmp_path, "The bundle from JavaScript")
    (tmp_path / "models" / "scorer").symlink_to(model.directory)
    done = subprocess.run(
        [node(), "--preserve-symlinks", "main.mjs"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert 0 == done.returncode, done.stdout + done.stderr
    y = scorer(np.array([[1, -2, 3], [0, 0, 0]], np.float32)).tolist()
    # Before them goes a notice that this version runs on one thread.
    shape, data, nested, code, passed = done.stdout.splitlines()[-5:]
    assert ("[ 2, 3 ]", "Float32Array(6) [ 4, 1, 6, 0, 0, 0 ]") == (shape, data)
    assert {"y": y} == json.loads(nested)
    assert ("bad_input", "true") == (code, passed)


@pytest.mark.zig
@pytest.mark.wasm
def test_ci_trains_once(tmp_path: Path) -> None:
    write_recipe(tmp_path, "Several models")
    shared = tmp_path / "shared"
    shared.mkdir()
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "neurenix"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m neurenix "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    scripts = dict(re.findall(r"`(\w+\.sh)`:\n\n```sh\n(.*?)```", RECIPES["CI that trains once"], re.DOTALL))
    assert ["train.sh", "pack.sh"] == list(scripts)
    said = {}
    for name, script in scripts.items():
        environment = {
            **os.environ, "SHARED": str(shared), "NEURENIX_CACHE_DIR": str(tmp_path / f"cache of {name}"),
            "PATH": os.pathsep.join([str(tmp_path / "bin"), os.environ["PATH"]]), "PYTHONPATH": str(REPOSITORY),
        }  # fmt: skip
        done = subprocess.run(
            ["sh", "-e", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300,
            check=False,
        )  # fmt: skip
        assert 0 == done.returncode, done.stdout + done.stderr
        said[name] = done.stdout + done.stderr
    assert "training with app.sizes:make" in said["train.sh"]
    assert "compiling" in said["train.sh"]
    assert "training with" not in said["pack.sh"]
    assert "compiling" not in said["pack.sh"]


def test_every_recipe_has_its_test() -> None:
    expected = {
        "An ONNX file in a wheel", "PyTorch weights, by name", "Fix a dynamic input", "Labels", "Several models",
        "The bundle from JavaScript", "CI that trains once", "A build without a network",
    }  # fmt: skip
    assert expected == RECIPES.keys()
