"""The Plan: what a runtime executes. Kernels in order, buffers at fixed offsets, parameters at theirs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from neurenix.dims import Ranges, Shape, Size
from neurenix.dtypes import DType
from neurenix.graph.graph import Epilogue, Layer, Lengths, with_lengths


@dataclass(frozen=True)
class Buffer:
    """A tensor in the arena. `offset` is in bytes; `size` what it takes at the largest dims."""

    name: str
    dtype: DType
    shape: Shape
    offset: int
    size: int


@dataclass(frozen=True)
class Packed:
    """A parameter in the weights file: `size` bytes at `offset`, written in `layout`."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    layout: str
    offset: int
    size: int


@dataclass(frozen=True)
class Operand:
    """How a map reads one input: its stride along each of the three outer axes, and whether the last one is walked."""

    strides: tuple[Size, Size, Size]
    walks: bool


@dataclass(frozen=True)
class Step:
    """One call of a kernel.

    `inputs` and the epilogue's are names of buffers or parameters, and `shapes` what the kernel takes each
    of them for, which is another shape than the buffer's own where a reshape lies between; `shape` is the
    output's. `sizes` are its integer arguments in order; `scratch` is the buffer that it may scribble on.
    """

    kernel: str
    op: str
    attrs: Mapping[str, Any]
    inputs: tuple[str, ...]
    output: str
    shapes: tuple[Shape, ...]
    shape: Shape
    sizes: Mapping[str, Size]
    operands: tuple[Operand, ...] = ()
    epilogue: Epilogue | None = None
    scratch: str | None = None
    scope: str = ""
    label: str = ""


@dataclass(frozen=True)
class Plan:
    """A compiled model, before it is printed for any backend.

    `custom` has the digest of the source (`UserSource.digest`) for each op of the steps that is no row of the table.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    dims: Ranges
    buffers: Mapping[str, Buffer]
    tensors: Mapping[str, Packed]
    steps: tuple[Step, ...]
    weights_size: int
    arena_size: int
    layers: tuple[Layer, ...] = ()
    labels: tuple[str, ...] = ()
    device: str = "auto"
    threads_requested: bool = field(default=True)
    lengths: Lengths = field(default_factory=dict)
    custom: Mapping[str, str] = field(default_factory=dict)

    @property
    def results(self) -> tuple[str, ...]:
        """The buffers that hold answers: the outputs, and the lengths that say how much of them counts."""
        return with_lengths(self.outputs, self.lengths)

    def dtype(self, name: str) -> DType:
        """Return the dtype of a buffer or a parameter."""
        return self.tensors[name].dtype if name in self.tensors else self.buffers[name].dtype
