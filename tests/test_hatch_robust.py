"""Claims about builds in rough weather: killed, at the same time, elsewhere, and with hostile names and links."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kill_builds import kill_builds
from scratch_project import Project, make_project, names_in, refuses, tree

pytest_plugins = ["scratch_fixtures"]
pytestmark = [pytest.mark.slow, pytest.mark.zig, pytest.mark.wasm]


def test_after_kills_at_random_moments_a_build_is_as_a_clean_one(tmp_path: Path) -> None:
    assert 4 == kill_builds(tmp_path, 4).killed


def test_eight_builds_at_once_on_one_cache_train_once_and_agree(shared: Path, tmp_path: Path) -> None:
    projects = [make_project(tmp_path / str(i) / "project", shared, tmp_path / "cache") for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda project: project.build("-t", "wheel"), projects))
    assert 1 == sum("tiny: training with" in text for text in said)
    assert 1 == len({hashlib.sha256(project.wheel.read_bytes()).hexdigest() for project in projects})
    assert [] == list((tmp_path / "cache" / "v1" / "making").iterdir())


def test_folder_umask_time_zone_locale_and_hash_seed_leave_no_trace(shared: Path, tmp_path: Path) -> None:
    """Two builds that share nothing give the same bytes: wheel, sdist and site."""
    plain = make_project(tmp_path / "plain", shared, tmp_path / "plain-cache")
    other = make_project(tmp_path / "a folder" / "deep — er", shared, tmp_path / "other-cache")
    strange = {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "LANG": "tr_TR.UTF-8", "PYTHONHASHSEED": "12345",
               "HOME": str(tmp_path / "home"), "USER": "somebody", "OMP_NUM_THREADS": "2", "COLUMNS": "40"}  # fmt: skip
    targets = ("-t", "sdist", "-t", "wheel", "-t", "static-site")
    plain.build(*targets, TZ="UTC", PYTHONHASHSEED="0")
    for path in [other.root, *other.root.rglob("*")]:
        path.chmod(stat.S_IRWXU if path.is_dir() else stat.S_IRUSR | stat.S_IWUSR)
    before = os.umask(0o077)
    try:
        other.build(*targets, **strange)
    finally:
        os.umask(before)
    assert plain.dist == other.dist
    for name in plain.dist:
        if name.endswith("-site"):
            assert tree(plain.root / "dist" / name) == tree(other.root / "dist" / name)
        else:
            assert (plain.root / "dist" / name).read_bytes() == (other.root / "dist" / name).read_bytes(), name


@pytest.mark.parametrize("name", ["../evil", "<script>"])
def test_a_hostile_model_name_is_refused(project: Project, name: str) -> None:
    project.configure("[tool.neurenix.models.tiny]", f'[tool.neurenix.models."{name}"]')
    said = refuses(project, "-t", "wheel")
    assert "must match [a-z][a-z0-9_-]{0,63}" in said
    assert {"project", "cache"} >= {path.name for path in project.root.parent.iterdir()}


def test_a_label_is_data_wherever_it_goes(project: Project) -> None:
    evil = "</script><script>alert(1)</script>"
    project.configure('labels = ["a", "b", "c"]', f"labels = ['{evil}', '{{{{ 7 * 7 }}}}', \"*/ evil /*\"]")
    project.build("-t", "static-site")
    for name, content in tree(project.site).items():
        if not name.endswith(".json"):
            assert b"<script>alert" not in content, name
            assert b"*/ evil" not in content, name


@pytest.mark.parametrize("link", ["src/scratch_app/_neurenix", "dist/scratch_app-1.0-site"])
def test_a_link_in_the_place_of_an_output_is_not_followed(project: Project, tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / ".made-by-hatch-neurenix").write_bytes(b"")
    (project.root / link).parent.mkdir(parents=True, exist_ok=True)
    (project.root / link).symlink_to(outside)
    target = "static-site" if "site" in link else "wheel:editable"
    assert "not made by hatch-neurenix; refusing to replace it" in refuses(project, "-t", target)
    assert [".made-by-hatch-neurenix"] == [path.name for path in outside.iterdir()]


@pytest.mark.parametrize("pattern", ["../*", "/etc/passwd"])
def test_a_watched_path_that_leaves_the_project_is_refused(project: Project, pattern: str) -> None:
    project.configure('watch = ["data/*.csv"]', f"watch = ['{pattern}']")
    assert "tool.neurenix.models.tiny.watch[0]: " in refuses(project, "-t", "wheel")


def test_a_package_that_is_a_link_out_of_the_project_is_refused(project: Project, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (project.root / "src" / "linked").symlink_to(tmp_path / "elsewhere")
    hook = "[tool.hatch.build.hooks.neurenix]\npackage = 'linked'"
    project.configure("[tool.hatch.build.hooks.neurenix]", hook)
    assert "hooks.neurenix.package: 'linked' is no package in " in refuses(project, "-t", "wheel:editable")
    assert [] == list((tmp_path / "elsewhere").iterdir())


# Root writes everywhere, until it gives up the right to override what files permit (CAP_DAC_OVERRIDE).
AS_ANYBODY = """
import ctypes, os, sys
if os.geteuid() == 0 and ctypes.CDLL(None).prctl(24, 1, 0, 0, 0) != 0:
    sys.exit("the right to write everywhere cannot be given up")
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def build_as_anybody(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", AS_ANYBODY, "-m", "hatchling", "build", *arguments]
    environment = {**os.environ, **project.environment}
    return subprocess.run(command, cwd=project.root, env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.skipif(sys.platform != "linux", reason="permissions are other things elsewhere")
def test_a_read_only_tree_gives_a_wheel_elsewhere_and_keeps_what_it_has(project: Project, tmp_path: Path) -> None:
    project.build("-t", "static-site")
    (project.root / "web" / "new.html").write_text("new", encoding="utf-8")
    before = tree(project.root)
    folders = [project.root, *(path for path in project.root.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        wheel = build_as_anybody(project, "-d", str(tmp_path / "out"), "-t", "wheel")
        refused = [build_as_anybody(project, "-t", target) for target in ("static-site", "wheel:editable")]
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert 0 == wheel.returncode, wheel.stderr
    assert "scratch_app/_neurenix/tiny/tiny.json" in names_in(next((tmp_path / "out").glob("*.whl")))
    for done, place in zip(refused, ("dist/scratch_app-1.0-site", "src/scratch_app/_neurenix")):
        assert 1 == done.returncode
        assert f"hatch-neurenix: {project.root / place} cannot be written (Permission denied: " in done.stderr
        assert "Traceback" not in done.stderr
    assert before == tree(project.root)
