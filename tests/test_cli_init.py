"""Claims about `neurenix init`: what it writes works, and nothing that was there is lost."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from cli_calls import call, call_json
from hypothesis import given
from hypothesis import strategies as st
from onnx_models import model, node

from neurenix.cli.init import InitReport
from neurenix.cli.new_model import stub_of
from neurenix.cli.pyproject_edit import toml, with_hook
from neurenix.config import load_config
from neurenix.project.pipeline import build_models

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HATCHLING = """\
# my project
[build-system]
requires = [ # what it needs
  "hatchling",
]
build-backend = "hatchling.build"

[project]
name = "My.App"
version = "1"  # not 2

[tool.other]
x = [1, 2]
"""

CSV = "id,width,height,species\n" + "".join(
    f"row{i},{i % 7},{i % 5},{'cat' if i % 7 > 3 else 'dog'}\n" for i in range(60)
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text(HATCHLING, encoding="utf-8")
    package = tmp_path / "src" / "my_app"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("", encoding="utf-8")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "animals.csv").write_text(CSV, encoding="utf-8")
    return tmp_path


def document(project: Path) -> dict[str, Any]:
    return tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))


def test_everything_that_was_there_stays_as_it_is(project: Path) -> None:
    call("init", project, "--train", "my_app.training:train", "--yes")
    text = (project / "pyproject.toml").read_text(encoding="utf-8")
    expected = HATCHLING.replace("requires = [ #", 'requires = ["hatch-neurenix",  #')
    assert expected == text[: len(expected)]
    assert "my_app" in document(project)["tool"]["neurenix"]["models"]


def test_where_hatchling_builds_the_hook_is_switched_on(project: Path) -> None:
    data = call_json(InitReport, "init", project, "--train", "my_app.training:train")
    assert ["hatch-neurenix", "hatchling"] == document(project)["build-system"]["requires"]
    assert {"neurenix": {}} == document(project)["tool"]["hatch"]["build"]["hooks"]
    assert ["neurenix build", "hatch build"] == data["next"]


def test_another_backend_is_left_alone_and_the_lines_are_suggested(project: Path) -> None:
    text = HATCHLING.replace("hatchling.build", "setuptools.build_meta").replace('"hatchling"', '"setuptools"')
    (project / "pyproject.toml").write_text(text, encoding="utf-8")
    data = call_json(InitReport, "init", project, "--train", "my_app.training:train")
    assert {"requires": ["setuptools"], "build-backend": "setuptools.build_meta"} == document(project)["build-system"]
    assert 'build-backend = "hatchling.build"' in data["next"][-1]


@pytest.mark.parametrize(
    "requires",
    ['requires = ["hatchling"]', "requires = ['hatchling>=1.28']", 'requires = ["hatchling", "hatch-neurenix>=0.1"]',
     "requires = []", 'requires = [\n  "hatchling"\n]', 'requires = ["hatch_neurenix"]'],
)  # fmt: skip
def test_the_plugin_is_required_once(requires: str) -> None:
    before = f'[build-system]\n{requires}\nbuild-backend = "hatchling.build"\n'
    text = with_hook(before)
    assert text is not None
    old, new = (tomllib.loads(t)["build-system"]["requires"] for t in (before, text))
    assert 1 == sum(r.replace("_", "-").startswith("hatch-neurenix") for r in new)
    assert old == new[-len(old) :] or not old
    assert text == with_hook(text)


@pytest.mark.parametrize(
    "text",
    ['build-system = { requires = ["hatchling"], build-backend = "hatchling.build" }\n',
     '[build-system]\nrequires = ["hatchling"]\n[tool]\nhatch = { build = { hooks = { vcs = {} } } }\n',
     '"build-system".requires = ["hatchling"]\n'],
)  # fmt: skip
def test_what_cannot_be_edited_safely_is_left_to_a_person(text: str) -> None:
    assert with_hook(text) is None


def test_a_configuration_that_is_there_is_refused_and_stays(project: Path) -> None:
    path = project / "pyproject.toml"
    path.write_text(f"{HATCHLING}[tool.neurenix.models.mine]\ntrain = 'a:b'\n", encoding="utf-8")
    before = path.read_bytes()
    result = call("init", project, "--train", "my_app.training:train", "--yes", status=1)
    assert "tool.neurenix: is there already" in result.stderr
    assert before == path.read_bytes()


def test_the_lines_end_as_they_did(project: Path) -> None:
    path = project / "pyproject.toml"
    path.write_bytes(HATCHLING.rstrip().replace("\n", "\r\n").encode())
    call("init", project, "--train", "my_app.training:train", "--yes")
    content = path.read_bytes()
    assert content.count(b"\n") == content.count(b"\r\n") > 10


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_permissions_and_links_stay(project: Path, tmp_path: Path) -> None:
    real = tmp_path / "real.toml"
    path = project / "pyproject.toml"
    path.rename(real)
    real.chmod(0o640)
    path.symlink_to(real)
    call("init", project, "--train", "my_app.training:train", "--yes")
    assert path.is_symlink()
    assert 0o640 == stat.S_IMODE(real.stat().st_mode)
    assert "neurenix" in real.read_text(encoding="utf-8")


def test_a_dry_run_writes_nothing(project: Path) -> None:
    before = sorted(p for p in project.rglob("*"))
    text = call("init", project, "--train", "my_app.training:train", "--stub", "--yes", "--dry-run").stdout
    assert "would add to" in text and "would make" in text
    assert before == sorted(p for p in project.rglob("*"))
    assert HATCHLING == (project / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_declared_model_of_a_table_builds_as_it_is_written(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = call_json(InitReport, "init", project, "--data", "data/animals.csv")
    table = document(project)["tool"]["neurenix"]["models"]["animals"]
    expected = {"data": "data/animals.csv", "target": "species", "columns": {"id": "ignore"},
                "layers": [{"linear": 16}, "relu", {"linear": 2}]}  # fmt: skip
    assert expected == table
    assert "id" in data["notes"][0]
    cache = tmp_path_factory.mktemp("cache")
    (built,) = build_models(load_config(project), project, cache=cache)
    assert built.metrics["accuracy"] > 0.9


def test_a_number_to_predict_gives_one_output(project: Path) -> None:
    call("init", project, "--data", "data/animals.csv", "--target", "height", "--name", "tall", "--yes")
    assert [{"linear": 16}, "relu", {"linear": 1}] == document(project)["tool"]["neurenix"]["models"]["tall"]["layers"]


def test_an_onnx_file_brings_its_dims(project: Path) -> None:
    onnx.save(
        model([node("MatMul", "x w", "y")], {"x": ["n", 4]}, ["y"], {"w": np.ones((4, 2), np.float32)}),
        project / "data" / "My Net.onnx",
    )
    call("init", project, "--load", "data/My Net.onnx", "--yes")
    tables = document(project)["tool"]["neurenix"]["models"]
    assert {"my_net": {"load": "data/My Net.onnx", "dims": {"n": {"min": 1, "max": 64}}}} == tables


def test_an_onnx_file_that_cannot_be_compiled_is_noted(project: Path) -> None:
    (project / "x.onnx").write_bytes(b"\x08\xff")
    data = call_json(InitReport, "init", project, "--load", "x.onnx")
    assert "cannot be compiled as it is" in data["notes"][0]


def test_weights_need_their_architecture(project: Path) -> None:
    (project / "w.safetensors").write_bytes(b"")
    message = call("init", project, "--load", "w.safetensors", "--yes", status=1).stderr
    assert "set architecture = 'module:function'" in message
    call("init", project, "--load", "w.safetensors", "--architecture", "my_app:make", "--yes")


@pytest.mark.slow
def test_the_training_function_to_begin_with_trains_a_model_that_ships(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = call_json(InitReport, "init", project, "--train", "my_app.training:fit", "--stub")
    assert [str(project / "src" / "my_app" / "training.py")] == data["created"]
    (built,) = build_models(load_config(project), project, cache=tmp_path_factory.mktemp("cache"))
    assert built.metrics["accuracy"] > 0.9
    assert built.compiled_now


def test_a_module_that_is_there_is_never_written_over(project: Path) -> None:
    module = project / "src" / "my_app" / "training.py"
    module.write_text("mine", encoding="utf-8")
    message = call("init", project, "--train", "my_app.training:fit", "--stub", "--yes", status=1).stderr
    assert "or its module is there already" in message
    assert "mine" == module.read_text(encoding="utf-8")
    assert HATCHLING == (project / "pyproject.toml").read_text(encoding="utf-8")


def test_a_package_that_is_not_there_gets_no_module(project: Path) -> None:
    data = call_json(InitReport, "init", project, "--train", "elsewhere.deep:fit")
    assert [] == data["created"]


def test_the_questions_are_few_and_have_answers(project: Path) -> None:
    result = call("init", project, input="\n\n\n\n")
    assert 4 == result.stdout.count("]: ")
    assert "my_app.training:train" == document(project)["tool"]["neurenix"]["models"]["my_app"]["train"]
    assert stub_of("x:train") == (project / "src" / "my_app" / "training.py").read_text(encoding="utf-8")


def test_the_questions_about_a_table(project: Path) -> None:
    result = call("init", project, input="data\n\npets\nwidth\n")
    assert "The column to predict (id, width, height, species) [species]" in result.stdout
    assert "width" == document(project)["tool"]["neurenix"]["models"]["pets"]["target"]


def test_leaving_at_a_question_writes_nothing(project: Path) -> None:
    call("init", project, input="", status=1)
    assert HATCHLING == (project / "pyproject.toml").read_text(encoding="utf-8")


WRONG = [
    (["--yes"], 2, "say what makes the model"),
    (["--train", "a:b", "--load", "x.onnx"], 2, "--train and --load are 2"),
    (["--train", "a:b", "--target", "x"], 2, "--target goes with --data"),
    (["--train", "a.b", "--yes"], 1, "train: 'a.b' is not 'module:function'"),
    (["--train", "a:b", "--name", "Bad Name", "--yes"], 1, "Bad Name"),
    (["--load", "no.onnx", "--yes"], 1, "load: 'no.onnx' is no file"),
    (["--load", "/etc/passwd", "--yes"], 1, "leaves the project"),
    (["--load", "data/animals.csv", "--yes"], 1, "load: "),
    (["--data", "data/animals.csv", "--target", "no", "--yes"], 1, "has no column 'no'"),
]


@pytest.mark.parametrize(("arguments", "status", "text"), WRONG)
def test_a_wrong_call_says_why_and_writes_nothing(project: Path, arguments: list[str], status: int, text: str) -> None:
    assert text in call("init", project, *arguments, status=status).stderr
    assert HATCHLING == (project / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("content", "text"),
    [(None, "is not there"), (b"a = [", "is not valid TOML"), (b"\xff", "is not valid TOML"),
     (b"tool = { x = 1 }\n", "add it by hand")],
)  # fmt: skip
def test_a_file_that_cannot_be_extended_says_why(tmp_path: Path, content: bytes | None, text: str) -> None:
    if content is not None:
        (tmp_path / "pyproject.toml").write_bytes(content)
    assert text in call("init", tmp_path, "--train", "a:b", "--yes", status=1).stderr


TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES = st.recursive(
    st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_a_value_is_read_as_it_was_written(value: Any) -> None:
    assert {"x": value} == tomllib.loads(f"x = {toml(value)}\n")
