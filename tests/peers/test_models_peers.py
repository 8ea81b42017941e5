"""Six models that are not in the repository, in both libraries: the same names, answers, gradients and training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import both
import numpy as np
import peer_models
import pytest
import torch

import neurenix
from neurenix.optim import SGD, AdamW
from neurenix.wasm import export_to_wasm

pytestmark = pytest.mark.peers

RNG = np.random.default_rng(7)


@dataclass(frozen=True)
class Case:
    """A model, the inputs that it takes by name, a loss of its outputs, and the loss's targets."""

    make: Callable[[Any], Any]
    inputs: dict[str, np.ndarray[Any, Any]]
    loss: Callable[..., Any]
    targets: tuple[np.ndarray[Any, Any], ...]


def normal(*shape: int) -> np.ndarray[Any, Any]:
    return RNG.standard_normal(shape).astype(np.float32)


def labels(classes: int, *shape: int) -> np.ndarray[Any, Any]:
    return RNG.integers(0, classes, shape)


def cross_entropy(lib: Any, scores: Any, target: Any) -> Any:
    return lib.nn.functional.cross_entropy(scores, target, label_smoothing=0.1)


def tag_loss(lib: Any, scores: Any, target: Any) -> Any:
    return lib.nn.CrossEntropyLoss(ignore_index=0)(scores, target)


def vae_loss(lib: Any, image: Any, mean: Any, log_variance: Any, target: Any) -> Any:
    rebuilt = lib.nn.functional.binary_cross_entropy_with_logits(image, target, reduction="sum")
    return rebuilt - 0.5 * (1 + log_variance - mean * mean - log_variance.exp()).sum()


IMAGES = RNG.random((4, 1, 8, 8), dtype=np.float32)
CASES = {
    "mlp": Case(peer_models.mlp, {"x": normal(16, 12)}, cross_entropy, (labels(3, 16),)),
    "resnet": Case(peer_models.resnet, {"x": normal(4, 3, 13, 12)}, cross_entropy, (labels(5, 4),)),
    "tagger": Case(peer_models.tagger, {"words": labels(40, 3, 9)}, tag_loss, (labels(7, 3, 9),)),
    "transformer": Case(peer_models.transformer, {"words": labels(30, 4, 8)}, cross_entropy, (labels(4, 4),)),
    "vae": Case(peer_models.vae, {"image": IMAGES, "noise": normal(4, 6)}, vae_loss, (IMAGES,)),
    "unet": Case(peer_models.unet, {"x": normal(2, 2, 12, 8)}, cross_entropy, (labels(3, 2, 12, 8),)),
}
every = pytest.mark.parametrize("name", CASES)


@every
def test_names_and_shapes_are_pytorchs(name: str) -> None:
    theirs, ours = CASES[name].make(torch).state_dict(), CASES[name].make(neurenix).state_dict()
    assert [(n, tuple(t.shape)) for n, t in theirs.items()] == [(n, t.shape) for n, t in ours.items()]


@every
def test_outputs_losses_gradients_and_statistics_agree(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    theirs, ours = both.twins(case.make, tmp_path)
    inputs = list(case.inputs.values())
    for training in (True, False):
        theirs.train(training)
        ours.train(training)
        expected = both.run(torch, theirs, inputs, case.loss, *case.targets)
        both.agree(expected, both.run(neurenix, ours, inputs, case.loss, *case.targets))


@every
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_few_steps_of_training_agree(name: str, optimizer: str, tmp_path: Path) -> None:
    case = CASES[name]
    theirs, ours = both.twins(case.make, tmp_path)
    # In float64: an optimiser divides gradients by their size, and so makes rounding errors as large as steps.
    theirs.double()
    ours.double()
    inputs, targets = ([_wide(x) for x in xs] for xs in (case.inputs.values(), case.targets))
    options: dict[str, Any] = {"lr": 1e-2, "weight_decay": 1e-2}
    if optimizer == "sgd":
        options |= {"momentum": 0.9, "nesterov": True}
        stepping = [torch.optim.SGD(theirs.parameters(), **options), SGD(ours.parameters(), **options)]
    else:
        stepping = [torch.optim.AdamW(theirs.parameters(), **options), AdamW(ours.parameters(), **options)]
    for _ in range(5):
        expected = both.run(torch, theirs, inputs, case.loss, *targets)
        actual = both.run(neurenix, ours, inputs, case.loss, *targets)
        both.near(expected.loss, actual.loss, "loss")
        for one in stepping:
            one.step()
    for (key, a), b in zip(theirs.state_dict().items(), ours.state_dict().values()):
        both.near(a, b, key)


def _wide(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return x.astype(np.float64) if x.dtype.kind == "f" else x


@every
def test_the_compiled_model_gives_pytorchs_answers(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    theirs, ours = both.twins(case.make, tmp_path)
    theirs.eval()
    ours.eval()
    bundle = export_to_wasm(ours, tmp_path / "bundle", name, inputs=case.inputs)
    with torch.no_grad():
        result = theirs(*(torch.from_numpy(x) for x in case.inputs.values()))
    expected = list(result) if isinstance(result, tuple) else [result]
    for device in ("cpu", "wasm"):
        answers = neurenix.load_model(Path(bundle) / f"{name}.json", device=device).forward(case.inputs)
        assert len(expected) == len(answers)
        for i, (a, b) in enumerate(zip(expected, answers.values())):
            both.near(a, b, f"output {i} on {device}")
