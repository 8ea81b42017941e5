"""Claims about a project without Python code: a real build by hatchling, and the model that its wheel carries."""

from __future__ import annotations

import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scratch_project import Project, make_project, names_in, read_in, refuses

from neurenix import load_model
from neurenix.bundle.reader import read_bundle

pytest_plugins = ["scratch_fixtures"]
pytestmark = [pytest.mark.slow, pytest.mark.zig, pytest.mark.wasm]

DATA = Path(__file__).parent / "data" / "iris.csv"
IRIS = """
[build-system]
requires = ["hatchling", "hatch-neurenix"]
build-backend = "hatchling.build"

[project]
name = "scratch-app"
version = "1.0"
requires-python = ">=3.10"

[tool.hatch.build.hooks.neurenix]

[tool.neurenix.models.iris]
data = "data/iris.csv"
target = "species"
layers = [{ linear = 16 }, "relu", { linear = 3 }]
epochs = 60
min-metric = { accuracy = 0.9 }
outputs = ["probabilities"]

[tool.neurenix.models.petal]
data = "data/iris.csv"
target = "petal_width"
layers = [{ linear = 8 }, "tanh", { linear = 1 }]
max-metric = { mae = 0.25 }

[tool.neurenix.profiles.strict.models.iris]
min-metric = { accuracy = 1.1 }
"""


@pytest.fixture
def iris(tmp_path: Path, shared: Path) -> Project:
    project = make_project(tmp_path / "project", shared, shared / "cache")
    project.write("pyproject.toml", IRIS)
    (project.root / "src" / "scratch_app" / "training.py").unlink()
    shutil.copyfile(DATA, project.root / "data" / "iris.csv")
    return project


def test_a_project_without_python_gets_models_that_take_raw_values(iris: Project, tmp_path: Path) -> None:
    said = iris.build("-t", "wheel")
    assert "iris: training on data/iris.csv" in said
    assert "epoch 60/60  loss " in said
    with zipfile.ZipFile(iris.wheel) as archive:
        archive.extractall(tmp_path / "installed")
    bundles = tmp_path / "installed" / "scratch_app" / "_neurenix"
    manifest = json.loads((bundles / "iris" / "iris.json").read_text(encoding="utf-8"))
    assert ["setosa", "versicolor", "virginica"] == manifest["labels"]
    first = manifest["layers"][0]["config"]
    assert ["sepal_length", "sepal_width", "petal_length", "petal_width"] == first["features"]

    lines = [line.split(",") for line in DATA.read_text(encoding="utf-8").splitlines()[1:]]
    rows = np.array([line[:4] for line in lines], np.float32)
    species = [line[4] for line in lines]
    model = load_model(bundles / "iris" / "iris.json", device="wasm")
    found = [manifest["labels"][i] for start in range(0, 150, 50)
             for i in model.forward({"input": rows[start : start + 50]})["probabilities"].argmax(axis=1)]  # fmt: skip
    assert sum(a == b for a, b in zip(found, species)) >= 0.95 * 150

    # Proved on flowers that might be, in centimetres, of which none is in the file.
    assert model.self_test() < 1e-5
    for case in read_bundle(bundles / "iris").golden:
        drawn = case.inputs["input"].values((case.dims["batch"], 4), np.dtype(np.float32))
        assert (rows.min(axis=0) <= drawn).all() and (drawn <= rows.max(axis=0)).all()
        assert not (rows[:, None] == drawn[None]).all(axis=2).any()

    petal = load_model(bundles / "petal" / "petal.json", device="wasm")
    codes = np.array([manifest["labels"].index(name) for name in species], np.float32)
    answers = petal.forward({"input": np.c_[rows[:50, :3], codes[:50]]})["output"][:, 0]
    assert np.abs(answers - rows[:50, 3]).mean() < 0.2


def test_the_second_build_is_from_the_cache_and_changed_data_trains_again(iris: Project) -> None:
    iris.build("-t", "wheel")
    said = iris.build("-t", "wheel")
    assert "training" not in said
    assert "compiling" not in said
    text = (iris.root / "data" / "iris.csv").read_text(encoding="utf-8")
    iris.write("data/iris.csv", text + "5.0,3.4,1.5,0.2,setosa\n")
    assert "iris: training on data/iris.csv" in iris.build("-t", "wheel")


def test_the_sdist_carries_the_data_though_git_ignores_it(iris: Project) -> None:
    iris.build("-t", "sdist")
    (sdist,) = (iris.root / "dist").glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        assert "scratch_app-1.0/data/iris.csv" in archive.getnames()


def test_the_build_fails_below_min_metric_and_a_profile_may_ask_for_more(iris: Project) -> None:
    iris.build("-t", "wheel")
    before = iris.wheel.read_bytes()
    said = iris.build("-t", "wheel", status=1, NEURENIX_PROFILE="strict")
    assert "tool.neurenix.models.iris.min-metric.accuracy: accuracy is " in said
    assert ", below 1.1 -- train longer, improve the data or the layers, or change 'min-metric'" in said
    assert "Traceback" not in said
    assert "iris: training" not in said
    assert before == iris.wheel.read_bytes()


def test_a_layer_that_does_not_fit_is_one_message_with_its_path(iris: Project) -> None:
    iris.configure(
        '[{ linear = 16 }, "relu", { linear = 3 }]', "[{ linear = 16 }, { batch_norm2d = {} }, { linear = 3 }]"
    )
    said = refuses(iris, "-t", "wheel")
    assert "tool.neurenix.models.iris.layers[1].batch_norm2d: " in said
    assert "; log: " in said


def test_a_wheel_without_code_has_only_the_bundle(iris: Project) -> None:
    iris.build("-t", "wheel")
    names = names_in(iris.wheel)
    assert not [n for n in names if n.endswith((".csv", ".py")) and "_neurenix" in n]
    assert "petal" == json.loads(read_in(iris.wheel, "scratch_app/_neurenix/petal/petal.json"))["name"]
