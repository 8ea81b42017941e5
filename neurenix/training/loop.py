"""fit and evaluate: the training loop."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from neurenix.data import DataLoader, Dataset, TensorDataset
from neurenix.errors import InputError, TrainingError
from neurenix.nn import Module
from neurenix.optim import Optimizer, clip_grad_norm_
from neurenix.optim.lr_scheduler import ReduceLROnPlateau
from neurenix.state import import_safetensors
from neurenix.tensor import Tensor, manual_seed, no_grad
from neurenix.threads import one_blas_thread
from neurenix.training.callbacks import Callback
from neurenix.training.checkpoint import Checkpoint
from neurenix.training.history import History
from neurenix.training.metrics import MetricLike, as_metrics
from neurenix.training.progress import Silent, make_progress
from neurenix.training.run import Run, Scheduler, Totals
from neurenix.training.seen import note_inputs

Loss = Callable[[Any, Any], Tensor]


def fit(
    model: Module,
    data: Any,
    loss: Loss,
    optimizer: Optimizer,
    epochs: int,
    validation: Any = None,
    metrics: MetricLike | Iterable[MetricLike] = (),
    callbacks: Sequence[Callback] = (),
    scheduler: Scheduler | None = None,
    *,
    step_scheduler: str = "epoch",
    batch_size: int = 32,
    clip_norm: float | None = None,
    seed: int | None = None,
    deterministic: bool = True,
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    progress: str = "auto",
) -> History:
    """Train a model and return what was measured; the model is left in evaluation mode.

    `data` and `validation` are a DataLoader, a data set or a tuple of arrays (inputs first, the target last); from
    the latter two batches of `batch_size` are made, shuffled for training. `loss(output, target)` gives a scalar.
    `scheduler` is stepped after each "epoch" or each "batch", as `step_scheduler` says. Gradients whose norm is
    above `clip_norm` are scaled down to it.

    `seed` seeds everything from here on; the model's first weights were drawn earlier, so call `manual_seed` before
    making it. With `deterministic`, the same seeds give the same bytes on this machine whatever the number of
    threads: matrix products run in one. With `checkpoint`, a training that was killed goes on where it was.
    Raises TrainingError when the loss is no finite number.
    """
    if epochs < 0 or step_scheduler not in ("epoch", "batch"):
        raise InputError(
            f"fit needs epochs >= 0 and step_scheduler 'epoch' or 'batch', got {epochs}, {step_scheduler!r}"
        )
    if step_scheduler == "batch" and isinstance(scheduler, ReduceLROnPlateau):
        raise InputError("ReduceLROnPlateau looks at an epoch's measure; leave step_scheduler at 'epoch'")
    loader = as_loader(data, batch_size, shuffle=True)
    checks = None if validation is None else as_loader(validation, batch_size, shuffle=False)
    keeper = checkpoint if checkpoint is None or isinstance(checkpoint, Checkpoint) else Checkpoint(checkpoint)
    if keeper is not None:
        import_safetensors("keeping a checkpoint")  # now, and not when the first epoch is lost
    run = Run(model, optimizer, loader, epochs, scheduler, as_metrics(metrics), list(callbacks), seed)
    display = make_progress(progress)
    with one_blas_thread() if deterministic else nullcontext():
        if seed is not None:
            manual_seed(seed)
        if keeper is not None:
            keeper.load(run)
        for callback in run.callbacks:
            callback.on_start(run)
        display.start(run)
        try:
            while run.epoch <= epochs and not run.stop:
                _epoch(run, loss, step_scheduler, clip_norm, keeper, display)
                _end_epoch(run, loss, checks, step_scheduler, keeper, display)
        finally:
            display.end()
        for callback in run.callbacks:
            callback.on_end(run)
    model.eval()
    if epochs:
        note_inputs(model, (split(batch)[0] for batch in loader.batches(seed=0)))  # no draw from anybody's generator
    return run.history


def evaluate(
    model: Module,
    data: Any,
    loss: Loss | None = None,
    metrics: MetricLike | Iterable[MetricLike] = (),
    *,
    batch_size: int = 32,
) -> dict[str, float]:
    """Return the loss, if one is given, and the metrics over all of `data`; the model is left as it was."""
    loader = as_loader(data, batch_size, shuffle=False)
    chosen = as_metrics(metrics)
    totals = Totals()
    was_training = model.training
    model.eval()
    try:
        with no_grad():
            for batch in loader.batches(seed=0):  # a fixed order, and no draw from anybody's generator
                inputs, target = split(batch)
                output = model(*inputs)
                value = 0.0 if loss is None else loss(output, target).item()
                totals.add(value, _array(output), _array(target), chosen)
    finally:
        model.train(was_training)
    found = totals.values(chosen)
    return found if loss is not None else {k: v for k, v in found.items() if k != "loss"}


def as_loader(data: Any, batch_size: int, shuffle: bool) -> DataLoader:
    """Return a loader of `data`. Raises InputError for what is neither a loader, a data set nor arrays, or is empty."""
    if isinstance(data, (tuple, list)) and data and all(isinstance(a, (np.ndarray, Tensor)) for a in data):
        data = TensorDataset(*data)
    if not isinstance(data, DataLoader):
        if not isinstance(data, Dataset) and not (hasattr(data, "__getitem__") and hasattr(data, "__len__")):
            raise InputError(f"data is a DataLoader, a data set or a tuple of arrays, got {type(data).__name__}")
        data = DataLoader(data, batch_size, shuffle)
    loader: DataLoader = data
    if len(loader) == 0:
        raise InputError("there is no batch in the data: it is empty, or smaller than a batch that is dropped")
    return loader


def split(batch: Any) -> tuple[tuple[Any, ...], Any]:
    """Return the inputs and the target of a batch; a batch of one array is its own target, as autoencoders want."""
    if isinstance(batch, Tensor):
        return (batch,), batch
    if not isinstance(batch, tuple) or not batch:
        raise InputError(f"fit takes batches that are tuples of tensors, got {type(batch).__name__}")
    return (batch[:-1], batch[-1]) if len(batch) > 1 else (batch, batch[0])


def _epoch(
    run: Run, loss: Loss, step_scheduler: str, clip_norm: float | None, keeper: Checkpoint | None, display: Silent
) -> None:
    """Go through the batches that the epoch still has."""
    model, optimizer = run.model, run.optimizer
    model.train()
    if run.epoch_seed is None:  # else the epoch was begun before the checkpoint
        run.epoch_seed, run.batch, run.totals, run.seconds = run.loader.draw_seed(), 0, Totals(), 0.0
    before, started = run.seconds, time.perf_counter()
    for batch in run.loader.batches(run.epoch_seed, start=run.batch):
        inputs, target = split(batch)
        output = model(*inputs)
        value = loss(output, target)
        number = value.item()
        if not math.isfinite(number):
            raise TrainingError(
                f"the loss is {number} in epoch {run.epoch}, batch {run.batch + 1}: the training has diverged -- "
                f"lower the learning rate (it is {optimizer.lr:g}), or pass clip_norm"
            )
        optimizer.zero_grad()
        value.backward()
        if clip_norm is not None:
            clip_grad_norm_(optimizer.params, clip_norm)
        optimizer.step()
        run.totals.add(number, _array(output), _array(target), run.metrics)
        run.batch += 1
        run.measures["lr"] = optimizer.lr  # of this step: the scheduler changes it
        if run.scheduler is not None and step_scheduler == "batch":
            run.scheduler.step()  # type: ignore[call-arg] # fit has refused the one that wants a measure
        run.seconds = before + time.perf_counter() - started
        for callback in run.callbacks:
            callback.on_batch_end(run)
        display.batch(run)
        if keeper is not None and run.batch < run.batches:
            keeper.after_batch(run)


def _end_epoch(
    run: Run, loss: Loss, checks: DataLoader | None, step_scheduler: str, keeper: Checkpoint | None, display: Silent
) -> None:
    started = time.perf_counter()
    row: dict[str, float] = {"epoch": run.epoch, **run.totals.values(run.metrics)}
    if checks is not None:
        found = evaluate(run.model, checks, loss, run.metrics)
        row.update({f"validation_{name}": value for name, value in found.items()})
    seconds = run.seconds + time.perf_counter() - started
    run.measures = {**row, "lr": run.measures["lr"], "seconds": round(seconds, 3)}
    run.history.add(run.measures)
    if run.scheduler is not None and step_scheduler == "epoch":
        if isinstance(run.scheduler, ReduceLROnPlateau):
            run.scheduler.step(row.get("validation_loss", row["loss"]))
        else:
            run.scheduler.step()
    for callback in run.callbacks:
        callback.on_epoch_end(run)
    display.epoch(run)
    run.epoch, run.batch, run.epoch_seed = run.epoch + 1, 0, None
    if keeper is not None:
        keeper.save(run)


def _array(value: Any) -> Any:
    first = value[0] if isinstance(value, (tuple, list)) and value else value  # metrics see a model's first output
    return first.numpy() if isinstance(first, Tensor) else np.asarray(first)
