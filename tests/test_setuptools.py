"""Claims about projects that setuptools builds: the same tables, the same models in wheels, editables and sdists."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from scratch_project import PYPROJECT, Project, make_project, make_shared, names_in, read_in, tree

pytestmark = [pytest.mark.slow, pytest.mark.zig, pytest.mark.wasm]

SETUPTOOLS = """
[build-system]
requires = ["setuptools", "hatch-neurenix"]
build-backend = "setuptools.build_meta"

[project]
name = "scratch-app"
version = "1.0"
requires-python = ">=3.10"
"""
MODELS = PYPROJECT[PYPROJECT.index("[tool.neurenix.models.tiny]") :]
NATIVE = '[tool.neurenix.native]\ntargets = ["x86_64-linux"]\n'


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("setuptools")
    project = make_project(folder / "project", make_shared(folder / "shared"), folder / "cache")
    project.write("pyproject.toml", SETUPTOOLS + MODELS)
    return project


def build(project: Project, output: Path, *arguments: str, status: int = 0, **variables: str) -> str:
    command = ("build", "--no-isolation", "--outdir", str(output), *arguments)
    done = project.run(*command, status=status, **variables)
    return done.stdout + done.stderr


def test_a_wheel_through_an_sdist_trains_once_and_carries_the_bundle(project: Project, tmp_path: Path) -> None:
    assert 1 == build(project, tmp_path).count("tiny: training with")
    (wheel,) = tmp_path.glob("*.whl")
    assert "scratch_app-1.0-py3-none-any.whl" == wheel.name
    assert {"scratch_app/_neurenix/tiny/tiny.json", "scratch_app/training.py"} <= set(names_in(wheel))
    record = read_in(wheel, "scratch_app-1.0.dist-info/RECORD")
    assert sorted(names_in(wheel)) == sorted(line.split(",")[0] for line in record.splitlines())
    with tarfile.open(tmp_path / "scratch_app-1.0.tar.gz") as archive:
        names = archive.getnames()
        archive.extractall(tmp_path, filter="data")
    assert "scratch_app-1.0/data/samples.csv" in names
    assert any(name.startswith("scratch_app-1.0/neurenix-prebuilt/") for name in names)
    # Somebody else, with an empty cache and no zig, gets the same from the sdist.
    elsewhere = Project(tmp_path / "scratch_app-1.0", dict(project.environment))
    variables = {"NEURENIX_CACHE_DIR": str(tmp_path / "cache"), "NEURENIX_ZIG": "no-zig"}
    assert "training with" not in build(elsewhere, tmp_path / "again", "-w", **variables)
    (again,) = (tmp_path / "again").glob("*.whl")
    bundle = [name for name in names_in(wheel) if "_neurenix" in name]
    assert [read_in(wheel, name) for name in bundle if name.endswith(".json")] == [
        read_in(again, name) for name in bundle if name.endswith(".json")
    ]
    assert names_in(wheel) == names_in(again)


def test_a_native_library_gives_the_wheel_its_platform(project: Project, tmp_path: Path) -> None:
    project.write("pyproject.toml", SETUPTOOLS + MODELS + NATIVE + "standalone = true\n")
    build(project, tmp_path, "-w")
    (wheel,) = tmp_path.glob("*.whl")
    tag = "manylinux_2_17_x86_64.musllinux_1_2_x86_64"
    assert f"scratch_app-1.0-py3-none-{tag}.whl" == wheel.name
    assert "Root-Is-Purelib: false" in read_in(wheel, "scratch_app-1.0.dist-info/WHEEL")
    assert "scratch_app/_neurenix/tiny/tiny.x86_64-linux.so" in names_in(wheel)
    assert "it needs NumPy and nothing else" in read_in(wheel, "scratch_app/_neurenix/__init__.py")


def test_an_editable_install_has_the_bundle_in_the_sources(project: Project, tmp_path: Path) -> None:
    project.write("pyproject.toml", SETUPTOOLS + MODELS)
    code = "import setuptools.build_meta as b, sys; print(b.build_editable(sys.argv[1]))"
    environment = {**os.environ, **project.environment}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=project.root, env=environment, check=True,
                   capture_output=True)  # fmt: skip
    staged = tree(project.root / "src" / "scratch_app" / "_neurenix")
    assert {".gitignore", "tiny/tiny.json"} <= staged.keys()
    (wheel,) = tmp_path.glob("*.whl")
    assert not any("tiny.json" in name for name in names_in(wheel))
    # What is staged does not get into a wheel.
    project.write("src/scratch_app/_neurenix/tiny/stale.py", "")
    project.write("src/scratch_app/_neurenix/__init__.py", "stale")
    build(project, tmp_path / "wheel", "-w")
    (wheel,) = (tmp_path / "wheel").glob("*.whl")
    assert not {"scratch_app/_neurenix/tiny/stale.py", "scratch_app/_neurenix/__init__.py"} & set(names_in(wheel))


def test_a_mistake_is_one_message(project: Project, tmp_path: Path) -> None:
    project.write("pyproject.toml", SETUPTOOLS + MODELS.replace("labels =", "lables ="))
    said = build(project, tmp_path, "-w", status=1)
    assert "error: hatch-neurenix: 1 problem in pyproject.toml:\n" in said
    assert "tool.neurenix.models.tiny.lables: unknown key -- did you mean 'labels'?" in said


def test_a_project_without_the_table_is_left_alone(project: Project, tmp_path: Path) -> None:
    project.write("pyproject.toml", SETUPTOOLS)
    shutil.rmtree(project.root / "build", ignore_errors=True)  # where setuptools keeps what it has built before
    shutil.rmtree(project.root / "src" / "scratch_app" / "_neurenix", ignore_errors=True)
    build(project, tmp_path, "-w")
    (wheel,) = tmp_path.glob("*.whl")
    assert "scratch_app-1.0-py3-none-any.whl" == wheel.name
    assert not any(name.endswith("tiny.json") for name in names_in(wheel))
