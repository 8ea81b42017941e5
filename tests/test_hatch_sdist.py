"""Claims about sdists: they carry the finished models, which are used unless what they were made of has changed."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import pytest
from scratch_project import PYPROJECT, TRAINING, Project, make_project, make_shared, names_in

pytestmark = [pytest.mark.slow, pytest.mark.zig, pytest.mark.wasm]

# What must not be needed, put before everything that is installed.
BROKEN = "raise RuntimeError('a build from an sdist may not import this')\n"
NEEDED_TO_MAKE = ("torch", "ziglang", "wasmtime")
WATCHFUL = TRAINING.replace(
    "    for epoch in range", '    import os\n    assert "FORBIDDEN" not in os.environ\n    for epoch in range'
)


@pytest.fixture(scope="module")
def author(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The author's checkout, from which the sdist and a wheel have been built."""
    folder = tmp_path_factory.mktemp("author")
    project = make_project(folder / "project", make_shared(folder / "shared"), folder / "cache")
    project.write("src/scratch_app/training.py", WATCHFUL)
    project.build("-t", "sdist", "-t", "wheel")
    return project


@pytest.fixture
def unpacked(author: Project, tmp_path: Path) -> Project:
    """The sdist as somebody else unpacks it: an empty cache, no zig, no packages that make models, no PATH."""
    with tarfile.open(author.root / "dist" / "scratch_app-1.0.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    for package in NEEDED_TO_MAKE:
        (tmp_path / "broken" / package).mkdir(parents=True)
        (tmp_path / "broken" / package / "__init__.py").write_text(BROKEN, encoding="utf-8")
    variables = {
        "PYTHONPATH": f"{tmp_path / 'broken'}:{author.environment['PYTHONPATH']}",
        "NEURENIX_CACHE_DIR": str(tmp_path / "cache"),
        "NEURENIX_ZIG": str(tmp_path / "no-zig"),
        "PATH": "",
        "FORBIDDEN": "training",
    }
    return Project(tmp_path / "scratch_app-1.0", variables)


def test_a_wheel_is_made_from_the_sdist_without_training_or_compiling(author: Project, unpacked: Project) -> None:
    said = unpacked.build("-t", "wheel")
    assert "training with" not in said
    assert "compiling" not in said
    assert author.wheel.read_bytes() == unpacked.wheel.read_bytes()


def test_no_package_that_makes_models_is_asked_for(unpacked: Project) -> None:
    assert "[]\n" == unpacked.run("hatchling", "build", "-t", "wheel", "--show-dynamic-deps").stdout


def test_a_changed_input_makes_the_model_anew(author: Project, unpacked: Project) -> None:
    unpacked.write("data/samples.csv", "1,2,3,4\n")
    said = unpacked.build("-t", "wheel", status=1)
    assert "no-zig, which is not there" in said
    assert "tiny: training with" not in said  # What could not be compiled is not begun.
    unpacked.environment = {**author.environment, "NEURENIX_CACHE_DIR": unpacked.environment["NEURENIX_CACHE_DIR"]}
    assert "tiny: trained and compiled" in unpacked.build("-t", "wheel")


def test_a_changed_result_is_not_used(unpacked: Project) -> None:
    (weights,) = unpacked.root.glob("neurenix-prebuilt/*/files/bundle/tiny.bin")
    weights.write_bytes(bytes(len(weights.read_bytes())))
    said = unpacked.build("-t", "wheel", status=1)
    assert "tiny: training with" not in said
    assert "no-zig, which is not there" in said


def test_another_target_compiles_and_does_not_train(author: Project, unpacked: Project) -> None:
    unpacked.environment = {**author.environment, "FORBIDDEN": "training"}
    said = unpacked.build("-t", "wheel", NEURENIX_TARGET="aarch64-linux")
    assert "tiny: compiled; its weights are from the cache" in said
    assert "manylinux_2_17_aarch64" in unpacked.wheel.name


def test_an_sdist_of_the_sdist_is_the_same(author: Project, unpacked: Project) -> None:
    unpacked.build("-t", "sdist")
    name = Path("dist") / "scratch_app-1.0.tar.gz"
    with tarfile.open(author.root / name) as first, tarfile.open(unpacked.root / name) as second:
        # hatchling packs the PKG-INFO that it finds, and its own.
        assert sorted(first.getnames()) == sorted(set(second.getnames()))


def test_results_are_of_sdists_alone(author: Project, unpacked: Project) -> None:
    (unpacked.root / "PKG-INFO").unlink()
    assert "no-zig, which is not there" in unpacked.build("-t", "wheel", status=1)
    assert not any("neurenix-prebuilt" in name for name in names_in(author.wheel))


def test_an_sdist_without_results_builds_nothing(author: Project, tmp_path: Path) -> None:
    shutil.copytree(author.root, tmp_path / "project", ignore=shutil.ignore_patterns("dist"))
    project = Project(tmp_path / "project", {**author.environment, "NEURENIX_CACHE_DIR": str(tmp_path / "cache")})
    project.write("pyproject.toml", PYPROJECT + "[tool.neurenix]\nprebuilt-in-sdist = false\n")
    assert "[]\n" == project.run("hatchling", "build", "-t", "sdist", "--show-dynamic-deps").stdout
    assert "training" not in project.build("-t", "sdist")
    with tarfile.open(project.root / "dist" / "scratch_app-1.0.tar.gz") as archive:
        names = archive.getnames()
    assert "scratch_app-1.0/data/samples.csv" in names
    assert not any("neurenix-prebuilt" in name for name in names)
