"""The table of a new model: what can be found out about its training function, its file or its data."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

from neurenix.config.rules import a_data_file, a_model_file, a_module_function, model_name
from neurenix.data import Table, read_csv
from neurenix.errors import ConfigError, NeurenixError
from neurenix.frontends.load import load

STUB = '''\
"""Trains the model that `hatch build` and `neurenix build` ship."""

from __future__ import annotations

import numpy as np

from neurenix import manual_seed
from neurenix.nn import CrossEntropyLoss, Linear, ReLU, Sequential, Softmax
from neurenix.optim import Adam
from neurenix.tensor import Tensor
from neurenix.training import Trained


def {function}(epochs: int = 100, seed: int = 0) -> Trained:
    """Return the trained model and what was measured of it. `params` in pyproject.toml gives other arguments."""
    manual_seed(seed)
    random = np.random.default_rng(seed)

    # Your data: here points in the plane, and whether they lie inside a circle. Files that you read belong into
    # `watch` in pyproject.toml, so that a change in one trains the model anew.
    x = random.uniform(-1, 1, (512, 2)).astype(np.float32)
    y = (np.hypot(x[:, 0], x[:, 1]) < 0.7).astype(np.int64)
    x_train, x_test, y_train, y_test = x[:384], x[384:], y[:384], y[384:]

    # Your model. Its last layer comes after training: the loss wants plain scores, whoever asks wants probabilities.
    model = Sequential(Linear(2, 16), ReLU(), Linear(16, 2))
    loss, optimizer = CrossEntropyLoss(), Adam(model.parameters(), lr=0.02)
    for _ in range(epochs):
        optimizer.zero_grad()
        loss(model(Tensor(x_train)), Tensor(y_train)).backward()
        optimizer.step()

    # What you measure here is printed by the build; `min-metric` makes it fail below a limit.
    accuracy = float((model(Tensor(x_test)).numpy().argmax(1) == y_test).mean())
    return Trained(Sequential(model, Softmax(-1)).eval(), {{"accuracy": accuracy}})
'''


def check_name(name: str) -> str:
    """Return a model's name, or raise ConfigError."""
    problem = model_name(name)
    if problem is not None:
        raise ConfigError([f"tool.neurenix.models: {problem}"])
    return name


def from_function(reference: str) -> dict[str, Any]:
    """Return the table of a model that a function trains."""
    _check(a_module_function(reference), "train")
    return {"train": reference}


def from_file(root: Path, path: str, architecture: str | None) -> tuple[dict[str, Any], list[str]]:
    """Return the table of a model that a file has, and notes. An .onnx file is read, where onnx is installed."""
    relative = _inside(root, path, "load")
    _check(a_model_file(relative), "load")
    table: dict[str, Any] = {"load": relative}
    if architecture is not None:
        _check(a_module_function(architecture), "architecture")
        return {**table, "architecture": architecture}, []
    if not relative.lower().endswith(".onnx") or importlib.util.find_spec("onnx") is None:
        return table, []
    try:
        dims = load(root / relative).dims
    except NeurenixError as error:
        return table, [f"{relative} cannot be compiled as it is: {error}"]
    if dims:
        table["dims"] = {name: {"min": low, "max": high} for name, (low, high) in dims.items()}
    return table, []


def from_data(root: Path, path: str, target: str | None) -> tuple[dict[str, Any], list[str]]:
    """Return the table of a model that is trained on a CSV file, and notes. Without a target it is the last column."""
    relative = _inside(root, path, "data")
    _check(a_data_file(relative), "data")
    read = read_csv(root / relative)
    column = target if target is not None else list(read.columns)[-1]
    if column not in read.columns:
        raise ConfigError([f"target: {relative} has no column {column!r}; its columns are {', '.join(read.columns)}"])
    table: dict[str, Any] = {"data": relative, "target": column}
    notes = []
    ignored = [name for name in read.columns if name != column and _is_no_category(read, name)]
    if ignored:
        table["columns"] = dict.fromkeys(ignored, "ignore")
        notes.append(f"ignored, for they have too many different words: {', '.join(ignored)}")
    entries = len(read.categories.get(column, ("number",)))
    table["layers"] = [{"linear": 16}, "relu", {"linear": entries}]
    return table, notes


def columns_of(root: Path, path: str) -> list[str]:
    """Return the columns of a CSV file."""
    return list(read_csv(root / _inside(root, path, "data")).columns)


def stub_path(root: Path, reference: str) -> Path | None:
    """Return where the module of a training function would be written; None where it or its package cannot be."""
    module = reference.partition(":")[0].split(".")
    for base in (root / "src", root):
        file = base.joinpath(*module).with_suffix(".py")
        package = base.joinpath(*module)
        if file.exists() or package.exists():
            return None
        if file.parent.is_dir() and (len(module) == 1 or file.parent.joinpath("__init__.py").exists()):
            return file if base.name != "src" or len(module) > 1 else root / file.name
    return None


def default_function(root: Path, project: str) -> str:
    """Return the reference that a training function of this project would have: in its package, if there is one."""
    packages = [path.parent for base in (root / "src", root) for path in sorted(base.glob("*/__init__.py"))]
    named = [p for p in packages if p.name == re.sub(r"[-.]+", "_", project)]
    own = named or packages
    return f"{own[0].name}.training:train" if named or len(packages) == 1 else "training:train"


def _is_no_category(table: Table, name: str) -> bool:
    """Say whether a column of words is more likely a name or a key: the training refuses it then."""
    return len(table.categories.get(name, ())) > max(20, len(table) // 2)


def _inside(root: Path, path: str, key: str) -> str:
    full = (root / path).resolve()
    if not full.is_file():
        raise ConfigError([f"{key}: {path!r} is no file in {root.resolve()}"])
    if not full.is_relative_to(root.resolve()):
        raise ConfigError([f"{key}: {path!r} leaves the project -- copy it into {root.resolve()}"])
    return full.relative_to(root.resolve()).as_posix()


def _check(problem: Any, key: str) -> None:
    if problem is not None:
        raise ConfigError([f"{key}: {problem}"])


def stub_of(reference: str) -> str:
    """Return the text of a module that trains a model."""
    return STUB.format(function=reference.partition(":")[2].partition(".")[0])
