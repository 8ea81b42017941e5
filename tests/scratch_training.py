"""A scratch project with a training function for every way to fail, and an exporter that compiles nothing."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from neurenix.config import parse_config
from neurenix.export import ExportOptions, ExportReport, FileReport
from neurenix.project.pipeline import BuiltModel, Work, build_models, missing_work

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

def interrupt():
    raise KeyboardInterrupt

def vanish():
    os._exit(0)

def ask():
    return input("how many? ")

def reads(names):
    import scale
    for name in names:
        Path(name).read_text()
    return train()

def listed():
    return Trained(train().model, [0.5])

def no_weights(value="nan"):
    model = train().model
    next(iter(model.parameters())).numpy()[0, :2] = float(value)
    return model

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

def image():
    from neurenix.nn import Conv2d
    return Conv2d(3, 4, 3)

def with_examples(count=20):
    rows = np.random.default_rng(0).normal(700, 30, (count, 4))
    return Trained(train().model, examples={"x": rows})

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


def make_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Write the project below `tmp_path` and let its training process find this checkout."""
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
    return Project(root, tmp_path / "cache", table={"models": {"m": model}})


@pytest.fixture(scope="session")
def made_before(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose model has been made, for `made` to copy."""
    with pytest.MonkeyPatch.context() as patch:
        project = make_project(tmp_path_factory.mktemp("made"), patch)
        project.build()
    return project


@pytest.fixture
def made(made_before: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose model has been made: for tests of what comes after, which need not train again for it."""
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    root, cache = (Path(shutil.copytree(a, tmp_path / a.name)) for a in (made_before.root, made_before.cache))
    return Project(root, cache, table=copy.deepcopy(made_before.table))
