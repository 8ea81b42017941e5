"""Claims about metrics: each is what its name says, on numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neurenix.errors import InputError
from neurenix.training import (
    Accuracy,
    TopKAccuracy,
)
from neurenix.training.metrics import as_metrics


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
