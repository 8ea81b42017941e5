"""Claims about the pipeline: what runs, and what the cache answers."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from scratch_training import REPOSITORY, Project, made, made_before, make_project

from neurenix.errors import ConfigError, ToolchainError, VerificationError
from neurenix.export import ExportReport
from neurenix.graph.store import load_graph
from neurenix.project import stages
from neurenix.project.jobs import check_model_names, plan_jobs
from neurenix.project.pipeline import Work, build_model

__all__ = ["made", "made_before"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return make_project(tmp_path, monkeypatch)


def test_a_model_is_trained_compiled_and_reported(project: Project) -> None:
    built = project.build()
    assert (True, True, {"accuracy": 0.75}) == (built.trained_now, built.compiled_now, built.metrics)
    assert ["x", "output"] == json.loads((built.directory / "m.json").read_text(encoding="utf-8"))
    assert {"simd": 1e-7} == built.report["agreement"]
    assert [{"name": "m.json", "raw": 15, "gzip": 10}] == built.report["files"][:1]
    assert not (built.directory / "report.json").exists()


def test_the_second_build_runs_nothing(project: Project) -> None:
    first, lines = project.build(), len(project.lines)
    second = project.build()
    assert (False, False) == (second.trained_now, second.compiled_now)
    assert (1, 1, lines) == (project.runs, len(project.exports), len(project.lines))
    assert (first.directory, first.metrics, first.report) == (
        second.directory,
        second.metrics,
        second.report,
    )


def test_a_project_in_another_folder_finds_the_same_entries(made: Project) -> None:
    made.root = made.root.rename(made.root.with_name("moved"))
    assert not made.build().trained_now


def test_the_traced_graph_has_the_declared_inputs_and_dims(made: Project) -> None:
    (path,) = made.cache.glob("v1/entries/*/files/graph.npz")
    graph = load_graph(path)
    assert (("x",), {"batch": (1, 8)}) == (graph.inputs, dict(graph.dims))


def test_a_bare_module_is_a_model_without_metrics(project: Project) -> None:
    project.model(train="app.training:bare")
    assert {} == project.build().metrics


def edit_watched(project: Project) -> None:
    (project.root / "data.csv").write_text("1,3\n", encoding="utf-8")


def edit_sibling_module(project: Project) -> None:
    (project.root / "src" / "app" / "layers.py").write_text("WIDTH = 5\n", encoding="utf-8")


def add_module(project: Project) -> None:
    (project.root / "src" / "app" / "extra.py").write_bytes(b"")


def change_parameter(project: Project) -> None:
    project.model(params={"seed": 1})


def change_dims(project: Project) -> None:
    project.model(dims={"batch": {"max": 9}})


def change_train_dependencies(project: Project) -> None:
    project.table["train-dependencies"] = ["scikit-learn"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        edit_watched,
        edit_sibling_module,
        add_module,
        change_parameter,
        change_dims,
        change_train_dependencies,
    ],
)
def test_whatever_training_depends_on_retrains(made: Project, change: Callable[[Project], None]) -> None:
    change(made)
    missing = made.missing()
    assert (True, True) == (missing.train, missing.compile)
    assert missing.packages == tuple(made.table.get("train-dependencies", ()))
    assert made.build().trained_now


@pytest.mark.parametrize("keys", [{"max_error": 0.5}, {"labels": ["no", "yes"]}])
def test_an_export_option_compiles_without_training(made: Project, keys: dict[str, Any]) -> None:
    made.model(**keys)
    assert Work(train=False, compile=True) == made.missing()
    built = made.build()
    assert (False, True) == (built.trained_now, built.compiled_now)


def test_a_retrained_model_with_the_same_graph_is_not_compiled(made: Project) -> None:
    edit_watched(made)
    built = made.build()
    assert (True, False) == (built.trained_now, built.compiled_now)


def test_changed_options_reach_the_exporter(made: Project) -> None:
    made.model(labels=["no", "yes"], max_error=0.5)
    made.table["web"] = {"simd": False, "threads": False}
    made.table["native"] = {"targets": ["x86_64-linux", "host", "x86_64-linux"]}
    made.build()
    (options,) = made.exports
    assert (("no", "yes"), 0.5, False, False) == (
        options.labels,
        options.max_error,
        options.simd,
        options.threads,
    )
    assert ({"batch": (1, 8)}, {"x": "float32[batch, 4]"}) == (options.dims, options.inputs)
    assert len(set(options.native)) == len(options.native)
    assert "x86_64-linux" in options.native
    assert "host" not in options.native


def test_the_web_alone_has_no_native_library_and_shares_the_training(project: Project) -> None:
    project.table["native"] = {"targets": ["x86_64-linux"]}
    project.build()
    web = project.build(native=False)
    assert (False, True) == (web.trained_now, web.compiled_now)
    assert [("x86_64-linux",), ()] == [options.native for options in project.exports]


def test_a_damaged_bundle_is_made_again(made: Project) -> None:
    built = made.build()
    (built.directory / "m.json").write_bytes(b"[]")
    again = made.build()
    assert (False, True) == (again.trained_now, again.compiled_now)
    assert b"[]" != (again.directory / "m.json").read_bytes()


def test_missing_work_is_everything_at_first_and_nothing_at_last(project: Project) -> None:
    assert Work(train=True, compile=True) == project.missing()
    project.build()
    assert Work(train=False, compile=False) == project.missing()
    assert 1 == project.runs


def test_an_environment_without_zig_finds_what_another_has_made(made: Project, monkeypatch: pytest.MonkeyPatch) -> None:

    def absent() -> str:
        raise ToolchainError("no zig")

    monkeypatch.setattr(stages, "zig_version", absent)
    assert Work(train=False, compile=False) == made.missing()
    assert not made.build().compiled_now


def test_each_zig_has_its_own_bundles(made: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    first = made.build().directory
    monkeypatch.setattr(stages, "zig_version", lambda: "0.17.99")
    second = made.build()
    assert second.compiled_now
    assert not made.build().compiled_now
    monkeypatch.undo()
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    assert first == made.build().directory


def test_a_model_over_the_size_limit_fails_even_from_the_cache(made: Project) -> None:
    made.table["web"] = {"max-size": "14 B"}
    with pytest.raises(ConfigError, match=r"web\.max-size: model 'm' has 15 bytes of web files, more than 14 "):
        made.build()
    made.table["web"] = {"max-size": "15 B"}
    assert not made.build().compiled_now


def test_an_exporter_that_fails_keeps_the_training(project: Project) -> None:
    def disagree(*arguments: Any) -> ExportReport:
        raise VerificationError("simd: error 0.5 > 0.1")

    with pytest.raises(VerificationError):
        project.build(exporter=disagree)
    built = project.build()
    assert (False, True) == (built.trained_now, built.compiled_now)


@pytest.mark.slow
def test_concurrent_builds_train_once(project: Project) -> None:
    with ThreadPoolExecutor(4) as pool:
        built = list(pool.map(lambda _: project.build(), range(4)))
    assert (1, 1) == (project.runs, len(project.exports))
    assert 1 == len({model.directory for model in built})
    assert 1 == sum(model.trained_now for model in built)


def test_what_a_gpu_stores_is_the_projects_choice(project: Project) -> None:
    for table, expected in (({}, "float32"), ({"webgpu-precision": "float16"}, "float16")):
        project.table["web"] = table
        (job,) = plan_jobs(project.config(), project.root, None, True, project.cache)
        assert expected == job.options.webgpu_precision


def test_a_job_travels_to_another_process_and_gives_the_same_entry(project: Project) -> None:
    (job,) = plan_jobs(project.config(), project.root, None, True, project.cache)
    built = build_model(pickle.loads(pickle.dumps(job)), project.lines.append, project.export)  # noqa: S301
    assert not project.build().trained_now
    assert built.directory == project.build().directory


def test_only_the_named_models_are_built(made: Project) -> None:
    made.table["models"]["n"] = {**made.table["models"]["m"], "train": "app.training:fail"}
    assert "m" == made.build().name


def test_a_model_that_is_not_declared_is_named_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"site\.models\[1\]: 'digit' is not declared .* did you mean 'digits'\?"):
        check_model_names(["iris", "digit"], ["digits", "iris"], "site.models")


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("missing.csv", "watch[0]: 'missing.csv' finds no file in "),
        ("a**b", "watch[0]: 'a**b' "),
        (
            "out.csv",
            "watch[0]: 'out.csv' finds out.csv, a link that leaves the project -- copy the file instead",
        ),
        ("lfs.bin", "watch[0]: 'lfs.bin' finds lfs.bin, which is a Git LFS pointer -- run 'git lfs pull'"),
    ],
)
def test_a_watched_file_that_cannot_be_watched_is_named(project: Project, pattern: str, problem: str) -> None:
    (project.root / "out.csv").symlink_to(REPOSITORY / "LICENSE")
    (project.root / "lfs.bin").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    project.model(watch=[pattern])
    with pytest.raises(ConfigError) as caught:
        project.build()
    assert problem in str(caught.value)


def test_a_file_missing_from_an_sdist_is_explained(project: Project) -> None:
    (project.root / "PKG-INFO").write_bytes(b"")
    project.model(watch=["missing.csv"])
    with pytest.raises(ConfigError, match="it is not in the sdist: remove it from your excludes"):
        project.build()


def test_a_watched_folder_stands_for_its_files(project: Project) -> None:
    (project.root / "data").mkdir()
    (project.root / "data" / "deep.csv").write_bytes(b"1")
    project.model(watch=["data"])
    project.build()
    (project.root / "data" / "deep.csv").write_bytes(b"2")
    assert project.missing().train
