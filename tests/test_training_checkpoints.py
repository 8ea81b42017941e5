"""Claims about checkpoints: a training that is killed anywhere and run again ends with the same bytes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training_cases import classifier, train, weights

import neurenix
from neurenix.data import DataLoader, TensorDataset
from neurenix.errors import InputError
from neurenix.nn import BatchNorm2d, Conv2d, Dropout, Flatten, Linear, ReLU, Sequential
from neurenix.optim import Adam
from neurenix.optim.lr_scheduler import OneCycleLR
from neurenix.training import (
    Callback,
    Checkpoint,
    EarlyStopping,
    Run,
)

HERE = Path(__file__).resolve().parent


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


@pytest.mark.slow
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
from test_training_checkpoints import resumable, Checkpoint
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
