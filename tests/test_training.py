"""Claims about fit: it learns, repeats to the bit, survives being killed, and says what it does."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix.data import DataLoader, TensorDataset
from neurenix.errors import InputError, MissingExtraError, TrainingError
from neurenix.nn import BatchNorm2d, Conv2d, CrossEntropyLoss, Dropout, Flatten, Linear, MSELoss, ReLU, Sequential
from neurenix.optim import SGD, Adam
from neurenix.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, ReduceLROnPlateau
from neurenix.training import (
    F1,
    Accuracy,
    BestWeights,
    Callback,
    Checkpoint,
    EarlyStopping,
    History,
    Run,
    TopKAccuracy,
    evaluate,
    fit,
    one_blas_thread,
)
from neurenix.training.blas_threads import blas_threads
from neurenix.training.metrics import as_metrics

HERE = Path(__file__).resolve().parent


def blobs(count: int = 120, seed: int = 0) -> TensorDataset:
    """Three classes of points that a small network tells apart."""
    random = np.random.default_rng(seed)
    labels = random.integers(3, size=count)
    centres = np.array([[2.0, 0.0], [-1.0, 2.0], [-1.0, -2.0]])
    points = centres[labels] + random.normal(scale=0.4, size=(count, 2))
    return TensorDataset(points.astype(np.float32), labels)


def classifier(seed: int = 0) -> Sequential:
    neurenix.manual_seed(seed)
    return Sequential(Linear(2, 16), ReLU(), Dropout(0.1), Linear(16, 3))


def weights(model: Any) -> str:
    digest = hashlib.sha256()
    for name, array in model.state_dict().items():
        digest.update(name.encode() + array.tobytes())
    return digest.hexdigest()


def train(model: Any, **options: Any) -> History:
    """Fit with what the tests have in common; options replace it."""
    optimizer = options.pop("optimizer", None) or Adam(model.parameters(), lr=0.02)
    given: dict[str, Any] = {"data": blobs(), "loss": CrossEntropyLoss(), "epochs": 3, "seed": 1, "progress": "none"}
    return fit(model, optimizer=optimizer, **{**given, **options})


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


# ── metrics ─────────────────────────────────────────────────────────────────────────────────────────────


def measured(metric: Any, output: Any, target: Any) -> float:
    """Measure in two batches, of which the totals are added."""
    (found,) = as_metrics(metric)
    output, target = np.asarray(output), np.asarray(target)
    value = found.value(found.measure(output[:2], target[:2]) + found.measure(output[2:], target[2:]))
    return value


SCORES = [[9, 1, 0], [2, 3, 1], [5, 4, 6], [1, 2, 0]]


def test_metrics_are_what_their_names_say() -> None:
    assert 0.5 == measured("accuracy", SCORES, [0, 1, 1, 2])
    assert 0.75 == measured(TopKAccuracy(2), SCORES, [0, 2, 0, 0])
    assert 0.75 == measured("accuracy", [[1.5], [-1], [0.2], [-3]], [1, 0, 0, 0])
    assert 0.5 == measured(Accuracy(0.5), [0.7, 0.6, 0.2, 0.1], [1, 0, 1, 0])
    assert 1.5 == measured("mae", [1.0, 2, 3, 4], [2.0, 0, 3, 7])
    assert 3.5 == measured("mse", [1.0, 2, 3, 4], [2.0, 0, 3, 7])
    assert 2.5 == measured(lambda output, target: (output - target).mean(), [1.0, 2, 3, 4], [0.0, 0, 0, 0])


def test_f1_is_the_mean_over_the_classes_that_occur() -> None:
    # Found 0 1 2 1, wanted 0 1 1 2: class 0 has 2·1/2, class 1 has 2·1/4, class 2 has 0.
    assert (1 + 0.5 + 0) / 3 == measured("f1", SCORES, [0, 1, 1, 2])
    assert 0.5 == measured("f1", [1.0, 1, -1, -1], [1, 0, 1, 0])


def test_pixels_are_samples_of_a_segmentation() -> None:
    output = np.zeros((2, 3, 4, 4))
    output[:, 1] = 1
    target = np.ones((2, 4, 4), np.int64)
    target[0, 0] = 2
    found = Accuracy()
    assert 28 / 32 == found.value(found.measure(output, target))


def test_metrics_refuse_what_does_not_fit() -> None:
    with pytest.raises(InputError, match="there is no metric 'acuracy'; there are accuracy, f1"):
        as_metrics("acuracy")
    with pytest.raises(InputError, match="two columns of the history would be called 'accuracy'"):
        as_metrics(["accuracy", Accuracy()])
    with pytest.raises(InputError, match=r"outputs of shape \[4, 3\] do not fit targets of shape \[5\]"):
        Accuracy().measure(np.zeros((4, 3)), np.zeros(5, np.int64))
    with pytest.raises(InputError, match="top5_accuracy wants scores"):
        TopKAccuracy().measure(np.zeros((4, 3)), np.zeros(4, np.int64))


# ── callbacks ───────────────────────────────────────────────────────────────────────────────────────────


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


# ── repeatable ──────────────────────────────────────────────────────────────────────────────────────────

SCRIPT = """
import hashlib, sys
import numpy as np
import neurenix
from neurenix.nn import CrossEntropyLoss, Linear, ReLU, Sequential
from neurenix.optim import Adam
from neurenix.training import fit
neurenix.manual_seed(3)
random = np.random.default_rng(0)
x, y = random.normal(size=(600, 300)).astype(np.float32), random.integers(10, size=600)
model = Sequential(Linear(300, 517), ReLU(), Linear(517, 10))
fit(model, (x, y), CrossEntropyLoss(), Adam(model.parameters()), 2, batch_size=200, seed=5, progress="none")
print(hashlib.sha256(b"".join(a.tobytes() for a in model.state_dict().values())).hexdigest())
"""


@pytest.mark.slow
def test_the_number_of_threads_changes_no_bit() -> None:
    found = set()
    for threads in ("1", "2", "4"):
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": threads, "PYTHONHASHSEED": threads}
        done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True,
                              check=True, timeout=300)  # fmt: skip
        found.add(done.stdout)
    assert 1 == len(found)
    assert 65 == len(found.pop())


def test_matrix_products_run_in_one_thread_inside_and_as_before_after_it() -> None:
    control = blas_threads()
    assert control is not None, "NumPy's wheels carry OpenBLAS, whose functions must be found"
    before = control.get()
    try:
        control.set(2)
        with one_blas_thread() as certain:
            assert certain
            assert 1 == control.get()
        assert 2 == control.get()
    finally:
        control.set(before)


def test_an_unknown_blas_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neurenix.training.blas_threads.blas_threads", lambda: None)
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    with pytest.warns(UserWarning, match="no way to hold it to one thread"):
        train(classifier(), epochs=1)
    train(classifier(), epochs=1, deterministic=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    train(classifier(), epochs=1)


def test_the_same_seed_gives_the_same_bytes_and_another_one_others() -> None:
    found = []
    for seed in (1, 1, 2):
        model = classifier()
        train(model, seed=seed)
        found.append(weights(model))
    assert found[0] == found[1]
    assert found[0] != found[2]


# ── checkpoints ─────────────────────────────────────────────────────────────────────────────────────────


class Killed(Exception):
    pass


class KillAt(Callback):
    """Stops the training after so many batches, as abruptly as an exception can."""

    def __init__(self, batch: int) -> None:
        self.left = batch

    def on_batch_end(self, run: Run) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


def network() -> Sequential:
    neurenix.manual_seed(4)
    return Sequential(Conv2d(1, 3, 3), BatchNorm2d(3), ReLU(), Flatten(), Dropout(0.3), Linear(48, 3))


def resumable(checkpoint: Checkpoint | None, kill_at: int, loader_seed: int | None) -> tuple[str, Any]:
    random = np.random.default_rng(0)
    images, labels = random.normal(size=(50, 1, 6, 6)).astype(np.float32), random.integers(3, size=50)
    model = network()
    optimizer = Adam(model.parameters(), lr=0.01, amsgrad=True)
    loader = DataLoader(TensorDataset(images, labels), 8, shuffle=True, generator=loader_seed,
                        transform=lambda b, r: (b[0] + r.normal(size=b[0].shape).astype(np.float32), b[1]))  # fmt: skip
    history = train(
        model, data=loader, validation=(images[:20], labels[:20]), metrics=["accuracy", "f1"], epochs=4,
        optimizer=optimizer, checkpoint=checkpoint, callbacks=[EarlyStopping(patience=3), KillAt(kill_at)],
        scheduler=OneCycleLR(optimizer, 0.02, epochs=4, steps_per_epoch=len(loader)), step_scheduler="batch",
    )  # fmt: skip
    return weights(model), [{k: v for k, v in row.items() if k != "seconds"} for row in history.rows]


@pytest.mark.parametrize("every_batches", [None, 2])
@pytest.mark.parametrize("loader_seed", [None, 8])
def test_a_training_killed_anywhere_ends_with_the_same_bytes(
    tmp_path: Path, every_batches: int | None, loader_seed: int | None
) -> None:
    expected = resumable(None, -1, loader_seed)
    path = tmp_path / "run.safetensors"
    kills = 0
    for batch in (1, 5, 7, 8, 11, 3, 13, 100):  # each time so many batches after where the last one resumed
        neurenix.manual_seed(batch)  # what happened before does not matter
        try:
            found = resumable(Checkpoint(path, every_batches=every_batches), batch, loader_seed)
            break
        except Killed:
            kills += 1
    assert kills >= 3
    assert expected == found
    assert expected == resumable(Checkpoint(path), 1, loader_seed)  # ended: nothing is left to do
    assert [path] == list(tmp_path.iterdir())


KILLED = """
import sys
sys.path.insert(0, sys.argv[1])
from test_training import resumable, Checkpoint
print("started", flush=True)
weights, _ = resumable(Checkpoint(sys.argv[2], every_batches=1), -1, None)
print(weights)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_sigkill_at_random_moments_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    command = [sys.executable, "-c", KILLED, str(HERE), str(path)]
    random = np.random.default_rng(0)
    for _ in range(4):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert "started\n" == process.stdout.readline()
            time.sleep(float(random.uniform(0, 0.15)))
            process.send_signal(signal.SIGKILL)
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert resumable(None, -1, None)[0] == done.stdout.split()[-1]


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    train(classifier(), checkpoint=path, epochs=1)
    with pytest.raises(InputError, match=r"of another training: seed was 1, now it is 2 -- delete it"):
        train(classifier(), checkpoint=path, seed=2)
    with pytest.raises(InputError, match=r"parameters '0.weight' was \['float32', 16, 2\], now it is None"):
        train(Sequential(Flatten(), Linear(2, 3)), checkpoint=path)
    model = classifier()
    with pytest.raises(InputError, match=r"options 'lr' was 0.02, now it is 0.5"):
        train(model, checkpoint=path, optimizer=Adam(model.parameters(), lr=0.5))
    neurenix.save(model, path)
    with pytest.raises(InputError, match="is no checkpoint of a training"):
        train(model, checkpoint=path)
    path.write_bytes(b"rubbish")
    with pytest.raises(InputError, match="no whole safetensors file"):
        train(model, checkpoint=path)


