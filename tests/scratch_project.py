"""A scratch project that uses the Hatch plugin of this checkout, built in subprocesses."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent

PYPROJECT = """
[build-system]
requires = ["hatchling", "hatch-neurenix"]
build-backend = "hatchling.build"

[project]
name = "scratch-app"
version = "1.0"
requires-python = ">=3.10"

[tool.hatch.build]
dev-mode-dirs = ["src"]

[tool.hatch.build.hooks.neurenix]

[tool.hatch.build.targets.static-site]
pages = "web"

[tool.neurenix.models.tiny]
train = "scratch_app.training:train"
inputs = { x = "float32[batch, 4]" }
dims = { batch = { min = 1, max = 8 } }
labels = ["a", "b", "c"]
watch = ["data/*.csv"]
"""

TRAINING = """
from pathlib import Path

import numpy as np
from neurenix.nn import Linear, Sequential, Softmax
from neurenix.training import Trained

def train(epochs=2):
    for epoch in range(epochs):
        print(f"epoch {epoch + 1} of {epochs}")
    seed = len(Path("data/samples.csv").read_text())
    model = Sequential(Linear(4, 3), Softmax(-1))
    for parameter in model.parameters():
        parameter.numpy()[...] = np.random.default_rng(seed).standard_normal(parameter.shape)
    return Trained(model, {"test accuracy": 0.9876})
"""


ENTRY_POINTS = """
[hatch]
neurenix = hatch_neurenix.hooks

[setuptools.finalize_distribution_options]
neurenix = hatch_neurenix.setuptools_command:finalize
"""


@dataclass
class Project:
    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, status: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **self.environment, **variables}
        command = [sys.executable, "-m", *arguments]
        done = subprocess.run(
            command, cwd=self.root, env=environment, capture_output=True, text=True, check=False, timeout=300
        )
        assert status == done.returncode, done.stdout + done.stderr
        return done

    def build(self, *arguments: str, status: int = 0, **variables: str) -> str:
        """Run `hatchling build` and return what it says on stderr."""
        return self.run("hatchling", "build", *arguments, status=status, **variables).stderr

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def configure(self, old: str, new: str) -> None:
        text = (self.root / "pyproject.toml").read_text(encoding="utf-8")
        assert old in text
        self.write("pyproject.toml", text.replace(old, new))

    @property
    def dist(self) -> list[str]:
        return sorted(path.name for path in (self.root / "dist").iterdir())

    @property
    def wheel(self) -> Path:
        (path,) = (self.root / "dist").glob("*.whl")
        return path

    @property
    def site(self) -> Path:
        return self.root / "dist" / "scratch_app-1.0-site"


def make_shared(folder: Path) -> Path:
    """Give a folder the plugin's entry point, as an installation has it; a cache for many tests goes there too."""
    info = folder / "site" / "hatch_neurenix-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hatch-neurenix\nVersion: 0.1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(ENTRY_POINTS, encoding="utf-8")
    return folder


def make_project(root: Path, shared: Path, cache: Path) -> Project:
    path = os.pathsep.join(filter(None, [str(REPOSITORY), str(shared / "site"), os.environ.get("PYTHONPATH")]))
    project = Project(root, {"PYTHONPATH": path, "NEURENIX_CACHE_DIR": str(cache)})
    project.write("pyproject.toml", PYPROJECT)
    project.write("src/scratch_app/__init__.py", "")
    project.write("src/scratch_app/training.py", TRAINING)
    project.write("data/samples.csv", "1,2,3\n")
    project.write("web/index.html", "<!DOCTYPE html><title>mine</title>")
    project.write("web/app/main.js", "export {};\n")
    project.write(".gitignore", "data/\ndist/\n")
    (root / ".git").mkdir()
    return project


def names_in(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def read_in(wheel: Path, name: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(name).decode()


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def refuses(project: Project, *arguments: str) -> str:
    said = project.build(*arguments, status=1)
    assert said.startswith("hatch-neurenix: ") or "\nhatch-neurenix: " in said
    assert "Traceback" not in said
    return said
