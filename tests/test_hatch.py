"""Claims about the build hook, by real builds of scratch projects: what wheels, sdists and editables carry."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from scratch_project import PYPROJECT, Project, make_project, names_in, read_in, refuses, tree

pytest_plugins = ["scratch_fixtures"]
pytestmark = [pytest.mark.slow, pytest.mark.zig, pytest.mark.wasm]


def test_a_wheel_carries_the_bundle_in_its_package(project: Project) -> None:
    project.build("-t", "wheel")
    assert ["scratch_app-1.0-py3-none-any.whl"] == project.dist
    names = names_in(project.wheel)
    for name in ("tiny.js", "tiny.json", "tiny.d.ts", "tiny.bin", "tiny.scalar.wasm", "neurenix.runtime.js"):
        assert f"scratch_app/_neurenix/tiny/{name}" in names
    assert len(set(names)) == len(names)
    assert not any("report" in name or name.startswith("data/") for name in names)
    manifest = json.loads(read_in(project.wheel, "scratch_app/_neurenix/tiny/tiny.json"))
    assert ("tiny", ["a", "b", "c"]) == (manifest["name"], manifest["labels"])


def test_every_file_of_the_wheel_is_in_its_record(project: Project) -> None:
    project.build("-t", "wheel")
    record = read_in(project.wheel, "scratch_app-1.0.dist-info/RECORD")
    assert sorted(names_in(project.wheel)) == sorted(line.split(",")[0] for line in record.splitlines())


def test_the_build_shows_its_epochs_sizes_metrics_and_agreement(fresh: Project) -> None:
    said = fresh.build("-t", "wheel")
    assert "epoch 1 of 2" in said
    assert "epoch 2 of 2" in said
    assert "test accuracy 0.9876" in said
    assert "tiny.json" in said
    assert "largest error: " in said


def test_a_native_library_gives_the_wheel_its_platform(project: Project) -> None:
    project.write("pyproject.toml", PYPROJECT + '[tool.neurenix.native]\ntargets = ["x86_64-linux"]\n')
    project.build("-t", "wheel")
    assert ["scratch_app-1.0-py3-none-manylinux_2_17_x86_64.musllinux_1_2_x86_64.whl"] == project.dist
    described = read_in(project.wheel, "scratch_app-1.0.dist-info/WHEEL")
    tags = "Tag: py3-none-manylinux_2_17_x86_64\nTag: py3-none-musllinux_1_2_x86_64\n"
    assert f"Root-Is-Purelib: false\n{tags}" in described
    assert "scratch_app/_neurenix/tiny/tiny.x86_64-linux.so" in names_in(project.wheel)


def test_libraries_for_two_platforms_give_the_wheel_both_tags(project: Project) -> None:
    targets = '[tool.neurenix.native]\ntargets = ["x86_64-linux", "x86_64-windows"]\n'
    project.write("pyproject.toml", PYPROJECT + targets)
    project.build("-t", "wheel")
    tags = "manylinux_2_17_x86_64.musllinux_1_2_x86_64.win_amd64"
    assert [f"scratch_app-1.0-py3-none-{tags}.whl"] == project.dist


def test_the_second_build_trains_and_compiles_nothing_and_is_identical(fresh: Project) -> None:
    assert "tiny: training" in fresh.build("-t", "wheel")
    first = fresh.wheel.read_bytes()
    said = fresh.build("-t", "wheel")
    assert "training" not in said
    assert "compiling" not in said
    assert "tiny: from the cache" in said
    assert first == fresh.wheel.read_bytes()


@pytest.mark.parametrize("target", ["wheel", "sdist", "static-site"])
def test_an_unchanged_build_imports_nothing_that_trains_or_compiles(project: Project, target: str) -> None:
    project.build("-t", target)
    said = project.build("-t", target, PYTHONPROFILEIMPORTTIME="1")
    assert "tiny: from the cache" in said
    assert "neurenix.project.build_record\n" in said
    assert "neurenix.ops\n" not in said
    assert "neurenix.project.pipeline\n" not in said


def test_two_directories_with_two_caches_give_identical_wheels_and_sites(
    fresh: Project, shared: Path, tmp_path: Path
) -> None:
    other = make_project(tmp_path / "elsewhere" / "deeper", shared, tmp_path / "other-cache")
    for project in (fresh, other):
        project.build("-t", "wheel", "-t", "static-site")
    assert fresh.wheel.read_bytes() == other.wheel.read_bytes()
    assert tree(fresh.site) == tree(other.site)


def test_an_sdist_carries_ignored_watched_files(project: Project) -> None:
    project.build("-t", "sdist")
    with tarfile.open(project.root / "dist" / "scratch_app-1.0.tar.gz") as archive:
        names = archive.getnames()
    assert 1 == names.count("scratch_app-1.0/data/samples.csv")


@pytest.mark.parametrize(
    "frontend",
    [("build", "--no-isolation"), ("uv", "build", "--no-build-isolation", "--offline", "--python", sys.executable)],
    ids=lambda frontend: str(frontend[0]),
)
def test_a_wheel_through_the_sdist_is_the_same_and_trains_once(fresh: Project, frontend: tuple[str, ...]) -> None:
    done = fresh.run(*frontend)
    assert 1 == (done.stdout + done.stderr).count("tiny: training")
    through_sdist = fresh.wheel.read_bytes()
    fresh.wheel.unlink()
    assert "training" not in fresh.build("-t", "wheel")
    assert through_sdist == fresh.wheel.read_bytes()


def test_an_editable_install_has_the_bundle_in_the_sources(project: Project) -> None:
    project.build("-t", "wheel:editable")
    package = project.root / "src" / "scratch_app" / "_neurenix"
    assert (package / "tiny" / "tiny.json").is_file()
    assert "*\n" == (package / ".gitignore").read_text(encoding="utf-8")
    assert not any("_neurenix" in name for name in names_in(project.wheel))


def test_what_an_editable_install_left_does_not_get_into_wheels_and_sdists(project: Project) -> None:
    project.build("-t", "wheel:editable")
    stale = project.root / "src" / "scratch_app" / "_neurenix" / "tiny"
    (stale / "tiny.json").write_bytes(b"stale")
    (stale / "stale.txt").write_bytes(b"stale")
    project.wheel.unlink()
    project.build("-t", "wheel", "-t", "sdist")
    assert "scratch_app/_neurenix/tiny/stale.txt" not in names_in(project.wheel)
    assert "stale" != read_in(project.wheel, "scratch_app/_neurenix/tiny/tiny.json")
    with tarfile.open(project.root / "dist" / "scratch_app-1.0.tar.gz") as archive:
        assert not any("_neurenix" in name for name in archive.getnames())


def test_an_editable_install_replaces_only_what_it_made(project: Project) -> None:
    project.write("src/scratch_app/_neurenix/mine.txt", "mine")
    assert "not made by hatch-neurenix; refusing to replace it" in refuses(project, "-t", "wheel:editable")
    assert {"mine.txt": b"mine"} == tree(project.root / "src" / "scratch_app" / "_neurenix")


def test_hooks_only_builds_the_models_and_no_wheel(fresh: Project) -> None:
    assert "tiny: training" in fresh.build("-t", "wheel", "--hooks-only")
    assert [] == fresh.dist
    assert "training" not in fresh.build("-t", "wheel")


def test_cleaning_removes_outputs_and_keeps_the_cache(fresh: Project) -> None:
    fresh.build("-t", "wheel:editable")
    fresh.build("-t", "static-site")
    said = fresh.build("-c", "-t", "wheel", "-t", "static-site")
    assert "training" not in said
    assert "compiling" not in said
    assert not (fresh.root / "src" / "scratch_app" / "_neurenix").exists()
    fresh.build("--clean-only", "-t", "wheel", "-t", "static-site")
    assert [] == fresh.dist


def test_cleaning_with_a_broken_configuration_says_nothing(project: Project) -> None:
    project.configure("[tool.hatch.build.hooks.neurenix]", "[tool.hatch.build.hooks.neurenix]\npackage = 'nowhere'")
    assert "Traceback" not in project.build("--clean-only", "-t", "wheel")


def test_without_hooks_the_wheel_has_no_models(project: Project) -> None:
    project.build("-t", "wheel", "--no-hooks")
    assert not any("_neurenix" in name for name in names_in(project.wheel))


def test_hatchlings_own_hook_keys_are_not_ours(project: Project) -> None:
    project.configure(
        "[tool.hatch.build.hooks.neurenix]",
        "[tool.hatch.build.hooks.neurenix]\nenable-by-default = true\ndependencies = []\n"
        "require-runtime-dependencies = false\nrequire-runtime-features = []",
    )
    project.build("-t", "wheel")


def test_a_project_that_does_not_use_the_plugin_does_not_pay_for_it(project: Project) -> None:
    code = (
        "import sys; from hatch_neurenix import hooks; hooks.hatch_register_build_hook(); "
        "hooks.hatch_register_builder(); print('neurenix' in sys.modules, 'numpy' in sys.modules)"
    )
    environment = {**os.environ, **project.environment}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "False False\n" == done.stdout
