"""Claims about repeating: the same seed gives the same bytes, whatever the number of threads."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from training_cases import classifier, train, weights

from neurenix.threads import blas_threads
from neurenix.training import one_blas_thread

SCRIPT = """
import hashlib, sys
import numpy as np
import neurenix
from neurenix.nn import BatchNorm2d, Conv2d, CrossEntropyLoss, Flatten, Linear, MaxPool2d, ReLU, Sequential, Unflatten
from neurenix.optim import Adam
from neurenix.training import fit
neurenix.manual_seed(3)
random = np.random.default_rng(0)
x, y = random.normal(size=(600, 300)).astype(np.float32), random.integers(10, size=600)
image = Sequential(Unflatten(1, (3, 10, 20)), Conv2d(3, 24, 3, padding=1), BatchNorm2d(24), ReLU(), MaxPool2d(2))
model = Sequential(Linear(300, 600), image, Flatten(), Linear(1200, 517), ReLU(), Linear(517, 10))
fit(model, (x, y), CrossEntropyLoss(), Adam(model.parameters()), 2, batch_size=200, seed=5, progress="none")
print(hashlib.sha256(b"".join(a.tobytes() for a in model.state_dict().values())).hexdigest())
"""


@pytest.mark.slow
def test_the_number_of_threads_changes_no_bit() -> None:
    found = set()
    for threads in ("1", "2", "4"):
        given = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "PYTHONHASHSEED"), threads)
        environment = {**os.environ, **given}
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
    monkeypatch.setattr("neurenix.threads.blas.blas_threads", lambda: None)
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
