"""What the training process is asked to do, as plain values: sent to it as JSON, and part of the cache's key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from neurenix.config import ModelConfig
from neurenix.config.components import Component

# The files that the process leaves: the graph, what was measured, the labels, its custom ops, and registered shaders.
RESULTS = ("graph.npz", "metrics.json", "labels.json", "ops.json", "shaders.json")


def training_request(model: ModelConfig) -> dict[str, Any]:
    """Return all that decides the graph of a model, but for the content of files."""
    return {
        "source": model.source,
        # Pairs: the order of the inputs is the order of the model's arguments.
        "inputs": None if model.inputs is None else [list(pair) for pair in model.inputs.items()],
        "outputs": None if model.outputs is None else list(model.outputs),
        "dims": [[name, limits.min, limits.max] for name, limits in model.dims.items()],
        **_BY_SOURCE[model.source](model),
    }


def _train(model: ModelConfig) -> dict[str, Any]:
    return {"train": model.train, "params": dict(model.params)}


def _load(model: ModelConfig) -> dict[str, Any]:
    return {"load": model.load, "architecture": model.architecture, "constants": dict(model.constants)}


def _data(model: ModelConfig) -> dict[str, Any]:
    return {
        "declaration": {
            "data": model.data,
            "target": model.target,
            "layers": [_component(layer) for layer in model.layers or ()],
            "loss": None if model.loss is None else _component(model.loss),
            "optimizer": _component(model.optimizer),
            "epochs": model.epochs,
            "batch_size": model.batch_size,
            "validation": model.validation,
            "seed": model.seed,
            "columns": dict(model.columns),
        }
    }


def _component(component: Component) -> list[Any]:
    return [component.name, dict(component.options)]


_BY_SOURCE: Mapping[str, Callable[[ModelConfig], dict[str, Any]]] = {"train": _train, "load": _load, "data": _data}
