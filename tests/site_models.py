"""Small models of every kind that a generated page knows, and a site of them: made once, without hatchling."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import neurenix
from neurenix.declarative.training import Declaration, make
from neurenix.nn import Conv2d, Embedding, Flatten, Linear, Module, ReLU, Sequential, Sigmoid, Softmax
from neurenix.project.build_record import BuiltModel
from neurenix.site import Project, Site, SiteOptions, build_site
from neurenix.tensor import Tensor
from neurenix.wasm import export_to_wasm

MARKUP = "<img src=x onerror=alert(1)>"
LONG = "an-image-recogniser-whose-name-is-as-long-as-names-of-models-may"
HOSTILE_LABELS = (MARKUP, "</script><script>alert(2)</script>", "'\"&amp;${alert(3)} {{ 7 * 7 }}")
PROJECT = Project(f"Models {MARKUP}", "1.0", "", "MIT", (("LICENSE", "Do as you like."),))


class Loudness(Module):
    """The mean loudness of a sound (batch, time)."""

    def forward(self, sound: Tensor) -> Tensor:
        return (sound * sound).mean(-1, keepdim=True).sqrt()


class Words(Module):
    """The mean of the vectors of the words that a mask lets through."""

    def __init__(self) -> None:
        super().__init__()
        self.vectors = Embedding(50, 4)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return (self.vectors(input_ids) * attention_mask.unsqueeze(-1)).sum(1)


def write_table(path: Path, seed: int = 0) -> None:
    """Write flowers whose kind follows from their length, with names that nobody should call a column."""
    rng = np.random.default_rng(seed)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["petal length", "petal width (cm)", MARKUP, "kind"])
        for _ in range(90):
            kind = int(rng.integers(3))
            length, width = 2 + 2 * kind + rng.normal(0, 0.2), 0.5 + kind / 2 + rng.normal(0, 0.1)
            place = ("meadow", "<i>hill</i>")[kind % 2]
            table.writerow([f"{length:.2f}", f"{width:.2f}", place, HOSTILE_LABELS[kind]])


def export_models(folder: Path) -> list[BuiltModel]:
    """Export one model of each kind."""
    neurenix.manual_seed(0)
    write_table(folder / "flowers.csv")
    flowers = make(Declaration("flowers.csv", "kind", (("linear", {"out_features": 3}),), epochs=40), folder)
    digits = Sequential(Conv2d(1, 4, 3), ReLU(), Flatten(), Linear(4 * 14 * 14, 10), Softmax(-1))
    painter = Sequential(Conv2d(3, 3, 3, padding=1), Sigmoid())
    exported: list[tuple[str, Any, dict[str, str], Sequence[str]]] = [
        ("digits", digits, {"image": "float32[batch, 1, 16, 16]"}, [*"0123456789"]),
        ("flowers", flowers.model, dict(flowers.inputs), flowers.labels),
        ("painter", painter, {"picture": "float32[n, 3, 32, 24]"}, ()),
        (LONG, Linear(100, 1), {"signal": "float32[batch, 100]"}, ()),
        ("words", Words(), {"input_ids": "int64[batch, length]", "attention_mask": "float32[batch, length]"}, ()),
        ("loudness", Loudness(), {"sound": "float32[batch, time]"}, ()),
    ]
    dims = {"loudness": {"time": (100, 32000)}}
    for name, model, inputs, labels in exported:
        export_to_wasm(
            model, folder / name, name, inputs=inputs, labels=list(labels) or None, dims=dims.get(name, {}), simd=False
        )
    return [built(folder / name, name) for name, *_ in exported]


def built(directory: Path, name: str) -> BuiltModel:
    """A model as the pipeline hands it over."""
    report = {"files": [], "agreement": {}, "native_targets": [], "zig": "0.17.0"}
    return BuiltModel(name, directory, {}, report, trained_now=False, compiled_now=False)


def make_site(
    models: Sequence[BuiltModel], folder: Path, pages: Path | None = None, options: SiteOptions | None = None
) -> Site:
    """Build the site of these models below a folder."""
    return build_site(models, pages, folder, folder / "site", PROJECT, options)


def manifest_of(model: BuiltModel) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((model.directory / f"{model.name}.json").read_text(encoding="utf-8"))
    return found
