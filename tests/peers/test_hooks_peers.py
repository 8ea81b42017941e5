"""Hooks of modules against PyTorch's: what they are given, in what order, and what their answers change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import neurenix
import neurenix.nn
from neurenix.errors import GraphError

pytestmark = [
    pytest.mark.peers,
    # PyTorch says that such a hook is given the gradients of the outputs alone; ours does so as well
    pytest.mark.filterwarnings("ignore:Full backward hook is firing:UserWarning"),
]

Log = list[Any]
X, W = (np.random.default_rng(seed).standard_normal((3, 4)).astype(np.float32) for seed in range(2))


def numbers(value: Any) -> Any:
    """Turn what a hook is given into what can be compared."""
    if isinstance(value, tuple):
        return tuple(map(numbers, value))
    return value if value is None else np.round(value.detach().numpy().astype(np.float64), 5).tolist()


def pair(library: Any) -> tuple[Any, Any, Any]:
    """Return a module of two inputs, one more argument and two outputs, and the two inputs."""

    class Pair(library.nn.Module):  # type: ignore[misc]
        def forward(self, a: Any, factor: float, b: Any, shift: Any = 0.0) -> Any:
            return a * b * factor + shift, (a - b) * factor

    made = library.Tensor if library is neurenix else library.tensor
    return Pair(), made(X, requires_grad=True), made(W, requires_grad=True)


def backward(library: Any, y: Any) -> None:
    y.backward(W if library is neurenix else torch.tensor(W))


def watched(library: Any, log: Log) -> None:
    module, a, b = pair(library)
    module.register_full_backward_hook(lambda m, given, out: log.append((m is module, numbers(given), numbers(out))))
    y, z = module(a, 3.0, b)
    backward(library, y * z)
    log.append((numbers(a.grad), numbers(b.grad)))


def replaced(library: Any, log: Log) -> None:
    module, a, b = pair(library)
    module.register_full_backward_hook(lambda m, given, out: (given[0] * 2, None, given[2]))
    module.register_full_backward_hook(lambda m, given, out: log.append((numbers(given), numbers(out))))
    module.register_full_backward_hook(lambda m, given, out: (given[0] + 1, None, given[2]), prepend=True)
    y, _ = module(a, 2.0, b)
    backward(library, y + a)
    log.append((numbers(a.grad), numbers(b.grad)))


def one_frozen_input(library: Any, log: Log) -> None:
    module, a, b = pair(library)
    module.register_full_backward_hook(lambda m, given, out: log.append((numbers(given), numbers(out))))
    backward(library, module(a, 2.0, b.detach())[1])
    log.append(numbers(a.grad))


def no_input_with_a_gradient(library: Any, log: Log) -> None:
    layer = library.nn.Linear(4, 4)
    with library.no_grad():
        layer.weight *= 0
        layer.weight += 1
        layer.bias *= 0
    layer.register_full_backward_hook(lambda m, given, out: log.append((numbers(given), numbers(out))))
    backward(library, layer(pair(library)[1].detach()) ** 2)
    log.append(numbers(layer.weight.grad))


def before_it(library: Any, log: Log) -> None:
    module, a, b = pair(library)
    module.register_full_backward_pre_hook(lambda m, out: (out[0] * 3, out[1]))
    module.register_full_backward_hook(lambda m, given, out: log.append((numbers(given), numbers(out))))
    y, z = module(a, 1.0, b)
    backward(library, y * z)
    log.append(numbers(a.grad))


def nested_and_twice(library: Any, log: Log) -> None:
    inner = library.nn.Tanh()
    model = library.nn.Sequential(inner, library.nn.Sigmoid())
    model.register_full_backward_hook(lambda m, given, out: log.append(("outer", numbers(given), numbers(out))))
    inner.register_full_backward_hook(lambda m, given, out: log.append(("inner", numbers(given), numbers(out))))
    _, a, _ = pair(library)
    backward(library, model(a))
    backward(library, model(a) + model(a * 2))
    log[2:] = sorted(log[2:], key=str)  # which of the two passes is first is nobody's promise
    log.append(numbers(a.grad))


def removed(library: Any, log: Log) -> None:
    module, a, b = pair(library)
    handle = module.register_full_backward_hook(lambda m, given, out: log.append("a"))
    with module.register_full_backward_hook(lambda m, given, out: log.append("b")):
        backward(library, module(a, 1.0, b)[0])
    handle.remove()
    handle.remove()
    backward(library, module(a, 1.0, b)[0])
    with library.no_grad():
        module(a, 1.0, b)
    log.append(numbers(a.grad))


def with_keywords(library: Any, log: Log) -> None:
    module, a, b = pair(library)

    def shifted(m: Any, given: Any, named: dict[str, Any]) -> Any:
        log.append((sorted(named), len(given)))
        return (given[0] * 2, *given[1:]), {**named, "shift": 5.0}

    module.register_forward_pre_hook(lambda m, given: (given[0] + 1, *given[1:]))
    module.register_forward_pre_hook(shifted, with_kwargs=True, prepend=True)
    module.register_forward_hook(lambda m, given, named, out: (out[0] + named["shift"], out[1]), with_kwargs=True)
    module.register_forward_hook(lambda m, given, out: log.append((numbers(given[0]), numbers(out))), prepend=True)
    log.append(numbers(module(a, 1.0, b, shift=1.0)))


SCENES: list[Callable[[Any, Log], None]] = [
    watched, replaced, one_frozen_input, no_input_with_a_gradient, before_it, nested_and_twice, removed, with_keywords,
]  # fmt: skip


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_hooks_see_and_change_what_pytorchs_do(scene: Callable[[Any, Log], None]) -> None:
    logs: tuple[Log, Log] = ([], [])
    for library, log in zip((torch, neurenix), logs):
        scene(library, log)
    assert len(logs[0]) > 1
    assert logs[0] == _near(*logs)


def _near(expected: Any, found: Any) -> Any:
    """Return `found` with the expected number in place of one that differs by a rounding only."""
    if isinstance(expected, (list, tuple)) and type(expected) is type(found) and len(expected) == len(found):
        return type(expected)(_near(a, b) for a, b in zip(expected, found))
    close = isinstance(expected, float) and isinstance(found, float) and abs(expected - found) < 5e-5
    return expected if close else found


def test_answers_that_do_not_fit_are_refused_as_by_pytorch() -> None:
    for library, error in ((torch, RuntimeError), (neurenix, GraphError)):
        module, a, b = pair(library)
        module.register_full_backward_hook(lambda m, given, out: given[:1])
        y, _ = module(a, 1.0, b)
        with pytest.raises(error, match="returned"):
            backward(library, y)
        layer = library.nn.Linear(4, 4)
        layer.register_full_backward_hook(lambda m, given, out: out)
        y = layer(a.detach())
        with pytest.raises(error, match="return None"):
            backward(library, y)


def test_a_replaced_gradient_can_be_differentiated_again() -> None:
    found = []
    for library in (torch, neurenix):
        module, a, b = pair(library)
        module.register_full_backward_hook(lambda m, given, out: (given[0] ** 2, None, given[2]))
        y = module(a, 2.0, b)[0].sum()
        (first, *_) = (torch.autograd.grad if library is torch else neurenix.autograd.grad)(
            y, [a, b], create_graph=True
        )
        first.sum().backward()
        found.append(numbers(b.grad))
    np.testing.assert_allclose(found[1], found[0], atol=1e-4)