def test_more_epochs_go_on_from_a_finished_training(tmp_path: Path) -> None:
    whole, parts = classifier(), classifier()
    train(whole, epochs=5)
    train(parts, epochs=2, checkpoint=tmp_path / "run.safetensors")
    parts = classifier()
    history = train(parts, epochs=5, checkpoint=tmp_path / "run.safetensors")
    assert 5 == len(history)
    assert weights(whole) == weights(parts)


# ── history and progress ────────────────────────────────────────────────────────────────────────────────


def test_a_history_is_json(tmp_path: Path) -> None:
    history = train(classifier(), metrics="accuracy")
    history.add({**history.rows[-1], "loss": math.inf})
    text = history.to_json(tmp_path / "h.json")
    assert text == (tmp_path / "h.json").read_text(encoding="utf-8")
    rows = json.loads(text)
    assert [*history["loss"][:3], None] == [row["loss"] for row in rows]


def test_a_history_draws_each_measure_and_its_validation(tmp_path: Path) -> None:
    history = train(classifier(), metrics="accuracy", validation=blobs(30))
    figure = history.plot(tmp_path / "h.png")
    assert b"\x89PNG" == (tmp_path / "h.png").read_bytes()[:4]
    assert ["loss", "accuracy", "lr"] == [axes.get_ylabel() for axes in figure.axes]
    first, second = figure.axes[0].lines
    assert (history["loss"], history["validation_loss"]) == (list(first.get_ydata()), list(second.get_ydata()))


