"""Claims about fit: it learns and measures, takes what data is, steps schedulers, and stops for what is senseless."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
from training_cases import blobs, classifier, train, weights

import neurenix
from neurenix.data import DataLoader, TensorDataset
from neurenix.errors import InputError, TrainingError
from neurenix.nn import CrossEntropyLoss, Linear, MSELoss, Sequential
from neurenix.optim import SGD
from neurenix.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, ReduceLROnPlateau
from neurenix.training import (
    F1,
    BestWeights,
    Callback,
    EarlyStopping,
    Run,
    evaluate,
)

HERE = Path(__file__).resolve().parent


def test_fit_learns_and_measures() -> None:
    model = classifier()
    history = train(model, epochs=12, validation=blobs(60, seed=9), metrics=["accuracy", F1()])
    names = ["epoch", "loss", "accuracy", "f1", "validation_loss", "validation_accuracy", "validation_f1", "lr"]
    assert [*names, "seconds"] == history.names()
    assert list(range(1, 13)) == history["epoch"]
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert history["validation_accuracy"][-1] > 0.95
    assert not model.training
    found = evaluate(model, blobs(60, seed=9), CrossEntropyLoss(), metrics=["accuracy", F1()], batch_size=7)
    np.testing.assert_allclose(history["validation_loss"][-1], found["loss"], rtol=1e-5)
    assert history["validation_accuracy"][-1] == found["accuracy"]


def test_arrays_and_loaders_are_data_too() -> None:
    found = []
    arrays = blobs().arrays
    for data in (blobs(), arrays, DataLoader(TensorDataset(*arrays), 32, shuffle=True)):
        model = classifier()
        train(model, data=data)
        found.append(weights(model))
    assert found[0] == found[1] == found[2]


def test_a_batch_of_one_array_is_its_own_target() -> None:
    neurenix.manual_seed(0)
    model = Sequential(Linear(2, 2))
    history = train(model, data=(blobs().arrays[0],), loss=MSELoss(), epochs=20)
    assert history["loss"][-1] < 0.3 * history["loss"][0]


def test_a_scheduler_is_stepped_after_epochs_or_batches() -> None:
    model = classifier()
    optimizer = SGD(model.parameters(), lr=1.0)
    history = train(model, optimizer=optimizer, scheduler=CosineAnnealingLR(optimizer, 3), clip_norm=0.1)
    np.testing.assert_allclose([1.0, 0.75, 0.25], history["lr"])
    model = classifier()
    optimizer = SGD(model.parameters(), lr=1.0)
    scheduler = OneCycleLR(optimizer, 0.1, epochs=3, steps_per_epoch=4, cycle_momentum=False)
    train(model, optimizer=optimizer, scheduler=scheduler, step_scheduler="batch")
    assert 12 == scheduler.last_epoch


def test_a_plateau_is_given_the_validation_loss() -> None:
    model = classifier()
    optimizer = SGD(model.parameters(), lr=1e-9)
    plateau = ReduceLROnPlateau(optimizer, factor=0.5, patience=0, eps=0)
    history = train(model, optimizer=optimizer, scheduler=plateau, validation=blobs(30, seed=2), epochs=4)
    assert history["validation_loss"][0] == plateau.best
    assert [1e-9, 1e-9, 5e-10, 2.5e-10] == history["lr"]
    with pytest.raises(InputError, match="looks at an epoch's measure"):
        train(model, optimizer=optimizer, scheduler=plateau, step_scheduler="batch")


def test_a_loss_that_diverges_ends_the_training_with_the_place() -> None:
    model = classifier()
    with np.errstate(all="ignore"), pytest.raises(TrainingError, match=r"in epoch \d+, batch \d+.*lower the learning"):
        train(model, loss=lambda y, t: CrossEntropyLoss()(y, t) + float("nan"))


def test_senseless_data_is_refused() -> None:
    with pytest.raises(InputError, match="data is a DataLoader, a data set or a tuple of arrays, got generator"):
        train(classifier(), data=(x for x in [1]))
    with pytest.raises(InputError, match="there is no batch in the data"):
        train(classifier(), data=DataLoader(blobs(3), batch_size=4, drop_last=True))
    with pytest.raises(InputError, match="batches that are tuples of tensors, got dict"):
        train(classifier(), data=[{"x": 1.0}])


@pytest.mark.slow
def test_the_example_in_the_docs_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    points, labels = blobs(90).arrays
    rows = [f"{x},{y},{x + y},{x - y},kind-{label}" for (x, y), label in zip(points, labels)]
    Path("iris.csv").write_text("\n".join(["a,b,c,d,species", *rows]), encoding="utf-8")
    page = (HERE.parent / "docs" / "training.md").read_text(encoding="utf-8")
    Path("example.py").write_text(page.split("```python\n")[1].partition("```")[0], encoding="utf-8")
    found = runpy.run_path("example.py")
    assert found["history"]["validation_accuracy"][-1] > 0.9
    assert {"iris.checkpoint", "iris.png", "iris.safetensors"} < {p.name for p in tmp_path.iterdir()}


# ── callbacks ──────────────────────────────────────────────────────────────────────────────────────────


class Spoil(Callback):
    """Makes the weights worse and worse after an epoch, and remembers each epoch's."""

    def __init__(self, after: int) -> None:
        self.after = after
        self.seen: list[str] = []

    def on_epoch_end(self, run: Run) -> None:
        self.seen.append(weights(run.model))
        if run.epoch >= self.after:
            for parameter in run.model.parameters():
                parameter.numpy()[...] = run.epoch


def test_early_stopping_stops_and_gives_the_best_weights_back() -> None:
    model, spoil = classifier(), Spoil(after=3)
    stopping = EarlyStopping(patience=2)
    history = train(model, epochs=50, validation=blobs(60, seed=9), callbacks=[stopping, spoil])
    assert stopping.best_epoch + 2 == len(history)
    assert history["validation_loss"][stopping.best_epoch - 1] == min(history["validation_loss"]) == stopping.best
    assert spoil.seen[stopping.best_epoch - 1] == weights(model)


def test_the_best_weights_can_be_kept_without_stopping() -> None:
    model, spoil = classifier(), Spoil(after=2)
    best = BestWeights("validation_accuracy")
    history = train(model, epochs=5, validation=blobs(60, seed=9), metrics="accuracy", callbacks=[best, spoil])
    assert 5 == len(history)
    assert max(history["validation_accuracy"]) == best.best
    assert spoil.seen[best.best_epoch - 1] == weights(model)


def test_a_measure_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match="cannot watch 'validation_f1'; there are epoch, loss, lr, seconds"):
        train(classifier(), callbacks=[EarlyStopping("validation_f1")])
