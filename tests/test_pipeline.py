"""Claims about the pipeline: what runs, what the cache answers, and what a failing training is called."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from neurenix import pipeline
from neurenix.config import parse_config
from neurenix.errors import ConfigError, NeurenixError, ToolchainError, TrainingError, VerificationError
from neurenix.export import ExportOptions, ExportReport, FileReport
from neurenix.graph.store import load_graph
from neurenix.pipeline import (
    BuiltModel,
    Work,
    build_model,
    build_models,
    check_model_names,
    missing_work,
    plan_jobs,
)

REPOSITORY = Path(__file__).parent.parent

TRAINING = """
import os, sys, time
from pathlib import Path

import numpy as np
from neurenix.nn import Linear, ReLU, Sequential
from neurenix.training import Trained

from app.layers import WIDTH

def train(epochs=1, seed=0):
    with open("runs.txt", "a") as runs:
        runs.write("trained\\n")
    for epoch in range(epochs):
        print(f"epoch {epoch + 1} of {epochs}")
    print("careful", file=sys.stderr)
    model = Sequential(Linear(4, WIDTH), ReLU(), Linear(WIDTH, 2))
    generator = np.random.default_rng(seed)
    for parameter in model.parameters():
        parameter.numpy()[...] = generator.standard_normal(parameter.shape)
    return Trained(model, {"accuracy": 0.75})

def bare():
    return train().model

def fail():
    raise ValueError("no data in the file")

def nothing():
    return None

def diverged():
    return Trained(train().model, {"loss": float("nan")})

def no_number():
    return Trained(train().model, {"loss": "low"})

def leave():
    sys.exit("done")

def die():
    os.kill(os.getpid(), 9)

def sleep(pid_file):
    import subprocess
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    Path(pid_file).write_text(str(child.pid))
    print("sleeping")
    time.sleep(60)

def environment():
    print("threads", os.environ["OPENBLAS_NUM_THREADS"])
    print("seed", os.environ["PYTHONHASHSEED"], "in", os.getcwd())
    return train()

def bar():
    sys.stdout.write("10 %\\r20 %\\r")
    return train()

