"""make(): a declared model, trained: reads its data, stacks its layers, fits them, and measures what came out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from neurenix.data import DataLoader, TensorDataset
from neurenix.declarative.modules import Rescale, TableFeatures, TwoClasses
from neurenix.declarative.network import Spec, about, stack
from neurenix.declarative.table import Samples, read_samples
from neurenix.declarative.vocabulary import LOSSES, OPTIMIZERS, TASKS
from neurenix.errors import TrainingError
from neurenix.graph.spread import Spread, spread_of
from neurenix.nn import Module, Sequential, Softmax
from neurenix.tensor import Tensor, manual_seed, no_grad
from neurenix.training import BestWeights, Callback, Run, fit

Array = np.ndarray[Any, Any]

DEFAULT_LOSS = {"category": "cross_entropy", "number": "mse"}
_LINES = 10  # of progress, however many epochs there are


@dataclass(frozen=True)
class Declaration:
    """A model as the configuration declares it; `data` is relative to the project's folder."""

    data: str
    target: str
    layers: tuple[Spec, ...]
    loss: Spec | None = None
    optimizer: Spec = ("adam", {"lr": 0.01})
    epochs: int = 100
    batch_size: int = 32
    validation: float = 0.2
    seed: int = 0
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Made:
    """A trained model that takes raw rows, what was measured of it, and what its inputs and answers mean."""

    model: Module
    metrics: Mapping[str, float]
    inputs: Mapping[str, str]
    labels: tuple[str, ...]


def make(declaration: Declaration, root: Path) -> Made:
    """Train a declared model. Raises TrainingError that begins with the key at fault, such as `layers[1].linear`."""
    samples = read_samples(
        root / declaration.data, declaration.data, declaration.target, declaration.columns, declaration.validation,
        declaration.seed,
    )  # fmt: skip
    loss = _loss(declaration, samples)
    manual_seed(declaration.seed)
    features = TableFeatures(samples.features, samples.categories, samples.x[samples.training])
    network, shape = stack(features, len(samples.features), declaration.layers)
    _check_shape(shape, samples, declaration, loss[0])
    target, last = _ends(samples, loss[0])
    part = (samples.x[samples.training], target[samples.training])
    held = (samples.x[samples.validation], target[samples.validation]) if len(samples.validation) else None
    with about("loss"):
        criterion = LOSSES[loss[0]].make(**loss[1])
    with about("optimizer"):
        optimizer = OPTIMIZERS[declaration.optimizer[0]].make(network.parameters(), **declaration.optimizer[1])
    callbacks: list[Callback] = [_Lines(), *([BestWeights()] if held else [])]
    # A batch of one row has no spread, which batch_norm needs.
    alone = len(samples.training) % declaration.batch_size == 1 and len(samples.training) > declaration.batch_size
    loader = DataLoader(TensorDataset(*part), declaration.batch_size, shuffle=True, drop_last=alone)
    with about("optimizer"):
        fit(
            network, loader, criterion, optimizer, declaration.epochs, held, batch_size=declaration.batch_size,
            callbacks=callbacks, seed=declaration.seed, progress="none",
        )  # fmt: skip
    model = Sequential({**dict(network.named_children()), **({"answer": last} if last is not None else {})}).eval()
    rows = samples.validation if len(samples.validation) else samples.training
    features.input_spreads = (_spread(samples),)  # of the rows as they are: `fit` has seen the same
    metrics = _measure(model, samples, rows)
    seen = "validation" if len(samples.validation) else "training"
    print(f"{', '.join(f'{k} {v:.4g}' for k, v in metrics.items())} on {len(rows)} rows of {seen} data")
    return Made(model, metrics, {"input": f"float32[batch, {len(samples.features)}]"}, samples.labels)


def _loss(declaration: Declaration, samples: Samples) -> Spec:
    task = "category" if samples.labels else "number"
    name, options = declaration.loss or (DEFAULT_LOSS[task], {})
    if TASKS[name] != task:
        found = "a category" if samples.labels else "a number"
        way_out = f"'{DEFAULT_LOSS[task]}' fits, or columns = {{ {declaration.target} = '{TASKS[name]}' }} if it is one"
        raise TrainingError(f"loss: {name!r} is for a {TASKS[name]}; the target {declaration.target!r} is {found}"
                            f" -- {way_out}")  # fmt: skip
    if name == "bce_with_logits" and len(samples.labels) != 2:
        raise TrainingError(f"loss: 'bce_with_logits' is for 2 categories; {declaration.target!r} has "
                            f"{len(samples.labels)} -- 'cross_entropy' is for any number")  # fmt: skip
    return name, options


def _check_shape(shape: tuple[int, ...], samples: Samples, declaration: Declaration, loss: str) -> None:
    wanted = 1 if loss == "bce_with_logits" or not samples.labels else len(samples.labels)
    if shape == (wanted,):
        return
    shown = ", ".join(samples.labels[:8]) + (", …" if len(samples.labels) > 8 else "")
    what = f"has {len(samples.labels)} categories ({shown})" if samples.labels else "is a number"
    given = " x ".join(map(str, shape)) or "1"
    raise TrainingError(
        f"layers: the last layer gives {given} values for each row, but the target {declaration.target!r} {what} -- "
        f"end with {{ linear = {wanted} }}"
    )


def _ends(samples: Samples, loss: str) -> tuple[Array, Module | None]:
    """Return the target as the loss wants it, and the module that makes the network's answer readable."""
    if loss == "bce_with_logits":
        return samples.y[:, None].astype(np.float32), TwoClasses()
    if samples.labels:
        return samples.y, Softmax(-1)
    known = samples.y[samples.training]
    offset, scale = float(known.mean(dtype=np.float64)), float(known.std(dtype=np.float64)) or 1.0
    return ((samples.y - offset) / scale)[:, None].astype(np.float32), Rescale(offset, scale)


def _spread(samples: Samples) -> Spread | None:
    """Return what the training rows are like, a category as its words' places, each of which may come."""
    words = {i: len(samples.categories[name]) for i, name in enumerate(samples.features) if name in samples.categories}
    spread = spread_of(samples.x[samples.training])
    told_apart = spread is not None and len(spread.low) == len(samples.features)
    return spread.with_classes(words) if spread is not None and told_apart else None if words else spread


def _measure(model: Module, samples: Samples, rows: Array) -> dict[str, float]:
    with no_grad():
        answers = model(Tensor(samples.x[rows])).numpy().astype(np.float64)
    wanted = samples.y[rows]
    if samples.labels:
        return {"accuracy": float((answers.argmax(axis=1) == wanted).mean())}
    error = answers[:, 0] - wanted
    spread = float(np.square(wanted - wanted.mean(dtype=np.float64)).sum())
    found = {"mae": float(np.abs(error).mean()), "rmse": float(np.sqrt(np.square(error).mean()))}
    # Of a constant no share can be explained.
    return {**found, "r2": 1 - float(np.square(error).sum()) / spread} if spread else found


class _Lines(Callback):
    """Prints some of the epochs: a build's log is no place for hundreds."""

    def on_epoch_end(self, run: Run) -> None:
        if run.epoch % max(1, run.epochs // _LINES) == 0 or run.epoch == run.epochs:
            shown = (f"{k.replace('_', ' ')} {v:.4g}" for k, v in run.measures.items() if k.endswith("loss"))
            print(f"epoch {run.epoch}/{run.epochs}  {'  '.join(shown)}", flush=True)
