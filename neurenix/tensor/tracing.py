"""What layers need of a graph under construction: to say who is recording, and to be run on symbols."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from neurenix.graph.builder import GraphBuilder, active_builder
from neurenix.tensor.input_spec import InputSpec, read_spec
from neurenix.tensor.tensor import Tensor


def scope(module: object) -> AbstractContextManager[None]:
    """While a model is being traced, say that what is recorded inside comes from this module."""
    builder = active_builder()
    return nullcontext() if builder is None else builder.scope(module)


@contextmanager
def symbols(specs: Sequence[InputSpec]) -> Iterator[list[Tensor]]:
    """Give tensors that have shapes and no numbers; what is computed from them inside has shapes too."""
    builder = GraphBuilder("symbols", {})
    read = [read_spec(f"input_{i}", spec) for i, spec in enumerate(specs)]
    with builder.recording():
        yield [Tensor(builder.input(f"input_{i}", of, shape)) for i, (of, shape) in enumerate(read)]
