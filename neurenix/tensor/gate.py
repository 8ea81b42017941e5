"""A gate that the gradients of several tensors pass together: what the backward hooks of a module stand on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from neurenix import autograd
from neurenix.ops import Family, Op
from neurenix.ops.op import Attrs
from neurenix.tensor.tensor import Tensor

Gradients = tuple[Any, ...]  # of Tensor or None


def gate(tensors: Sequence[Tensor], passing: Callable[[Gradients], Gradients]) -> tuple[Tensor, ...]:
    """Return tensors of the same numbers; what `passing` makes of all their gradients flows on to the given ones.

    It is called once in each backward pass that reaches one of them, with None for those that it does not reach and
    zeros for those that require no gradient, as PyTorch's, and returns as many. Where nothing is being recorded, or
    nothing requires a gradient, the tensors themselves come back.
    """
    watched = [t for t in tensors if t.requires_grad]
    if not watched or not autograd.is_grad_enabled():
        return tuple(tensors)
    arrived: dict[int, Tensor] = {}

    def together(g: Tensor, y: Tensor, inputs: Sequence[Tensor], attrs: Attrs) -> Gradients:
        found = tuple(arrived.get(i) if t.requires_grad else _zeros(t) for i, t in enumerate(tensors))
        arrived.clear()
        passed = passing(found)
        return tuple(p for p, t in zip(passed, tensors) if t.requires_grad)

    def arrival(index: int) -> Callable[..., Gradients]:
        def arrive(g: Tensor, y: Tensor, inputs: Sequence[Tensor], attrs: Attrs) -> Gradients:
            arrived[index] = g
            return (token,)

        return arrive

    # A backward pass visits a tensor after everything that was made from it: all of the results before the middle.
    token = Tensor(np.zeros((), np.float32))
    middle = _made(token, watched, together)
    return tuple(_made(t, [middle], arrival(i)) if t.requires_grad else t for i, t in enumerate(tensors))


def _zeros(like: Tensor) -> Tensor:
    return Tensor(np.zeros_like(like.numpy()))


def _made(like: Tensor, inputs: Sequence[Tensor], gradient: Callable[..., Gradients]) -> Tensor:
    """Return a tensor of the same numbers whose place on the tape has a gradient of its own."""
    result = like.detach()
    result.requires_grad = True
    row = Op("gate", Family.ELEMENTWISE, _made.__doc__ or "", len(inputs), lambda ins, _: ins[0], np.asarray,
             gradient=gradient)  # fmt: skip
    result.entry = autograd.Entry(row, tuple(inputs), {})
    return result
