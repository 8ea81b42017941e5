"""Claims about builds in rough weather: killed, at the same time, elsewhere, and with hostile names and links."""

from __future__ import annotations

import hashlib
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kill_builds import kill_builds
from scratch_project import Project, make_project, names_in, refuses, tree

pytest_plugins = ["scratch_fixtures"]
pytestmark = [pytest.mark.slow, pytest.mark.zig, pytest.mark.wasm]


def test_after_kills_at_random_moments_a_build_is_as_a_clean_one(tmp_path: Path) -> None:
    done = kill_builds(tmp_path, 6)
    assert done.killed >= 3


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


def test_a_read_only_tree_still_gives_a_wheel_elsewhere(project: Project, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root writes everywhere")
    project.root.chmod(0o555)
    try:
        project.build("-d", str(tmp_path / "out"), "-t", "wheel")
    finally:
        project.root.chmod(0o755)
    (wheel,) = (tmp_path / "out").glob("*.whl")
    assert "scratch_app/_neurenix/tiny/tiny.json" in names_in(wheel)
