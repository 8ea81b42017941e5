"""The learning-rate schedules: their rates, their state, what they refuse. PyTorch's rates: tests/peers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from neurenix.errors import InputError
from neurenix.nn import Parameter
from neurenix.optim import SGD, Adagrad, Adam, Optimizer
from neurenix.optim import lr_scheduler as ls

MAKERS: dict[str, Callable[[Optimizer], Any]] = {
    "step": lambda o: ls.StepLR(o, 3, gamma=0.5),
    "multi-step": lambda o: ls.MultiStepLR(o, [2, 5, 11], gamma=0.3),
    "exponential": lambda o: ls.ExponentialLR(o, 0.9),
    "cosine": lambda o: ls.CosineAnnealingLR(o, 12, eta_min=0.003),
    "linear": lambda o: ls.LinearLR(o, total_iters=7),
    "constant": lambda o: ls.ConstantLR(o, total_iters=4),
    "lambda": lambda o: ls.LambdaLR(o, lambda i: 1 / (i + 1)),
    "one-cycle": lambda o: ls.OneCycleLR(o, 0.3, total_steps=24),
    "sequential": lambda o: ls.SequentialLR(o, [ls.LinearLR(o), ls.ExponentialLR(o, 0.5)], [4]),
    "chained": lambda o: ls.ChainedScheduler([ls.LinearLR(o), ls.ExponentialLR(o, 0.5)]),
}


def optimiser() -> SGD:
    return SGD([{"params": [Parameter([1.0])], "lr": 0.2}, {"params": [Parameter([2.0])]}], lr=1.0, momentum=0.5)


def rates(scheduler: Any, steps: int) -> list[list[float]]:
    found = []
    for _ in range(steps):
        found.append(scheduler.get_last_lr())
        scheduler.step()
    return found


def test_a_step_schedule_multiplies_every_groups_rate() -> None:
    found = rates(ls.StepLR(optimiser(), 2, gamma=0.5), 5)
    assert [[0.2, 1.0], [0.2, 1.0], [0.1, 0.5], [0.1, 0.5], [0.05, 0.25]] == found


def test_a_warm_up_rises_to_the_rate_and_stays() -> None:
    found = [second for _, second in rates(ls.LinearLR(optimiser(), 0.25, total_iters=3), 5)]
    np.testing.assert_allclose([0.25, 0.5, 0.75, 1.0, 1.0], found)


def test_a_cosine_ends_at_its_lowest() -> None:
    found = [second for _, second in rates(ls.CosineAnnealingLR(optimiser(), 4, eta_min=0.1), 5)]
    np.testing.assert_allclose(1.0, found[0])
    np.testing.assert_allclose(0.55, found[2])
    np.testing.assert_allclose(0.1, found[4])


def test_one_cycle_turns_the_momentum_against_the_rate() -> None:
    optimizer = Adam([Parameter([1.0])])
    scheduler = ls.OneCycleLR(optimizer, max_lr=0.5, total_steps=10, pct_start=0.4)
    betas = []
    found = []
    for _ in range(9):
        betas.append(optimizer.param_groups[0]["betas"][0])
        found.append(optimizer.lr)
        scheduler.step()
    assert found.index(max(found)) == betas.index(min(betas)) == 3
    np.testing.assert_allclose([0.5 / 25, 0.5, 0.95, 0.85], [found[0], found[3], betas[0], betas[3]])
    np.testing.assert_allclose(0.5 / 25 / 1e4, optimizer.lr)
    scheduler.step()  # PyTorch allows as many steps as total_steps, the first set by the constructor
    with pytest.raises(InputError, match="was made for 10 steps; this is step 11"):
        scheduler.step()


def test_a_plateau_lowers_the_rate_after_its_patience() -> None:
    optimizer = optimiser()
    scheduler = ls.ReduceLROnPlateau(optimizer, factor=0.5, patience=1, cooldown=1)
    found = []
    for measure in (3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0):
        scheduler.step(measure)
        found.append(optimizer.param_groups[1]["lr"])
    assert [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25] == found


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_stored_schedule_goes_on_where_it_was(make: Callable[[Optimizer], Any]) -> None:
    expected = rates(make(optimiser()), 20)
    first = make(optimiser())
    rates(first, 7)
    resumed = make(optimiser())
    resumed.load_state_dict(json.loads(json.dumps(first.state_dict())))
    resumed.optimizer.load_state_dict(first.optimizer.state_dict())
    assert expected[7:] == rates(resumed, 13)


def test_a_stored_plateau_goes_on_where_it_was() -> None:
    measures = np.random.default_rng(0).normal(size=30).tolist()
    found = []
    for stop in (0, 11):
        scheduler = ls.ReduceLROnPlateau(optimiser(), patience=2)
        for measure in measures[:stop]:
            scheduler.step(measure)
        resumed = ls.ReduceLROnPlateau(optimiser(), patience=2)
        resumed.load_state_dict(json.loads(json.dumps(scheduler.state_dict())))
        resumed.optimizer.load_state_dict(scheduler.optimizer.state_dict())
        for measure in measures[stop:]:
            resumed.step(measure)
        found.append(resumed.get_last_lr())
    assert found[0] == found[1]
    assert found[0] != [0.2, 1.0]


def test_senseless_schedules_are_refused() -> None:
    optimizer = optimiser()
    with pytest.raises(InputError, match="step_size must be a whole number above 0, got 0"):
        ls.StepLR(optimizer, 0)
    with pytest.raises(InputError, match="needs total_steps, or epochs and steps_per_epoch"):
        ls.OneCycleLR(optimizer, 0.1, epochs=3)
    with pytest.raises(InputError, match="max_lr has 3 numbers for 2 parameter groups"):
        ls.OneCycleLR(optimizer, [0.1, 0.2, 0.3], total_steps=4)
    with pytest.raises(InputError, match="Adagrad has no momentum to cycle"):
        ls.OneCycleLR(Adagrad([Parameter([1.0])]), 0.1, total_steps=4)
    with pytest.raises(InputError, match="needs a rising milestone between each two"):
        ls.SequentialLR(optimizer, [ls.LinearLR(optimizer)], [3])
    with pytest.raises(InputError, match="schedule 1 was made for another optimiser"):
        ls.ChainedScheduler([ls.LinearLR(optimizer), ls.LinearLR(optimiser())])
    with pytest.raises(InputError, match="ReduceLROnPlateau's factor must be below 1, got 2"):
        ls.ReduceLROnPlateau(optimizer, factor=2)
    with pytest.raises(InputError, match="has no 'initial_lr'"):
        ls.StepLR(SGD([Parameter([1.0])]), 3, last_epoch=4)
