"""Claims about training: what it prints is seen, what it is told is repeatable, how it fails is named."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scratch_training import Project, make_project

from neurenix.errors import NeurenixError, TrainingError
from neurenix.export import ExportReport
from neurenix.graph.graph import Graph
from neurenix.project.finite_weights import check_finite
from neurenix.project.pipeline import build_models


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return make_project(tmp_path, monkeypatch)


def failure(project: Project, train: str, **keys: Any) -> str:
    project.model(train=train, **keys)
    with pytest.raises(TrainingError) as caught:
        project.build()
    message = str(caught.value)
    assert "Traceback" not in message
    assert [] == list((project.cache / "v1" / "entries").iterdir())
    assert [] == list((project.cache / "v1" / "making").iterdir())
    return message.removeprefix("tool.neurenix.models.m.train: ")


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
        ("app.training:listed", "train must return its metrics as a dict of numbers, got list"),
        ("app.training:no_weights", "2 of the 12 values of '0.weight' are not finite: the training has diverged"),
        ("app.training:interrupt", "train failed: KeyboardInterrupt (src/app/training.py, line "),
        ("app.training:vanish", "the process ended with exit status 0, before it gave a model"),
        ("app.training:ask", "train failed: EOFError: EOF when reading a line"),
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


def test_infinite_weights_are_refused_too(project: Project) -> None:
    assert "'0.weight' are not finite" in failure(project, "app.training:no_weights", params={"value": "inf"})


def test_examples_that_training_returns_become_ranges_beside_the_graph(project: Project) -> None:
    graphs: list[Graph] = []

    def keep(graph: Any, *rest: Any) -> ExportReport:
        graphs.append(graph)
        return project.export(graph, *rest)

    project.model(train="app.training:with_examples")
    project.build(exporter=keep)
    spread = graphs[0].spreads["x"]
    assert all(620 < low < 680 and 720 < high < 780 for low, high in zip(spread.low, spread.high))


def test_too_few_examples_are_a_typed_error(project: Project) -> None:
    message = failure(project, "app.training:with_examples", params={"count": 3})
    assert "train returned examples of 'x' that are not 8 or more of finite numbers" in message


def test_a_mask_of_infinity_is_no_weight() -> None:
    values = {"mask": np.full(4, -np.inf, np.float32), "nothing": np.array(np.nan, np.float32)}
    graph = Graph("masked", (), (), (), {}, values, {})
    check_finite(graph)
    with pytest.raises(TrainingError, match=r"1 of the 2 values of 'table' are not finite"):
        check_finite(replace(graph, constants={"table": np.array([1, np.nan], np.float32)}))


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


@pytest.mark.slow
def test_training_over_its_time_is_killed_with_its_children(project: Project) -> None:
    pid_file = project.root / "pid"
    started = time.monotonic()
    text = failure(project, "app.training:sleep", params={"pid_file": str(pid_file)}, timeout=8)
    assert text.startswith("exceeded 8 s -- raise 'timeout'; log: ")
    assert time.monotonic() - started < 40
    assert has_ended(int(pid_file.read_text(encoding="utf-8")))


def test_training_ends_when_nobody_hears_it(project: Project) -> None:
    def closed(line: str) -> None:
        if "sleeping" in line:
            raise BrokenPipeError("the terminal is gone")

    pid_file = project.root / "pid"
    project.model(train="app.training:sleep", params={"pid_file": str(pid_file)})
    with pytest.raises(BrokenPipeError):
        build_models(project.config(), project.root, None, closed, cache=project.cache, exporter=project.export)
    assert has_ended(int(pid_file.read_text(encoding="utf-8")))


@pytest.mark.slow
def test_training_ends_with_its_children_when_its_build_is_killed(project: Project, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from neurenix.config import parse_config\n"
        "from neurenix.project.training_run import run_training\n"
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
    assert has_ended(child)


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


def test_a_file_that_is_read_and_not_watched_is_told(project: Project) -> None:
    (project.root / "more.txt").write_text("3", encoding="utf-8")
    (project.root / "scale.py").write_text("FACTOR = 2\n", encoding="utf-8")
    project.model(train="app.training:reads", params={"names": ["data.csv", "more.txt"]})
    project.build()
    said = "  'more.txt', 'scale.py' was read and is not watched: add it to 'watch', or a change in it makes no new 'm'"
    assert said in project.lines
    project.lines.clear()
    project.model(watch=["data.csv", "more.txt", "scale.py"])
    project.build()
    assert [] == [line for line in project.lines if "watch" in line]


def test_a_kernel_that_is_read_and_not_watched_is_an_error(project: Project) -> None:
    (project.root / "scale.py").write_bytes(b"")
    (project.root / "cut.c").write_bytes(b"")
    text = failure(project, "app.training:reads", params={"names": ["cut.c"]})
    assert text.startswith("'cut.c' was read and is not watched: a change in it would not reach the model -- add it")
