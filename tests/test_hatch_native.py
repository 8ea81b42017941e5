"""Claims about wheels with native libraries: their tags, several platforms from one machine, answers without us."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scratch_project import PYPROJECT, Project, make_project, make_shared, names_in, read_in, refuses, tree

from neurenix import load_model
from neurenix.toolchain import host_target

pytest_plugins = ["scratch_fixtures"]
pytestmark = [pytest.mark.slow, pytest.mark.zig, pytest.mark.wasm]

LINUX = "scratch_app-1.0-py3-none-manylinux_2_17_x86_64.musllinux_1_2_x86_64.whl"
NATIVE = '[tool.neurenix.native]\ntargets = ["x86_64-linux"]\n'
PACKAGE = "scratch_app/_neurenix"

ASK = """
import importlib.util, json, sys
import numpy as np
from scratch_app._neurenix import load_model
model = load_model("tiny")
x = np.arange(12, dtype=np.float32).reshape(3, 4) / 7
ours = [name for name in sys.modules if name.partition(".")[0] in ("neurenix", "hatch_neurenix", "jinja2")]
found = importlib.util.find_spec("neurenix") is not None
print(json.dumps([model.forward(x)["output"].tolist(), model.self_test(), model.variant, ours, found]))
"""

on_linux = pytest.mark.skipif(host_target() != "x86_64-linux", reason="the libraries are for x86-64 Linux")


@pytest.fixture(scope="module")
def standalone(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose wheel answers with NumPy alone."""
    folder = tmp_path_factory.mktemp("standalone")
    project = make_project(folder / "project", make_shared(folder / "shared"), folder / "cache")
    project.write("pyproject.toml", PYPROJECT + NATIVE + "standalone = true\n")
    project.build("-t", "wheel")
    return project


@pytest.fixture(scope="module")
def clean_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has NumPy and nothing else."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder, with_pip=False)
    packages = next((folder / "lib").glob("python*/site-packages"))
    numpy = Path(np.__file__).parent
    for path in (numpy, numpy.with_name("numpy.libs")):
        if path.exists():
            (packages / path.name).symlink_to(path)
    return folder / "bin" / "python"


@on_linux
def test_a_standalone_wheel_answers_with_numpy_alone(standalone: Project, clean_python: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "--python", str(clean_python), "install", "--no-index", "--no-deps"]
    subprocess.run([*command, str(standalone.wheel)], check=True, capture_output=True)
    done = subprocess.run([clean_python, "-I", "-c", ASK], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert 0 == done.returncode, done.stderr
    answer, error, variant, ours, found = json.loads(done.stdout)
    assert ([], False) == (ours, found)
    assert error <= 1e-4
    with zipfile.ZipFile(standalone.wheel) as archive:
        archive.extractall(tmp_path)
    twin = load_model(tmp_path / PACKAGE / "tiny" / "tiny.json", "cpu")
    x = np.arange(12, dtype=np.float32).reshape(3, 4) / 7
    assert twin.forward(x)["output"].tolist() == answer
    assert twin.variant == variant


@on_linux
def test_the_tags_are_those_that_auditwheel_and_check_wheel_contents_accept(standalone: Project) -> None:
    assert [LINUX] == standalone.dist
    # auditwheel finds symbols of no system library: the oldest policy that there is, for glibc and for musl alike.
    shown = " ".join(standalone.run("auditwheel", "show", str(standalone.wheel)).stdout.split())
    assert 'is consistent with the following platform tag: "manylinux_2_5_x86_64"' in shown
    assert "references no external versioned symbols" in shown
    assert "requires no external shared libraries" in shown
    assert ": OK" in standalone.run("check_wheel_contents", str(standalone.wheel)).stdout


@pytest.mark.parametrize(
    ("target", "tag", "library"),
    [
        ("aarch64-linux", "manylinux_2_17_aarch64.musllinux_1_2_aarch64", "aarch64-linux.so"),
        ("aarch64-macos", "macosx_11_0_arm64", "aarch64-macos.dylib"),
        ("x86_64-windows", "win_amd64", "x86_64-windows.dll"),
    ],
)
def test_one_machine_makes_the_wheel_of_each_platform(
    standalone: Project, tmp_path: Path, target: str, tag: str, library: str
) -> None:
    said = standalone.build("-d", str(tmp_path), "-t", "wheel", NEURENIX_TARGET=target)
    assert "tiny: training" not in said
    (wheel,) = tmp_path.glob("*.whl")
    assert f"scratch_app-1.0-py3-none-{tag}.whl" == wheel.name
    libraries = [n for n in names_in(wheel) if n.endswith((".so", ".dylib", ".dll"))]
    assert [f"{PACKAGE}/tiny/tiny.{library}"] == libraries
    assert f"{PACKAGE}/__init__.py" in names_in(wheel)


def test_a_wheel_for_the_web_alone_is_for_every_platform(standalone: Project, tmp_path: Path) -> None:
    standalone.build("-d", str(tmp_path), "-t", "wheel", NEURENIX_TARGET="none")
    (wheel,) = tmp_path.glob("*.whl")
    assert "scratch_app-1.0-py3-none-any.whl" == wheel.name
    assert f"{PACKAGE}/__init__.py" not in names_in(wheel)
    assert "Root-Is-Purelib: true" in read_in(wheel, "scratch_app-1.0.dist-info/WHEEL")


def test_an_unknown_target_of_the_environment_is_named(project: Project) -> None:
    project.environment["NEURENIX_TARGET"] = "x86_64-linx"
    said = refuses(project, "-t", "wheel")
    assert "1 problem in the environment:\n  NEURENIX_TARGET: 'x86_64-linx' is not one of none, host, " in said
    assert "-- did you mean 'x86_64-linux'?" in said


def test_standalone_without_a_library_is_refused(project: Project) -> None:
    project.write("pyproject.toml", PYPROJECT + "[tool.neurenix.native]\nstandalone = true\n")
    said = refuses(project, "-t", "wheel")
    assert "native.standalone: true: the wheel has no native library -- set targets = ['host']" in said


@on_linux
def test_an_editable_install_answers_by_this_project(project: Project) -> None:
    project.write("pyproject.toml", PYPROJECT + NATIVE)
    project.build("-t", "wheel:editable")
    staged = project.root / "src" / "scratch_app" / "_neurenix"
    assert {"__init__.py", ".gitignore"} <= tree(staged).keys()
    project.environment["PYTHONPATH"] += f":{project.root / 'src'}"
    code = "from scratch_app._neurenix import load_model as load; print(load('tiny')([[1, 2, 3, 4]])['output'].sum())"
    done = subprocess.run(
        [sys.executable, "-c", code], env=project.environment, capture_output=True, text=True, check=True
    )
    assert abs(1 - float(done.stdout)) < 1e-6
    # What was staged is no source: nothing is trained again.
    assert "tiny: from the cache" in project.build("-t", "wheel")
