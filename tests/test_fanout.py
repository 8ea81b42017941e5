"""Claims about several models at once: in processes, on a dask cluster, and what of the others when some fail."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from scratch_training import Project, make_project

from neurenix.cache import Cache
from neurenix.errors import BuildError, ConfigError, NeurenixError, TrainingError
from neurenix.project.pipeline import BuiltModel, build_models

pytestmark = pytest.mark.slow

TOGETHER = """

def meet(me, other, seed=0):
    # Both must be training at the same time.
    print("process", os.getppid())
    Path(me).touch()
    for _ in range(600):
        if Path(other).exists():
            return train(seed=seed)
        time.sleep(0.05)
    raise TimeoutError(other)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with the models a, b and c, which differ in their seeds."""
    project = make_project(tmp_path, monkeypatch)
    module = project.root / "src" / "app" / "training.py"
    module.write_text(module.read_text(encoding="utf-8") + TOGETHER, encoding="utf-8")
    model = project.table["models"].pop("m")
    for seed, name in enumerate("abc"):
        project.table["models"][name] = {**model, "params": {"seed": seed}}
    return project


def build(project: Project, **more: Any) -> tuple[BuiltModel, ...]:
    given = {"exporter": project.export, "cache": project.cache, **more}
    return build_models(project.config(), project.root, None, project.lines.append, **given)


def labels(project: Project) -> list[str]:
    return sorted(entry.label for entry in Cache(project.cache).entries())


def meeting(project: Project) -> None:
    for me, other in (("a", "b"), ("b", "a")):
        params = {"me": f"{me}.here", "other": f"{other}.here", "seed": ord(me)}
        project.table["models"][me].update(train="app.training:meet", params=params)
    del project.table["models"]["c"]


def test_models_are_built_at_the_same_time_in_processes_and_returned_in_order(project: Project) -> None:
    meeting(project)
    project.table["workers"] = 2
    built = build(project)
    assert [("a", True, True), ("b", True, True)] == [(m.name, m.trained_now, m.compiled_now) for m in built]
    parents = {line for line in project.lines if "process" in line}
    assert 2 == len(parents)
    assert not any(str(os.getpid()) in line for line in parents)
    again = build(project)
    assert [m.directory for m in built] == [m.directory for m in again]
    assert not any(m.trained_now or m.compiled_now for m in again)


def test_one_failing_model_names_itself_and_loses_nothing_of_the_others(project: Project) -> None:
    project.table["models"]["b"].update(train="app.training:fail", params={})
    with pytest.raises(BuildError, match="1 of 3 models could not be built; what is done of the others") as caught:
        build(project)
    assert "\n  b: tool.neurenix.models.b.train: train failed: ValueError: no data in the file" in str(caught.value)
    assert ["b"] == list(caught.value.failures)
    assert isinstance(caught.value.failures["b"], TrainingError)
    assert ["bundle a", "bundle c", "trained a", "trained c"] == labels(project)
    del project.table["models"]["b"]
    assert not any(model.trained_now or model.compiled_now for model in build(project))


def test_every_failure_is_listed_in_the_order_of_the_configuration(project: Project) -> None:
    project.table["models"]["c"].update(train="app.training:fail", params={})
    project.table["models"]["a"].update(train="app.training:nothing", params={})
    with ThreadPoolExecutor(1) as executor, pytest.raises(BuildError) as caught:
        build(project, executor=executor)
    assert ["a", "c"] == list(caught.value.failures)
    assert ["bundle b", "trained b"] == labels(project)


def test_a_process_that_dies_is_a_failure_of_its_model(project: Project) -> None:
    project.table["models"]["a"].update(train="app.training:die", params={})
    with ThreadPoolExecutor(2) as executor, pytest.raises(BuildError, match=r"a: .* ended with SIGKILL"):
        build(project, executor=executor)
    assert {"trained b", "trained c"} <= set(labels(project))


def test_a_single_failing_model_raises_its_own_error(project: Project) -> None:
    project.table["models"] = {"a": {**project.table["models"]["a"], "train": "app.training:fail", "params": {}}}
    with pytest.raises(TrainingError, match="no data in the file"):
        build(project)


def test_only_what_is_missing_is_given_to_the_executor(project: Project) -> None:
    class Counting(ThreadPoolExecutor):
        submitted = 0

        def submit(self, *arguments: Any, **named: Any) -> Any:
            self.submitted += 1
            return super().submit(*arguments, **named)

    with Counting(2) as executor:
        build(project, executor=executor)
        assert 3 == executor.submitted
        project.table["models"]["a"]["params"] = {"seed": 7}
        project.table["models"]["c"]["params"] = {"seed": 8}
        build(project, executor=executor)
        assert 5 == executor.submitted


def test_errors_travel_between_processes_whole() -> None:
    import pickle

    error = BuildError({"a": ConfigError(["x: is wrong"], "the pages"), "b": TrainingError("no")}, 3)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (str(error), error.code) == (str(copy), copy.code)
    assert ("x: is wrong",) == copy.failures["a"].problems


@pytest.mark.filterwarnings("default")
def test_dask_without_a_cluster_is_explained(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.table["executor"] = "dask"
    monkeypatch.delenv("NEURENIX_DASK_SCHEDULER", raising=False)
    with pytest.raises(
        ConfigError, match=r"set dask-scheduler = .* or the environment variable NEURENIX_DASK_SCHEDULER"
    ):
        build(project)


@pytest.fixture
def cluster(tmp_path: Path, project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a cluster of two worker processes, which have a cache of their own."""
    import distributed

    monkeypatch.setenv("NEURENIX_CACHE_DIR", str(tmp_path / "workers-cache"))
    monkeypatch.setenv("PYTHONPATH", f"{os.environ['PYTHONPATH']}{os.pathsep}{Path(__file__).parent}")
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster:
        yield cluster.scheduler_address


@pytest.mark.filterwarnings("default")
def test_a_dask_cluster_trains_and_compiles_and_sends_the_results_back(
    project: Project, cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting(project)
    project.table["models"]["c"] = {**project.table["models"]["a"], "train": "app.training:fail", "params": {}}
    project.table.update({"executor": "dask", "dask-scheduler": "tcp://127.0.0.1:1"})
    monkeypatch.setenv("NEURENIX_DASK_SCHEDULER", cluster)
    with pytest.raises(BuildError, match=r"1 of 3 models could not be built.*\n  c: .*no data in the file"):
        build(project)
    assert ["bundle a", "bundle b", "trained a", "trained b"] == labels(project)
    assert 4 == len(Cache(tmp_path / "workers-cache").entries())
    assert f"building 3 models on the dask cluster {cluster}" in project.lines
    del project.table["models"]["c"]
    # Nothing is missing: no cluster is asked.
    monkeypatch.delenv("NEURENIX_DASK_SCHEDULER")
    built = build(project)
    assert ["a", "b"] == [model.name for model in built]
    assert all(model.directory.is_relative_to(project.cache) for model in built)
    assert not any(model.trained_now for model in built)


@pytest.mark.filterwarnings("default")
def test_a_scheduler_that_does_not_answer_is_named(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neurenix.project.fanout.SCHEDULER_SECONDS", 1)
    project.table.update({"executor": "dask", "dask-scheduler": "tcp://127.0.0.1:1"})
    start = time.monotonic()
    with pytest.raises(NeurenixError, match=r"dask-scheduler: tcp://127\.0\.0\.1:1 does not answer"):
        build(project)
    assert time.monotonic() - start < 30
