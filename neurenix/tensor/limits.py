"""How large a tensor may be that is computed while a model is read: a hostile file asks for 2^62 in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from neurenix.dims import Shape, Size, product
from neurenix.errors import ModelError

_most: ContextVar[int | None] = ContextVar("most", default=None)


@contextmanager
def largest_result(size: int) -> Iterator[None]:
    """Inside, whoever would compute a tensor of more than `size` bytes raises ModelError before it is allocated."""
    token = _most.set(size)
    try:
        yield
    finally:
        _most.reset(token)


def check_size(shape: Shape, itemsize: int) -> None:
    """Raise ModelError when a tensor is larger than the limit that is in force; without one, do nothing."""
    most = _most.get()
    if most is None:
        return
    size: Size = product(tuple(int(s) for s in shape if isinstance(s, int))) * itemsize
    if isinstance(size, int) and size > most:
        raise ModelError(
            f"a tensor of shape {list(shape)} takes {size:,} bytes; a model may compute {most:,} at a time"
        )
