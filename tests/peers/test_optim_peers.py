"""The optimisers and schedules against PyTorch's, step by step."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from neurenix import optim
from neurenix.nn import Parameter
from neurenix.tensor import Tensor

pytestmark = pytest.mark.peers

SHAPES = [(7, 5), (5,), (), (3, 2, 4)]
STEPS = 20
CASES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.02}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.02}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "maximize": True, "weight_decay": 0.02}),
    ("Adam", {}),
    ("Adam", {"lr": 0.02, "betas": (0.7, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.02, "amsgrad": True, "maximize": True}),
    ("AdamW", {"lr": 0.02}),
    ("AdamW", {"lr": 0.02, "weight_decay": 0.3, "amsgrad": True}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.02, "alpha": 0.8, "momentum": 0.7, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.02, "centered": True, "momentum": 0.5}),
    ("Adagrad", {"lr": 0.2, "lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.4}),
    ("Adagrad", {"lr": 0.2, "maximize": True}),
]


def pairs(dtype: type, seed: int = 5) -> tuple[list[Parameter], list[Any]]:
    random = np.random.default_rng(seed)
    arrays = [random.normal(size=shape).astype(dtype) for shape in SHAPES]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    return [Parameter(a.copy()) for a in arrays], theirs


def gradients(dtype: type) -> Iterator[list[np.ndarray[Any, Any]]]:
    random = np.random.default_rng(6)
    for _ in range(STEPS):
        yield [np.asarray(random.normal(size=shape), dtype) for shape in SHAPES]


@pytest.mark.parametrize(("name", "options"), CASES, ids=[f"{n}-{'-'.join(o) or 'plain'}" for n, o in CASES])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_twenty_steps_are_pytorchs(name: str, options: dict[str, Any], dtype: type, tolerance: float) -> None:
    ours, theirs = pairs(dtype)
    mine, peer = getattr(optim, name)(ours, **options), getattr(torch.optim, name)(theirs, **options)
    for step in gradients(dtype):
        for p, q, g in zip(ours, theirs, step):
            p.grad, q.grad = Tensor(g), torch.tensor(g)
        mine.step()
        peer.step()
        for p, q in zip(ours, theirs):
            np.testing.assert_allclose(q.detach().numpy(), p.numpy(), rtol=tolerance, atol=tolerance)
    known = peer.state_dict()["state"]
    for index, entry in mine.state_dict()["state"].items():
        for slot, array in entry.items():
            expected = known.get(index, {}).get(slot, STEPS)  # PyTorch's SGD does not count its steps
            np.testing.assert_allclose(np.asarray(expected), array, rtol=10 * tolerance, atol=10 * tolerance)


def test_groups_with_their_own_options_are_pytorchs() -> None:
    ours, theirs = pairs(np.float64)
    made = []
    for library, params in ((optim, ours), (torch.optim, theirs)):
        optimizer = library.AdamW([{"params": params[:2], "lr": 0.1}, {"params": params[2:3]}], lr=0.01)  # type: ignore[attr-defined]
        optimizer.add_param_group({"params": params[3:], "weight_decay": 0.5, "betas": (0.5, 0.6)})
        made.append(optimizer)
    for step in gradients(np.float64):
        for p, q, g in zip(ours, theirs, step):
            p.grad, q.grad = Tensor(g), torch.tensor(g)
        for optimizer in made:
            optimizer.step()
    for p, q in zip(ours, theirs):
        np.testing.assert_allclose(q.detach().numpy(), p.numpy(), rtol=1e-12)


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, float("inf")])
@pytest.mark.parametrize("max_norm", [0.5, 100.0])
def test_clipping_the_norm_is_pytorchs(norm_type: float, max_norm: float) -> None:
    ours, theirs = pairs(np.float64)
    for p, q, g in zip(ours, theirs, next(gradients(np.float64))):
        p.grad, q.grad = Tensor(g.copy()), torch.tensor(g)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    np.testing.assert_allclose(expected.item(), optim.clip_grad_norm_(ours, max_norm, norm_type).item(), rtol=1e-12)
    for p, q in zip(ours, theirs):
        assert p.grad is not None
        np.testing.assert_allclose(q.grad.numpy(), p.grad.numpy(), rtol=1e-12)


def sequence(s: Any, o: Any) -> Any:
    return s.SequentialLR(o, [s.LinearLR(o, 0.1, total_iters=4), s.CosineAnnealingLR(o, 10)], milestones=[4])


SCHEDULES: dict[str, Callable[[Any, Any], Any]] = {
    "step": lambda s, o: s.StepLR(o, 3, gamma=0.5),
    "multi-step": lambda s, o: s.MultiStepLR(o, [2, 5, 5, 11], gamma=0.3),
    "exponential": lambda s, o: s.ExponentialLR(o, 0.9),
    "cosine": lambda s, o: s.CosineAnnealingLR(o, 12, eta_min=0.003),
    "linear": lambda s, o: s.LinearLR(o, start_factor=0.2, end_factor=0.8, total_iters=7),
    "constant": lambda s, o: s.ConstantLR(o, factor=0.25, total_iters=4),
    "lambda": lambda s, o: s.LambdaLR(o, [lambda i: 1 / (i + 1), lambda i: 0.9**i]),
    "one-cycle": lambda s, o: s.OneCycleLR(o, [0.3, 0.7], total_steps=24),
    "one-cycle-linear": lambda s, o: s.OneCycleLR(o, 0.3, epochs=4, steps_per_epoch=6, anneal_strategy="linear"),
    "one-cycle-three": lambda s, o: s.OneCycleLR(o, 0.3, total_steps=24, three_phase=True, div_factor=5),
    "sequential": sequence,
    "chained": lambda s, o: s.ChainedScheduler([s.ConstantLR(o, 0.1, total_iters=3), s.ExponentialLR(o, 0.9)]),
}


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_schedules_are_pytorchs(schedule: Callable[[Any, Any], Any], kind: str) -> None:
    ours, theirs = pairs(np.float64)
    found = []
    for library, schedulers, params in (
        (optim, optim.lr_scheduler, ours),
        (torch.optim, torch.optim.lr_scheduler, theirs),
    ):
        groups = [{"params": params[:2], "lr": 0.2}, {"params": params[2:]}]
        optimizer = getattr(library, kind)(groups, lr=0.05, **({"momentum": 0.5} if kind == "SGD" else {}))
        scheduler = schedule(schedulers, optimizer)
        rows = []
        for _ in range(STEPS):
            rows.append([[g["lr"], g.get("momentum", g.get("betas", (0,))[0])] for g in optimizer.param_groups])
            optimizer.step()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # PyTorch's SequentialLR uses what PyTorch has deprecated
                scheduler.step()
        found.append(rows)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_plateaus_are_pytorchs(mode: str, threshold_mode: str) -> None:
    ours, theirs = pairs(np.float64)
    measures = np.abs(np.random.default_rng(3).normal(size=40)) + 1
    found = []
    for library, schedulers, params in (
        (optim, optim.lr_scheduler, ours),
        (torch.optim, torch.optim.lr_scheduler, theirs),
    ):
        optimizer = library.SGD(params, lr=0.5)  # type: ignore[attr-defined]
        scheduler = schedulers.ReduceLROnPlateau(
            optimizer, mode=mode, factor=0.3, patience=2, threshold=0.05, threshold_mode=threshold_mode, cooldown=2,
            min_lr=1e-4,
        )  # fmt: skip
        rows = []
        for measure in measures:
            scheduler.step(float(measure))
            rows.append(optimizer.param_groups[0]["lr"])
        found.append(rows)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-12)
