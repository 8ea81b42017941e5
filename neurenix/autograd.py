"""The tape and the backward pass: which operation made a tensor, and how gradients flow back through it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

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


class Entry(NamedTuple):
    """One operation on the tape. `versions` are those that its inputs had: a change in place makes a new one."""

    op: ops.Op
    inputs: tuple[Tensor, ...]
    attrs: Mapping[str, Any]
    versions: tuple[int, ...] = ()


def backward(root: Tensor, gradient: Tensor, create_graph: bool = False) -> None:
    """Add the gradient of `root` to `.grad` of every leaf that asked for one."""
    with _history(create_graph):
        for tensor, g in _walk([root], [gradient]):
            if tensor.entry is None:
                total = g if tensor.grad is None else tensor.grad + g
                tensor.grad = total if create_graph else total.detach()


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Sequence[Tensor] | None = None,
    create_graph: bool = False,
) -> tuple[Tensor | None, ...]:
    """Return the gradients of `outputs` by each of `inputs`, and leave every `.grad` as it is.

    An input that no output depends on gets None. With `create_graph` the gradients can be differentiated again.
    """
    roots, wanted = _listed(outputs), _listed(inputs)
    seeds = [root.seed(None if grad_outputs is None else grad_outputs[i]) for i, root in enumerate(roots)]
    found: dict[int, Tensor] = {}
    with _history(create_graph):
        for tensor, g in _walk(roots, seeds):
            if any(tensor is w for w in wanted):
                found[id(tensor)] = g
    return tuple(found.get(id(w)) for w in wanted)


def _listed(tensors: Tensor | Sequence[Tensor]) -> list[Tensor]:
    return list(tensors) if isinstance(tensors, Sequence) else [tensors]


def _history(create_graph: bool) -> AbstractContextManager[None]:
    return nullcontext() if create_graph else no_grad()


def _walk(roots: Sequence[Tensor], seeds: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield every tensor behind the roots with its whole gradient, results before what they were made from."""
    gradients: dict[int, Tensor] = {}

    def add(tensor: Tensor, part: Tensor) -> None:
        known = gradients.get(id(tensor))
        gradients[id(tensor)] = part if known is None else known + part

    for root, seed in zip(roots, seeds):
        add(root, seed)
    for tensor in reversed(_in_order(roots)):
        g = gradients.pop(id(tensor), None)
        if g is None:
            continue
        yield tensor, g
        if tensor.entry is not None:
            for source, part in zip(tensor.entry.inputs, _gradients(tensor, g)):
                if part is not None and source.requires_grad:
                    add(source, part)


def _gradients(y: Tensor, g: Tensor) -> list[Tensor | None]:
    entry = y.entry
    assert entry is not None
    for x, version in zip(entry.inputs, entry.versions):
        if x.version != version:
            raise GraphError(
                f"the gradient of op '{entry.op.name}' needs an input of shape {list(x.shape)} that was changed in "
                "place since: write x = x + y where it says x += y"
            )
    ruled = None if entry.op.gradient is None else entry.op.gradient(g, y, entry.inputs, entry.attrs)
    if ruled is not None:
        return list(ruled)
    if entry.op.expr is None:
        own = "" if entry.op.name in ops.OPS else ": register it with gradient=…"
        raise GraphError(f"op '{entry.op.name}' has no gradient{own}")
    return [_elementwise(entry, i, g) if x.requires_grad else None for i, x in enumerate(entry.inputs)]


def _elementwise(entry: Entry, index: int, g: Tensor) -> Tensor | None:
    """dy/dx_i * g as one `map` over the inputs and g, summed over the axes that broadcast."""
    product = _times_slope(entry.op.expression(entry.attrs), index, len(entry.inputs))
    if product is None:
        return None
    x = entry.inputs[index]
    if product is ex.operand(len(entry.inputs)):
        return g.sum_to(x.shape)
    return entry.inputs[0].map(product, *entry.inputs[1:], g).sum_to(x.shape)


@lru_cache(maxsize=4096)
def _times_slope(expression: ex.Expr, index: int, arity: int) -> ex.Expr | None:
    """dy/dx_i * g, where g is the operand after the inputs; None where the slope is 0 everywhere.

    It is kept, for a training loop asks for the same few again and again.
    """
    slope = ex.derivative(expression, index)
    return None if slope.op == "const" and slope.value == 0 else ex.times(ex.operand(arity), slope)


def _in_order(roots: Sequence[Tensor]) -> list[Tensor]:
    """Every tensor that the roots were made from, inputs before results; a loop, since tapes are deep."""
    order: list[Tensor] = []
    seen: set[int] = set()
    stack = [(root, False) for root in roots]
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
