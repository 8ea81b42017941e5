"""Claims about spreads: ranges like the data's, of which none tells a sample, and how they reach a graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from training_cases import blobs, classifier, train

from neurenix.data import DataLoader
from neurenix.errors import TrainingError
from neurenix.graph.spread import FEWEST, Spread, spread_from_json, spread_of
from neurenix.graph.standardising import standardised_inputs
from neurenix.nn import BatchNorm1d, Linear, Module, Sequential, Softmax
from neurenix.project.training_process import spreads_of, unpack
from neurenix.tensor import Tensor
from neurenix.trace import trace
from neurenix.training import Trained

ONE = Spread((0.0,), (1.0,), (False,))

tables = arrays.arrays(
    st.sampled_from([np.float32, np.float64, np.int64, np.uint8, np.bool_]),
    st.tuples(st.integers(FEWEST, 40), st.integers(1, 5)),
)


@given(tables)
def test_ranges_lie_inside_the_data_and_survive_json(samples: Any) -> None:
    spread = spread_of(samples)
    if spread is None:
        columns = samples.astype(np.float64)
        assert not (np.abs(columns) <= np.finfo(np.float32).max).all()
        return
    low, high = np.array(spread.low), np.array(spread.high)
    least, most = samples.astype(np.float64).min(axis=0), samples.astype(np.float64).max(axis=0)
    room = 1e-6 * np.maximum(np.abs(least), np.abs(most))  # of what hardly varies seven digits are kept
    assert (low <= high).all() and (least - room <= low).all() and (high <= most + room).all()
    assert samples.dtype.kind == "f" or all(spread.whole)
    assert spread == spread_from_json(spread.to_json())


def test_even_draws_have_the_datas_mean_and_deviation() -> None:
    samples = np.random.default_rng(0).normal([750, 1], [300, 0.2], (4000, 2))
    spread = spread_of(samples)
    assert spread is not None
    low, high = np.array(spread.low), np.array(spread.high)
    assert np.allclose(samples.mean(axis=0), (low + high) / 2, rtol=0.02)
    assert np.allclose(samples.std(axis=0), (high - low) / np.sqrt(12), rtol=0.02)


def test_no_measure_of_the_data_is_kept_not_even_an_extreme() -> None:
    incomes = np.random.default_rng(0).lognormal(10, 1, 50).round(2)
    spread = spread_of(incomes)
    assert spread is not None
    assert not {*spread.low, *spread.high} & {*incomes}
    assert all(value == float(f"{value:.3g}") for value in (*spread.low, *spread.high))


def test_a_few_whole_numbers_are_classes_and_keep_their_ends() -> None:
    assert Spread((2.0,), (5.0,), (True,)) == spread_of(np.array([2.0, 3, 5, 2, 3, 5, 2, 3]))


@pytest.mark.parametrize(
    "samples",
    [np.zeros((7, 3)), np.full(9, np.nan), np.full(9, np.inf), np.full(9, 1e300), np.full(9, "a"), np.zeros((9, 0))],
)
def test_too_few_samples_and_what_is_not_finite_have_no_spread(samples: Any) -> None:
    assert spread_of(samples) is None


def test_a_spread_of_other_features_has_one_range_for_all() -> None:
    spread = Spread((0.0, 5.0), (1.0, 9.0), (False, True))
    assert spread == spread.fitted((4, 2))
    assert Spread((0.0,), (9.0,), (False,)) == spread.fitted((4, 3))
    assert ONE == ONE.fitted((4, 3))


@pytest.mark.parametrize(
    "data",
    [
        {"low": [], "high": [], "whole": []},
        {"low": [1.0], "high": [0.0], "whole": [False]},
        {"low": [0.0], "high": [1.0, 2.0], "whole": [False]},
        {"low": [0.0], "high": [float("inf")], "whole": [False]},
        {"low": [0.0], "high": [float("nan")], "whole": [False]},
        {"low": [0.0], "high": [1.0], "whole": [1]},
        {"low": [0.0] * 1025, "high": [1.0] * 1025, "whole": [False] * 1025},
    ],
)
def test_a_malformed_spread_is_refused(data: Mapping[str, Any]) -> None:
    with pytest.raises(ValueError, match="finite ranges"):
        spread_from_json(data)


def test_fit_notes_what_it_saw_and_a_model_around_it_knows() -> None:
    model = classifier()
    train(model, epochs=1)
    around = Sequential(model, Softmax(-1))
    graph = trace(Sequential(*around), {"x": "float32[batch, 2]"})
    assert {"x": spread_of(blobs().arrays[0])} == graph.spreads


def test_what_fit_notes_is_what_the_transform_made_and_draws_from_no_generator() -> None:
    def scaled(batch: Any, random: np.random.Generator) -> Any:
        return batch[0] * 100 + 1000, batch[1]

    def fitted(**options: Any) -> tuple[Sequential, Any]:
        model = classifier()
        loader = DataLoader(blobs(), 16, shuffle=True, transform=scaled, generator=3, **options)
        train(model, data=loader, epochs=1)
        return model, loader.state_dict()

    (model, state), (ahead, state_ahead) = fitted(), fitted(prefetch=2)
    (spread,) = trace(model, {"x": "float32[batch, 2]"}).spreads.values()
    assert 500 < spread.low[0] < spread.high[0] < 1500
    assert (state, spread) == (state_ahead, *trace(ahead, {"x": "float32[batch, 2]"}).spreads.values())


def test_a_model_that_was_not_trained_knows_nothing() -> None:
    assert {} == trace(Linear(2, 2), {"x": "float32[batch, 2]"}).spreads


class Both(Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


@pytest.mark.parametrize("examples", [np.arange(9.0), (np.arange(9.0), np.ones(8)), {"y": np.arange(9.0)}])
def test_examples_are_given_as_an_array_in_order_or_by_name(examples: Any) -> None:
    found = spreads_of(examples, ("x", "y"))
    first = next(iter(found.values()))
    assert Spread((0.0,), (8.0,), (True,)) == first
    assert {"x", "y"} >= found.keys()


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ((np.zeros(9),) * 3, "train returned 3 arrays of examples; the inputs are x, y"),
        ({"z": np.zeros(9)}, "train returned examples of 'z'; the inputs are x, y"),
        ({"x": np.zeros(3)}, "train returned examples of 'x' that are not 8 or more of finite numbers"),
        ({"x": "text"}, "train returned examples of 'x' that are not 8 or more of finite numbers"),
    ],
)
def test_examples_that_fit_no_input_are_refused(examples: Any, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        spreads_of(examples, ("x", "y"))


def test_a_trained_model_may_come_with_examples_or_without() -> None:
    model = Linear(2, 2)
    assert (model, {"loss": 0.5}) == unpack(Trained(model, {"loss": 0.5}, examples=np.zeros((9, 2))))
    assert Trained(model).examples is None


class First(Module):
    """A step before a layer."""

    def __init__(self, step: Callable[[Tensor], Tensor], features: int = 2) -> None:
        super().__init__()
        self.step, self.linear = step, Linear(features, 2)

    def forward(self, x: Tensor) -> Any:
        return self.linear(self.step(x))


def constant(*values: float) -> Tensor:
    return Tensor(np.array(values, np.float32))


MEAN, DEVIATION = constant(750, 1), constant(315, 0.25)
BOTH = ((750 - 315 * 3**0.5, 1 - 0.25 * 3**0.5), (750 + 315 * 3**0.5, 1 + 0.25 * 3**0.5))


@pytest.mark.parametrize(
    ("step", "ends"),
    [
        (lambda x: (x - MEAN) / DEVIATION, BOTH),
        (lambda x: (MEAN - x) / DEVIATION, BOTH),
        (lambda x: (-MEAN + x) * (1 / DEVIATION), BOTH),
        (lambda x: x / DEVIATION + constant(-750 / 315, -4), BOTH),
        (lambda x: (x - 100.0) * 0.5, ((100 - 2 * 3**0.5,), (100 + 2 * 3**0.5,))),
        (lambda x: x / 255.0, None),  # where it lies nobody says
        (lambda x: (x - MEAN) / constant(0, 1), None),
        (lambda x: (x - MEAN).tanh() * 0 + x, None),  # read by more than one step
        (lambda x: x - Tensor(np.ones((3, 2), np.float32)), None),  # not by feature
    ],
)
def test_a_model_that_standardises_its_inputs_says_what_they_are_like(step: Any, ends: Any) -> None:
    graph = trace(First(step), {"x": "float32[3, 2]"})
    found = standardised_inputs(graph)
    if ends is None:
        assert {} == found
    else:
        assert np.allclose(ends, (found["x"].low, found["x"].high))


def test_a_batch_norm_in_front_says_what_its_batches_were_like() -> None:
    norm = BatchNorm1d(2)
    train_rows = np.random.default_rng(0).normal([750, 1], [300, 0.2], (64, 2)).astype(np.float32)
    for _ in range(100):
        norm(train_rows)
    spread = standardised_inputs(trace(Sequential(norm, Linear(2, 2)), {"x": "float32[batch, 2]"}))["x"]
    assert np.allclose(train_rows.mean(axis=0), np.add(spread.low, spread.high) / 2, rtol=0.01)
