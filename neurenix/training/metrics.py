"""Metrics: numbers that people read, added up over batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Union

import numpy as np

from neurenix.errors import InputError

Array = np.ndarray[Any, Any]


class Metric:
    """A measure of outputs against targets: `measure` gives a batch's totals, which are added, `value` the number."""

    name: str

    def measure(self, output: Array, target: Array) -> Array:
        """Return the totals of one batch, as an array of a fixed shape."""
        raise NotImplementedError

    def value(self, totals: Array) -> float:
        """Return the metric from the sum of the totals; the mean, if they are (sum, count)."""
        return float(totals[0] / totals[1])


class Accuracy(Metric):
    """The fraction of right classes: scores (N, C, …) against class indices (N, …).

    Outputs of one column, or of the targets' own shape, are two classes: 1 is what lies above `threshold`, which
    is 0 for logits; pass 0.5 for probabilities.
    """

    def __init__(self, threshold: float = 0.0) -> None:
        self.name, self.threshold = "accuracy", threshold

    def measure(self, output: Array, target: Array) -> Array:
        right = classes(output, target, self.threshold) == target.reshape(_class_shape(output, target))
        return np.array([right.sum(), right.size], dtype=np.float64)


class TopKAccuracy(Metric):
    """The fraction of samples whose class is among the k highest scores; scores (N, C), class indices (N,)."""

    def __init__(self, k: int = 5) -> None:
        if k < 1:
            raise InputError(f"top-k accuracy needs a k of at least 1, got {k}")
        self.name, self.k = f"top{k}_accuracy", k

    def measure(self, output: Array, target: Array) -> Array:
        if output.ndim != 2 or target.shape != output.shape[:1] or output.shape[1] < self.k:
            raise InputError(
                f"{self.name} wants scores (N, C) with C >= {self.k} and N classes, got {list(output.shape)} and "
                f"{list(target.shape)}"
            )
        best = np.argpartition(-output, self.k - 1, axis=1)[:, : self.k]
        return np.array([(best == target[:, None]).any(axis=1).sum(), len(target)], dtype=np.float64)


class MeanAbsoluteError(Metric):
    """The mean of |output - target|."""

    name = "mae"

    def measure(self, output: Array, target: Array) -> Array:
        error = _difference(output, target, self.name)
        return np.array([np.abs(error).sum(), error.size], dtype=np.float64)


class MeanSquaredError(Metric):
    """The mean of (output - target)²."""

    name = "mse"

    def measure(self, output: Array, target: Array) -> Array:
        error = _difference(output, target, self.name)
        return np.array([np.square(error).sum(), error.size], dtype=np.float64)


class F1(Metric):
    """The mean over classes of the harmonic mean of precision and recall; a class that never occurs does not count.

    Takes what Accuracy takes; for outputs of one column it is the F1 of class 1 alone.
    """

    def __init__(self, threshold: float = 0.0) -> None:
        self.name, self.threshold = "f1", threshold

    def measure(self, output: Array, target: Array) -> Array:
        found = classes(output, target, self.threshold)
        wanted = target.reshape(found.shape)
        numbers = np.arange(output.shape[1]) if _has_classes(output, target) else np.array([1])
        is_found = found.ravel()[:, None] == numbers
        is_wanted = wanted.ravel()[:, None] == numbers
        both = (is_found & is_wanted).sum(axis=0)
        return np.array([both, is_found.sum(axis=0), is_wanted.sum(axis=0)], dtype=np.float64)

    def value(self, totals: Array) -> float:
        both, found, wanted = totals
        occurs = found + wanted > 0
        return float(np.mean(2 * both[occurs] / (found + wanted)[occurs])) if occurs.any() else 0.0


class FunctionMetric(Metric):
    """A function `(output, target) -> number` of arrays, averaged over the samples."""

    def __init__(self, function: Callable[[Array, Array], Any]) -> None:
        self.function = function
        self.name = str(getattr(function, "__name__", type(function).__name__))

    def measure(self, output: Array, target: Array) -> Array:
        return np.array([float(self.function(output, target)) * len(output), len(output)], dtype=np.float64)


MetricLike = Union[str, Metric, Callable[[Array, Array], Any]]
_BY_NAME: dict[str, Callable[[], Metric]] = {
    "accuracy": Accuracy, "f1": F1, "mae": MeanAbsoluteError, "mse": MeanSquaredError,
    "top5_accuracy": TopKAccuracy,
}  # fmt: skip


def as_metrics(given: MetricLike | Iterable[MetricLike]) -> list[Metric]:
    """Return metrics by their names, by functions, or as they are. Raises InputError for an unknown name."""
    several = isinstance(given, Iterable) and not isinstance(given, (str, Metric))
    listed: list[Any] = list(given) if several else [given]  # type: ignore[arg-type]
    found = [_as_metric(m) for m in listed]
    names = [m.name for m in found]
    for name in names:
        if names.count(name) > 1 or name in ("loss", "seconds", "epoch", "lr"):
            raise InputError(f"two columns of the history would be called '{name}'; give the metric another name")
    return found


def _as_metric(metric: MetricLike) -> Metric:
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, str):
        if metric not in _BY_NAME:
            raise InputError(f"there is no metric '{metric}'; there are {', '.join(sorted(_BY_NAME))}, or a function")
        return _BY_NAME[metric]()
    if callable(metric):
        return FunctionMetric(metric)
    raise InputError(f"a metric is a name, a Metric or a function, got {type(metric).__name__}")


def classes(output: Array, target: Array, threshold: float) -> Array:
    """Return the class that each output stands for. Raises InputError when outputs and targets do not fit."""
    shape = _class_shape(output, target)
    if int(np.prod(shape)) != target.size or len(output) != len(target):
        raise InputError(f"outputs of shape {list(output.shape)} do not fit targets of shape {list(target.shape)}")
    if _has_classes(output, target):
        return np.asarray(output.argmax(axis=1))
    return np.asarray(output > threshold, dtype=np.int64)


def _has_classes(output: Array, target: Array) -> bool:
    return output.ndim > 1 and output.shape[1] > 1 and output.shape != target.shape


def _class_shape(output: Array, target: Array) -> tuple[int, ...]:
    return (output.shape[0], *output.shape[2:]) if _has_classes(output, target) else output.shape


def _difference(output: Array, target: Array, name: str) -> Array:
    if output.size != target.size or len(output) != len(target):
        raise InputError(f"{name} wants equal shapes, got {list(output.shape)} and {list(target.shape)}")
    return np.asarray(np.subtract(output, target.reshape(output.shape), dtype=np.float64))
