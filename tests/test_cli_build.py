"""Claims about `neurenix build` and `neurenix cache`, on scratch projects."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from cli_calls import call, call_json
from jsonschema import Draft7Validator
from scratch_project import Project, make_project

from neurenix.cache import Cache
from neurenix.cli.build import BuildReport
from neurenix.cli.cache import CachePath, CacheReport
from neurenix.config.schema import schema_json
from neurenix.session import load_model

pytestmark = pytest.mark.zig

PROFILES = """
[tool.neurenix.profiles.quick.models.tiny]
params = { epochs = 1 }

[tool.neurenix.targets.wheel.native]
targets = ["host"]
"""


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def project(tmp_path: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("NEURENIX_CACHE_DIR", str(shared_cache))
    made = make_project(tmp_path / "project", tmp_path / "shared", shared_cache)
    text = (made.root / "pyproject.toml").read_text(encoding="utf-8")
    made.write("pyproject.toml", text + PROFILES)
    return made


def test_a_build_leaves_bundles_that_answer(project: Project) -> None:
    data = call_json(BuildReport, "build", "--project", project.root)
    (model,) = data["models"]
    assert str(project.root / "dist" / "models" / "tiny") == model["directory"]
    assert load_model(model["directory"], "reference").self_test() < 1e-6
    web = [p for p in Path(model["directory"]).rglob("*") if p.is_file() and not p.name.startswith(".made-by")]
    assert sum(p.stat().st_size for p in web) == model["web"] + model["native"]
    assert {"test accuracy": 0.9876} == model["metrics"]
    assert {"reference", "scalar", "simd", "relaxed"} <= set(model["agreement"])


def test_what_is_built_already_is_not_made_again(project: Project) -> None:
    call("build", "--project", project.root)
    data = call_json(BuildReport, "build", "--project", project.root)
    assert ["cached"] == [m["made"] for m in data["models"]]
    assert data["seconds"] < 5


def test_progress_goes_to_stderr_and_results_to_stdout(project: Project) -> None:
    project.write("data/samples.csv", "1,2,3,4\n")
    result = call("build", "--project", project.root)
    assert "tiny: training with scratch_app.training:train\n" in result.stderr
    assert "  epoch 2 of 2\n" in result.stderr
    assert "training with" not in result.stdout
    assert "tiny   trained" in result.stdout
    assert "tiny: test accuracy 0.9876" in result.stdout
    project.write("data/samples.csv", "1,2,3,4,5\n")
    assert "" == call("build", "--project", project.root, "--quiet").stderr


def test_a_profile_and_a_target_are_laid_over_the_configuration(project: Project) -> None:
    project.write("data/samples.csv", "1,2,3,4,5,6\n")
    result = call("build", "--project", project.root, "--profile", "quick", "--target", "wheel")
    assert "epoch 1 of 1" in result.stderr
    assert list((project.root / "dist" / "models" / "tiny").glob("tiny.*-*"))  # the libraries of this host
    for option, value, status in (("--profile", "quack", 1), ("--target", "whel", 2)):
        assert f"'{value}'" in call("build", "--project", project.root, option, value, status=status).stderr


def test_bundles_may_go_elsewhere_or_stay_in_the_cache(project: Project, shared_cache: Path, tmp_path: Path) -> None:
    call("build", "--project", project.root, "--output", tmp_path / "out")
    assert (tmp_path / "out" / "tiny" / "tiny.json").is_file()
    data = call_json(BuildReport, "build", "--project", project.root, "--cache-only")
    assert Path(data["models"][0]["directory"]).is_relative_to(shared_cache)
    assert not (project.root / "dist").exists()
    call("build", "--project", project.root, "--cache-only", "--output", "x", status=2)


def test_a_folder_that_is_not_ours_stays(project: Project) -> None:
    project.write("dist/models/tiny/mine.txt", "mine")
    message = call("build", "--project", project.root, status=1).stderr
    assert "not made by hatch-neurenix; refusing to replace it" in message
    assert "mine" == (project.root / "dist/models/tiny/mine.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [(["tinny"], "MODELS[0]: 'tinny' is not declared in tool.neurenix.models -- did you mean 'tiny'?"),
     (["--project", "."], "tool.neurenix: declare at least one model")],
)  # fmt: skip
def test_a_wrong_call_says_why(
    project: Project, arguments: list[str], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text("", encoding="utf-8")
    monkeypatch.chdir(project.root if "." not in arguments else tmp_path)
    assert text in call("build", *arguments, status=1).stderr


def test_a_training_that_fails_is_told_with_its_code(project: Project) -> None:
    project.write("src/scratch_app/training.py", "def train():\n    raise ValueError('no luck')\n")
    result = call("build", "--project", project.root, status=1)
    assert "neurenix: training_failed: " in result.stderr
    assert "no luck" in result.stderr
    assert "Traceback" not in result.stderr.partition("neurenix: training_failed")[2]


@pytest.mark.parametrize("columns", [None, 100, 60, 40])
def test_the_tables_read_well_at_any_width(project: Project, columns: int | None) -> None:
    text = call("build", "--project", project.root, columns=columns).stdout
    if columns is not None:
        tables = [line for line in text.splitlines() if " is in " not in line]
        assert all(len(line) <= columns for line in tables)
    for word in ("tiny", "relaxed", "kB"):
        assert word in text


# ── the cache ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    monkeypatch.setenv("NEURENIX_CACHE_DIR", str(tmp_path / "own"))
    made = Cache()
    for at, key in enumerate(("a" * 64, "b" * 64)):
        entry = made.put(key, lambda folder: (folder / "x").write_bytes(b"x" * 1000) and None, label=f"thing {key[0]}")
        old = time.time() - 3600 * (at + 1)
        os.utime(entry.parent / "manifest.json", (old, old))
    return made


def test_the_list_has_every_entry_the_newest_first(cache: Cache) -> None:
    data = call_json(CacheReport, "cache", "list")
    assert ["thing a", "thing b"] == [entry["label"] for entry in data["entries"]]
    assert sum(e.size for e in cache.entries()) == data["bytes"] >= 2000
    text = call("cache", "list", columns=60).stdout
    assert "aaaaaaaaaaaa  thing a" in text and "1 h ago" in text and "2 entries" in text


def test_pruning_removes_what_is_old_and_then_what_is_too_much(cache: Cache) -> None:
    data = call_json(CacheReport, "cache", "prune", "--older-than", "90m")
    assert ["thing b"] == [entry["label"] for entry in data["entries"]]
    assert ["thing a"] == [entry.label for entry in cache.entries()]
    assert "removed 1 entry" in call("cache", "prune", "--max-size", "1B").stdout
    assert () == cache.entries()


def test_clearing_removes_even_what_was_used_just_now(cache: Cache) -> None:
    cache.get("a" * 64)
    assert 2 == len(call_json(CacheReport, "cache", "clear")["entries"])
    assert () == cache.entries()
    assert "0 entries, 0 B in " in call("cache", "list").stdout


def test_the_path_is_that_of_the_cache(cache: Cache) -> None:
    assert f"{cache.directory.parent}\n" == call("cache", "path").stdout
    assert {"directory": str(cache.directory.parent)} == call_json(CachePath, "cache", "path")


@pytest.mark.parametrize(
    "arguments",
    [["prune"], ["prune", "--older-than", "3y"], ["prune", "--max-size", "many"], ["prune", "--max-size", "-1B"], []],
)
def test_wrong_usage_removes_nothing(cache: Cache, arguments: list[str]) -> None:
    call("cache", *arguments, status=2)
    assert 2 == len(cache.entries())


# ── the schema ──────────────────────────────────────────────────────────────────────────────────────────


def test_the_schema_is_one_that_validators_take() -> None:
    text = call("schema").stdout
    assert schema_json() == text == call("schema", "--json").stdout
    Draft7Validator.check_schema(json.loads(text))
