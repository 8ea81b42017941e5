"""Claims about builds that cannot go on: one message, no traceback, nothing lost."""

from __future__ import annotations

import ast

import pytest
from scratch_project import PYPROJECT, Project, names_in, refuses

pytest_plugins = ["scratch_fixtures"]
pytestmark = [pytest.mark.slow, pytest.mark.zig, pytest.mark.wasm]


def test_all_configuration_problems_are_told_at_once_and_dist_stays(project: Project) -> None:
    project.build("-t", "wheel")
    before = project.wheel.read_bytes()
    project.configure("labels =", "lables =")
    project.configure("max = 8", "max = 'many'")
    said = refuses(project, "-t", "wheel")
    assert "2 problems in pyproject.toml:\n" in said
    assert "tool.neurenix.models.tiny.lables: unknown key -- did you mean 'labels'?" in said
    assert "tool.neurenix.models.tiny.dims.batch.max: expected integer, got string 'many'" in said
    assert before == project.wheel.read_bytes()


def test_a_training_that_raises_is_one_message_and_a_traceback_only_when_verbose(project: Project) -> None:
    project.write("src/scratch_app/training.py", "def train():\n    raise ValueError('no data')\n")
    said = refuses(project, "-t", "wheel")
    assert "tool.neurenix.models.tiny.train: train failed: ValueError: no data" in said
    assert "(src/scratch_app/training.py, line 2); log: " in said
    verbose = project.build("-t", "wheel", status=1, HATCH_VERBOSE="1")
    assert "Traceback" in verbose
    assert "in train" in verbose


def test_an_absent_zig_is_one_message(fresh: Project) -> None:
    said = fresh.build("-t", "wheel", status=1, NEURENIX_ZIG=str(fresh.root / "no-zig"))
    assert "no-zig, which is not there" in said
    assert "Traceback" not in said
    assert [] == fresh.dist


def test_a_build_asks_for_its_tools_only_while_there_is_work(fresh: Project) -> None:
    model = "[tool.neurenix.models.tiny]"
    fresh.configure(model, f'[tool.neurenix]\ntrain-dependencies = ["pyyaml"]\n{model}')

    def asked(target: str) -> list[str]:
        said = fresh.run("hatchling", "build", "-t", target, "--show-dynamic-deps").stdout
        found = ast.literal_eval(said)
        assert isinstance(found, list)
        return found

    assert ["ziglang>=0.17,<0.18", "wasmtime>=30", "pyyaml"] == asked("wheel")
    assert ["ziglang>=0.17,<0.18", "wasmtime>=30", "pyyaml"] == asked("static-site")
    assert ["ziglang>=0.17,<0.18", "wasmtime>=30", "pyyaml"] == asked("sdist")
    fresh.build("-t", "wheel")
    assert [] == asked("sdist")
    assert [] == asked("wheel")
    assert [] == asked("static-site")
    fresh.configure("labels =", "max-error = 0.01\nlabels =")
    assert ["ziglang>=0.17,<0.18", "wasmtime>=30"] == asked("wheel")
    fresh.configure("labels =", "lables =")
    assert [] == asked("wheel")


def test_the_package_must_be_clear(project: Project) -> None:
    project.write("src/other/__init__.py", "")
    project.write("src/third/__init__.py", "")
    packages = '[tool.hatch.build.targets.wheel]\npackages = ["src/other", "src/third"]\n'
    project.write("pyproject.toml", PYPROJECT + packages)
    said = refuses(project, "-t", "wheel")
    assert "hooks.neurenix.package: the wheel has src/other, src/third -- set package = '...'" in said
    project.configure("[tool.hatch.build.hooks.neurenix]", "[tool.hatch.build.hooks.neurenix]\npackage = 'third'")
    project.build("-t", "wheel")
    assert "third/_neurenix/tiny/tiny.json" in names_in(project.wheel)


def test_the_package_called_like_the_project_carries_the_models(project: Project) -> None:
    project.write("src/other/__init__.py", "")
    packages = '[tool.hatch.build.targets.wheel]\npackages = ["src/other", "src/scratch_app"]\n'
    project.write("pyproject.toml", PYPROJECT + packages)
    project.build("-t", "wheel")
    assert "scratch_app/_neurenix/tiny/tiny.json" in names_in(project.wheel)


@pytest.mark.parametrize("package", ["../outside", "nowhere", "."])
def test_a_package_outside_the_project_is_refused(project: Project, package: str) -> None:
    (project.root.parent / "outside").mkdir()
    hook = f"[tool.hatch.build.hooks.neurenix]\npackage = '{package}'"
    project.configure("[tool.hatch.build.hooks.neurenix]", hook)
    assert f"hooks.neurenix.package: '{package}' is no package in " in refuses(project, "-t", "wheel")


def test_an_unknown_hook_option_is_named(project: Project) -> None:
    project.configure("[tool.hatch.build.hooks.neurenix]", "[tool.hatch.build.hooks.neurenix]\npackages = 'x'")
    assert "hooks.neurenix.packages: unknown key -- did you mean 'package'?" in refuses(project, "-t", "wheel")
