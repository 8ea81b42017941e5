"""A small exported model for the tests of load_model, and ways to spoil its manifest.

The fixtures that export it are in exported_bundle.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import neurenix
from neurenix.bundle import description
from neurenix.bundle.writer import plan_number
from neurenix.errors import NeurenixError
from neurenix.nn import BatchNorm2d, Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential, Softmax
from neurenix.tensor import Tensor

NAME = "cnn"
Edit = Callable[[Any], object]


def cnn() -> Sequential:
    neurenix.manual_seed(0)
    return Sequential(
        Conv2d(1, 5, 3, padding=1), BatchNorm2d(5), ReLU(), MaxPool2d(2), Flatten(), Linear(5 * 16, 4), Softmax()
    ).eval()


def images(count: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal((count, 1, 8, 8)).astype(np.float32)


def answer(x: Any) -> Any:
    with neurenix.no_grad():
        return cnn()(Tensor(x)).numpy()


def edit(folder: Path, change: Edit, *, signed: bool = True) -> None:
    """Change a bundle's manifest; `signed` gives it the plan number of the changed plan, as a forger would."""
    path = folder / f"{NAME}.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    if signed:
        data["abi"] = forged_number(data)
    path.write_text(json.dumps(data), encoding="utf-8")


def forged_number(data: Any) -> Any:
    """The number that belongs to a description, or its own where it cannot be read at all."""
    try:
        with description.malformed("it"):
            return plan_number(description._read(data), data.get("webgpu"))
    except NeurenixError:
        return data.get("abi") if isinstance(data, dict) else None
