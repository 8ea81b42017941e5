"""Every loss with its options, as function and as module, in PyTorch and in Neurenix: values and gradients."""

from __future__ import annotations

from typing import Any

import both
import numpy as np
import pytest
import torch

import neurenix

pytestmark = pytest.mark.peers

RNG = np.random.default_rng(3)
N, C = 6, 5
REDUCTIONS = ("mean", "sum", "none")


def normal(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


def share(*shape: int) -> Any:
    return RNG.uniform(0.02, 0.98, shape).astype(np.float32)


def simplex(*shape: int) -> Any:
    drawn = RNG.random(shape).astype(np.float32)
    return drawn / drawn.sum(1, keepdims=True)


def classes(*shape: int) -> Any:
    drawn = RNG.integers(0, C, shape)
    drawn.flat[1] = 2
    return drawn


def signs(*shape: int) -> Any:
    return RNG.choice([-1, 1], shape).astype(np.float32)


def logs(*shape: int) -> Any:
    return np.log(simplex(*shape))


WEIGHT = share(C)
SCORES, IMAGE = (normal(N, C), classes(N)), (normal(N, C, 3, 2), classes(N, 3, 2))
PAIR, LOGITS = (normal(N, C), normal(N, C)), (normal(N, C) * 4, share(N, C))
# Losses, options and inputs; arrays among the options become tensors.
CASES: list[tuple[str, dict[str, Any], tuple[Any, ...]]] = [
    ("MSELoss", {}, PAIR),
    ("L1Loss", {}, PAIR),
    ("SmoothL1Loss", {}, PAIR),
    ("SmoothL1Loss", {"beta": 0.3}, PAIR),
    ("SmoothL1Loss", {"beta": 0.0}, PAIR),
    ("HuberLoss", {}, PAIR),
    ("HuberLoss", {"delta": 0.4}, PAIR),
    ("CrossEntropyLoss", {}, SCORES),
    ("CrossEntropyLoss", {}, IMAGE),
    ("CrossEntropyLoss", {}, (normal(C), np.asarray(3))),
    ("CrossEntropyLoss", {"weight": WEIGHT}, SCORES),
    ("CrossEntropyLoss", {"ignore_index": 2}, IMAGE),
    ("CrossEntropyLoss", {"label_smoothing": 0.2}, SCORES),
    ("CrossEntropyLoss", {"weight": WEIGHT, "ignore_index": 2, "label_smoothing": 0.2}, SCORES),
    ("CrossEntropyLoss", {"weight": WEIGHT, "ignore_index": 2, "label_smoothing": 0.2}, IMAGE),
    ("CrossEntropyLoss", {}, (normal(N, C), simplex(N, C))),
    ("CrossEntropyLoss", {"weight": WEIGHT, "label_smoothing": 0.3}, (normal(N, C, 4), simplex(N, C, 4))),
    ("NLLLoss", {}, (logs(N, C), classes(N))),
    ("NLLLoss", {"weight": WEIGHT, "ignore_index": 2}, (logs(N, C, 2, 3), classes(N, 2, 3))),
    ("BCELoss", {}, (share(N, C), share(N, C))),
    ("BCELoss", {"weight": WEIGHT}, (share(N, C), share(N, C))),
    ("BCEWithLogitsLoss", {}, LOGITS),
    ("BCEWithLogitsLoss", {}, (LOGITS[0] * 30, LOGITS[1])),
    ("BCEWithLogitsLoss", {"weight": WEIGHT, "pos_weight": share(C) * 3}, LOGITS),
    ("KLDivLoss", {}, (logs(N, C), simplex(N, C))),
    ("KLDivLoss", {"log_target": True}, (logs(N, C), logs(N, C))),
    ("PoissonNLLLoss", {}, (normal(N, C), RNG.poisson(3, (N, C)).astype(np.float32))),
    ("PoissonNLLLoss", {"full": True}, (normal(N, C), RNG.poisson(3, (N, C)).astype(np.float32))),
    ("PoissonNLLLoss", {"log_input": False}, (share(N, C), RNG.poisson(3, (N, C)).astype(np.float32))),
    ("CosineEmbeddingLoss", {}, (*PAIR, signs(N))),
    ("CosineEmbeddingLoss", {"margin": 0.2}, (*PAIR, signs(N))),
    ("HingeEmbeddingLoss", {}, (normal(N, C), signs(N, C))),
    ("HingeEmbeddingLoss", {"margin": 0.5}, (normal(N, C), signs(N, C))),
    ("MarginRankingLoss", {}, (*PAIR, signs(N, C))),
    ("MarginRankingLoss", {"margin": 0.3}, (*PAIR, signs(N, C))),
]
NAMES = [f"{name}-{'-'.join(options)}-{inputs[0].ndim}d-{i}" for i, (name, options, inputs) in enumerate(CASES)]
FUNCTIONS = {
    "MSELoss": "mse_loss", "L1Loss": "l1_loss", "SmoothL1Loss": "smooth_l1_loss", "HuberLoss": "huber_loss",
    "CrossEntropyLoss": "cross_entropy", "NLLLoss": "nll_loss", "BCELoss": "binary_cross_entropy",
    "BCEWithLogitsLoss": "binary_cross_entropy_with_logits", "KLDivLoss": "kl_div",
    "PoissonNLLLoss": "poisson_nll_loss", "CosineEmbeddingLoss": "cosine_embedding_loss",
    "HingeEmbeddingLoss": "hinge_embedding_loss", "MarginRankingLoss": "margin_ranking_loss",
}  # fmt: skip


def found(lib: Any, case: tuple[str, dict[str, Any], tuple[Any, ...]], reduction: str, function: bool) -> both.Pass:
    """Compute a loss and the gradient of its weighted sum by every input but the target."""
    name, options, inputs = case
    make = torch.from_numpy if lib is torch else neurenix.Tensor
    given = {k: make(np.array(v)) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    tensors = [make(np.array(x)) for x in inputs]
    for tensor in tensors[:-1]:
        tensor.requires_grad = True
    if function:
        value = getattr(lib.nn.functional, FUNCTIONS[name])(*tensors, **given, reduction=reduction)
    else:
        value = getattr(lib.nn, name)(**given, reduction=reduction)(*tensors)
    shape = tuple(value.shape)
    spread = np.linspace(0.5, 1.5, int(np.prod(shape)), dtype=np.float32).reshape(shape)
    (value * make(spread)).sum().backward()
    gradients = {str(i): both.array(t.grad) for i, t in enumerate(tensors) if t.grad is not None}
    return both.Pass([both.array(value)], both.array(value), gradients)


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning")
@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_losses_and_gradients_agree(case: Any) -> None:
    for reduction in (*REDUCTIONS, *(["batchmean"] if case[0] == "KLDivLoss" else [])):
        expected = found(torch, case, reduction, function=False)
        for function in (False, True):
            both.agree(expected, found(neurenix, case, reduction, function), 1e-5)


def test_the_mean_of_nothing_is_nan_in_both() -> None:
    for lib in (torch, neurenix):
        make = torch.from_numpy if lib is torch else neurenix.Tensor
        loss = lib.nn.CrossEntropyLoss(ignore_index=1)(make(normal(2, 3)), make(np.ones(2, np.int64)))
        assert np.isnan(both.array(loss))


def test_saturated_probabilities_give_finite_losses_in_both() -> None:
    case = ("BCELoss", {}, (np.array([0.0, 1.0, 1.0, 0.0], np.float32), np.array([1.0, 0.0, 1.0, 0.0], np.float32)))
    expected, actual = (found(lib, case, "none", function=True) for lib in (torch, neurenix))
    both.near(expected.loss, actual.loss, "loss")
    assert np.isfinite(actual.gradients["0"]).all()
