"""The tape and the backward pass: which operation made a tensor, and how gradients flow back through it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neurenix import expr as ex
from neurenix import ops
from neurenix.errors import GraphError

if TYPE_CHECKING:
    from neurenix.tensor import Tensor

_recording: ContextVar[bool] = ContextVar("recording", default=True)


@contextmanager
def no_grad() -> Iterator[None]:
    """Record nothing inside: results have no gradient, and cost no memory for one."""
    token = _recording.set(False)
    try:
        yield
    finally:
        _recording.reset(token)


def is_grad_enabled() -> bool:
    """Return whether operations are being recorded."""
    return _recording.get()


@dataclass(frozen=True, eq=False)
class Entry:
    """One operation on the tape."""

    op: ops.Op
    inputs: tuple[Tensor, ...]
    attrs: Mapping[str, Any]


def backward(root: Tensor, gradient: Tensor) -> None:
    """Add the gradient of `root` to `.grad` of every leaf that asked for one."""
    gradients: dict[int, Tensor] = {id(root): gradient}
    for tensor in reversed(_in_order(root)):
        g = gradients.pop(id(tensor), None)
        if g is None:
            continue
        if tensor.entry is None:
            tensor.grad = g.detach() if tensor.grad is None else (tensor.grad + g).detach()
            continue
        for source, part in zip(tensor.entry.inputs, _gradients(tensor, g)):
            if part is not None and source.requires_grad:
                known = gradients.get(id(source))
                gradients[id(source)] = part if known is None else known + part


def _gradients(y: Tensor, g: Tensor) -> list[Tensor | None]:
    entry = y.entry
    assert entry is not None
    if entry.op.gradient is not None:
        return list(entry.op.gradient(g, y, entry.inputs, entry.attrs))
    if entry.op.expr is None:
        raise GraphError(f"op '{entry.op.name}' has no gradient")
    return [_elementwise(entry, i, g) if x.requires_grad else None for i, x in enumerate(entry.inputs)]


def _elementwise(entry: Entry, index: int, g: Tensor) -> Tensor | None:
    """dy/dx_i * g as one `map` over the inputs and g, summed over the axes that broadcast."""
    slope = ex.derivative(entry.op.expression(entry.attrs), index)
    if slope.op == "const" and slope.value == 0:
        return None
    x = entry.inputs[index]
    if slope.op == "const" and slope.value == 1:
        return g.sum_to(x.shape)
    product = slope * ex.operand(len(entry.inputs))
    return entry.inputs[0].map(product, *entry.inputs[1:], g).sum_to(x.shape)


def _in_order(root: Tensor) -> list[Tensor]:
    """Every tensor that `root` was made from, inputs before results; a loop, since tapes are deep."""
    order: list[Tensor] = []
    seen: set[int] = set()
    stack = [(root, False)]
    while stack:
        tensor, expanded = stack.pop()
        if expanded:
            order.append(tensor)
        elif id(tensor) not in seen and tensor.requires_grad:
            seen.add(id(tensor))
            stack.append((tensor, True))
            if tensor.entry is not None:
                stack.extend((source, False) for source in tensor.entry.inputs)
    return order