def test_an_empty_history_says_so() -> None:
    history = train(classifier(), epochs=0)
    assert 0 == len(history)
    with pytest.raises(InputError, match="no epochs yet"):
        history.plot()
    with pytest.raises(InputError, match="has no 'loss'; it has no epochs yet"):
        history["loss"]


def test_a_log_gets_one_plain_line_for_each_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    history = train(classifier(), progress="auto", metrics="accuracy", epochs=10)
    captured = capsys.readouterr()
    assert "" == captured.out
    lines = captured.err.splitlines()
    assert 10 == len(lines)
    assert lines[1].startswith(f"epoch  2/10  loss {history['loss'][1]:#.4g}  accuracy {history['accuracy'][1]:.2%}  ")
    assert "\x1b" not in captured.err


class Slow(Callback):
    """Gives the bar, which is drawn ten times a second, time to be seen."""

    def on_batch_end(self, run: Run) -> None:
        time.sleep(0.11)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    train(classifier(), progress="auto", epochs=2, callbacks=[Slow()])
    shown = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert "epoch 2/2  loss" in shown
    assert re.search("\x1b\\[[0-9]*m[123]/4", shown)


def test_a_terminal_without_rich_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    for name in ("rich.console", "rich.progress"):
        monkeypatch.setitem(sys.modules, name, None)
    train(classifier(), progress="auto", epochs=1)
    assert sys.stderr.getvalue().startswith("epoch 1/1  loss")  # type: ignore[attr-defined]
    with pytest.raises(MissingExtraError, match=r"hatch-neurenix\[progress\]"):
        train(classifier(), progress="bar")
    with pytest.raises(InputError, match="got 'fancy'"):
        train(classifier(), progress="fancy")