number = 3
"""


@dataclass
class Project:
    root: Path
    cache: Path
    lines: list[str] = field(default_factory=list)
    exports: list[ExportOptions] = field(default_factory=list)
    table: dict[str, Any] = field(default_factory=dict)

    def model(self, **keys: Any) -> None:
        self.table["models"]["m"].update({key.replace("_", "-"): value for key, value in keys.items()})

    def config(self) -> Any:
        return parse_config({"tool": {"neurenix": self.table}})

    def build(self, **more: Any) -> BuiltModel:
        more = {"exporter": self.export, "cache": self.cache, **more}
        (built,) = build_models(self.config(), self.root, ["m"], self.lines.append, **more)
        return built

    def missing(self, **more: Any) -> Work:
        return missing_work(self.config(), self.root, **{"cache": self.cache, **more})

    def export(
        self, graph: Any, directory: Path, name: str, options: ExportOptions, say: Callable[[str], None]
    ) -> ExportReport:
        self.exports.append(options)
        say("exporting")
        (directory / f"{name}.json").write_text(json.dumps([*graph.inputs, *graph.outputs]), encoding="utf-8")
        (directory / f"{name}.x86_64-linux.so").write_bytes(b"\0" * 5000)
        files = tuple(FileReport(path.name, path.stat().st_size, 10) for path in sorted(directory.iterdir()))
        return ExportReport(name, directory, files, {"simd": 1e-7}, options.native)

    @property
    def runs(self) -> int:
        file = self.root / "runs.txt"
        return len(file.read_text(encoding="utf-8").splitlines()) if file.exists() else 0


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    root = tmp_path / "project"
    package = root / "src" / "app"
    package.mkdir(parents=True)
    (package / "__init__.py").write_bytes(b"")
    (package / "layers.py").write_text("WIDTH = 3\n", encoding="utf-8")
    (package / "training.py").write_text(TRAINING, encoding="utf-8")
    (package / "broken.py").write_text("def train(:\n", encoding="utf-8")
    (package / "needy.py").write_text("import no_such_package\n", encoding="utf-8")
    (root / "data.csv").write_text("1,2\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    model = {
        "train": "app.training:train",
        "inputs": {"x": "float32[batch, 4]"},
        "dims": {"batch": {"max": 8}},
        "watch": ["data.csv"],
        "timeout": 60,
    }
    yield Project(root, tmp_path / "cache", table={"models": {"m": model}})


def failure(project: Project, train: str, **keys: Any) -> str:
    project.model(train=train, **keys)
    with pytest.raises(TrainingError) as caught:
        project.build()
    message = str(caught.value)
    assert "Traceback" not in message
    assert [] == list((project.cache / "v1" / "entries").iterdir())
    assert [] == list((project.cache / "v1" / "making").iterdir())
    return message.removeprefix("tool.neurenix.models.m.train: ")


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


def test_a_project_in_another_folder_finds_the_same_entries(project: Project) -> None:
    project.build()
    project.root = project.root.rename(project.root.with_name("moved"))
    assert not project.build().trained_now


def test_what_training_prints_is_seen_and_kept(project: Project) -> None:
    project.model(params={"epochs": 2})
    project.build()
    assert ["  epoch 1 of 2", "  epoch 2 of 2", "  careful"] == [x for x in project.lines if x.startswith("  ")]
    (log,) = (project.cache / "v1" / "logs").iterdir()
    assert "epoch 1 of 2\nepoch 2 of 2\ncareful\n" == log.read_text(encoding="utf-8")


def test_a_carriage_return_ends_a_line(project: Project) -> None:
    project.model(train="app.training:bar")
    project.build()
    assert {"  10 %", "  20 %"} <= set(project.lines)


def test_training_is_pinned_to_one_thread_and_one_seed_in_the_projects_folder(project: Project) -> None:
    project.model(train="app.training:environment")
    project.build()
    assert {"  threads 1", f"  seed 0 in {project.root}"} <= set(project.lines)


def test_the_traced_graph_has_the_declared_inputs_and_dims(project: Project) -> None:
    project.build()
    (path,) = project.cache.glob("v1/entries/*/files/graph.npz")
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
def test_whatever_training_depends_on_retrains(project: Project, change: Callable[[Project], None]) -> None:
    project.build()
    change(project)
    assert Work(train=True, compile=True) == project.missing()
    assert project.build().trained_now


@pytest.mark.parametrize("keys", [{"max_error": 0.5}, {"labels": ["no", "yes"]}])
def test_an_export_option_compiles_without_training(project: Project, keys: dict[str, Any]) -> None:
    project.build()
    project.model(**keys)
    assert Work(train=False, compile=True) == project.missing()
    built = project.build()
    assert (False, True) == (built.trained_now, built.compiled_now)


def test_a_retrained_model_with_the_same_graph_is_not_compiled(project: Project) -> None:
    project.build()
    edit_watched(project)
    built = project.build()
    assert (True, False) == (built.trained_now, built.compiled_now)


def test_changed_options_reach_the_exporter(project: Project) -> None:
    project.model(labels=["no", "yes"], max_error=0.5)
    project.table["web"] = {"simd": False, "threads": False}
    project.table["native"] = {"targets": ["x86_64-linux", "host", "x86_64-linux"]}
    project.build()
    (options,) = project.exports
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


def test_a_damaged_bundle_is_made_again(project: Project) -> None:
    built = project.build()
    (built.directory / "m.json").write_bytes(b"[]")
    again = project.build()
    assert (False, True) == (again.trained_now, again.compiled_now)
    assert b"[]" != (again.directory / "m.json").read_bytes()


def test_missing_work_is_everything_at_first_and_nothing_at_last(project: Project) -> None:
    assert Work(train=True, compile=True) == project.missing()
    project.build()
    assert Work(train=False, compile=False) == project.missing()
    assert 1 == project.runs


def test_an_environment_without_zig_finds_what_another_has_made(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.build()

    def absent() -> str:
        raise ToolchainError("no zig")

    monkeypatch.setattr(pipeline, "zig_version", absent)
    assert Work(train=False, compile=False) == project.missing()
    assert not project.build().compiled_now


def test_each_zig_has_its_own_bundles(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    first = project.build().directory
    monkeypatch.setattr(pipeline, "zig_version", lambda: "0.17.99")
    second = project.build()
    assert second.compiled_now
    assert not project.build().compiled_now
    monkeypatch.undo()
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    assert first == project.build().directory


def test_a_model_over_the_size_limit_fails_even_from_the_cache(project: Project) -> None:
    project.build()
    project.table["web"] = {"max-size": "14 B"}
    with pytest.raises(ConfigError, match=r"web\.max-size: model 'm' has 15 bytes of web files, more than 14 "):
        project.build()
    project.table["web"] = {"max-size": "15 B"}
    assert not project.build().compiled_now


def test_an_exporter_that_fails_keeps_the_training(project: Project) -> None:
    def disagree(*arguments: Any) -> ExportReport:
        raise VerificationError("simd: error 0.5 > 0.1")

    with pytest.raises(VerificationError):
        project.build(exporter=disagree)
    built = project.build()
    assert (False, True) == (built.trained_now, built.compiled_now)


def test_concurrent_builds_train_once(project: Project) -> None:
    with ThreadPoolExecutor(4) as pool:
        built = list(pool.map(lambda _: project.build(), range(4)))
    assert (1, 1) == (project.runs, len(project.exports))
    assert 1 == len({model.directory for model in built})
    assert 1 == sum(model.trained_now for model in built)


def test_a_job_travels_to_another_process_and_gives_the_same_entry(project: Project) -> None:
    (job,) = plan_jobs(project.config(), project.root, None, True, project.cache)
    built = build_model(pickle.loads(pickle.dumps(job)), project.lines.append, project.export)  # noqa: S301
    assert not project.build().trained_now
    assert built.directory == project.build().directory


def test_only_the_named_models_are_built(project: Project) -> None:
    project.table["models"]["n"] = {**project.table["models"]["m"], "train": "app.training:fail"}
    assert "m" == project.build().name


def test_a_model_that_is_not_declared_is_named_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"site\.models\[1\]: 'digit' is not declared .* did you mean 'digits'\?"):
        check_model_names(["iris", "digit"], ["digits", "iris"], "site.models")


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (
            "app.nowhere:train",
            "cannot import 'app.nowhere' (searched src and the project's root; No module named",
        ),
        ("app.needy:train", "-- add 'no_such_package' to train-dependencies"),
        ("app.broken:train", "cannot import 'app.broken': SyntaxError: "),
        ("app.training:trian", "'app.training' has no 'trian' -- did you mean 'train'?"),
        ("app.training:number", "'app.training.number' is a int, not a function"),
        (
            "app.training:fail",
            "train failed: ValueError: no data in the file (src/app/training.py, line 27)",
        ),
        ("app.training:nothing", "train must return a model (or a Trained), got NoneType"),
        ("app.training:diverged", "train returned the metric 'loss' as nan: the training has diverged"),
        ("app.training:no_number", "train returned the metric 'loss' as str, not a number"),
        ("app.training:leave", "train failed: it called sys.exit('done')"),
        ("app.training:die", "the process ended with SIGKILL (out of memory?)"),
        ("app.training:sleep", "params: 'sleep' needs the parameter 'pid_file' -- add it to 'params'"),
    ],
)
def test_a_failing_training_says_what_is_wrong_and_where_the_log_is(project: Project, train: str, message: str) -> None:
    text = failure(project, train)
    assert message in text
    assert "; log: " in text
    assert Path(text.rpartition("; log: ")[2]).is_file()


def test_a_wrong_parameter_is_named_with_a_suggestion(project: Project) -> None:
    text = failure(project, "app.training:train", params={"epoch": 3})
    assert text.startswith("params: 'train' has no parameter 'epoch' -- did you mean 'epochs'?; log: ")


def test_the_traceback_is_the_cause_and_lies_in_the_log(project: Project) -> None:
    project.model(train="app.training:fail")
    with pytest.raises(TrainingError) as caught:
        project.build()
    assert "in fail" in str(caught.value.__cause__)
    (log,) = (project.cache / "v1" / "logs").iterdir()
    assert "in fail" in log.read_text(encoding="utf-8")


def test_a_model_that_does_not_fit_its_inputs_is_a_typed_error(project: Project) -> None:
    project.model(inputs={"x": "float32[batch, 5]"})
    with pytest.raises(NeurenixError, match=r"tool\.neurenix\.models\.m\.train: "):
        project.build()


def test_training_over_its_time_is_killed_with_its_children(project: Project) -> None:
    pid_file = project.root / "pid"
    started = time.monotonic()
    text = failure(project, "app.training:sleep", params={"pid_file": str(pid_file)}, timeout=3)
    assert text.startswith("exceeded 3 s -- raise 'timeout'; log: ")
    assert time.monotonic() - started < 20
    assert has_ended(int(pid_file.read_text(encoding="utf-8")))


def test_training_ends_when_its_build_is_killed(project: Project, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from neurenix.config import parse_config\n"
        "from neurenix.training_run import run_training\n"
        "table = {'train': 'app.training:sleep', 'params': {'pid_file': 'pid'}}\n"
        "config = parse_config({'tool': {'neurenix': {'models': {'m': table}}}})\n"
        "output = Path(sys.argv[2])\n"
        "say = lambda line: print(line, flush=True)\n"
        "run_training('m', config.models['m'], Path(sys.argv[1]), output, output / 'log', say)\n"
    )
    command = [sys.executable, "-c", code, str(project.root), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert b"sleeping" == process.stdout.readline().strip()
        child = int((project.root / "pid").read_text(encoding="utf-8"))
        trainer = int(Path(f"/proc/{child}/stat").read_text(encoding="utf-8").split()[3])
        process.send_signal(signal.SIGKILL)
    assert has_ended(trainer)
    os.kill(child, signal.SIGKILL)


def has_ended(pid: int) -> bool:
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


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
