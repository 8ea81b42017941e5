"""The source of a kernel that a user wrote: what is compiled, what it takes, and a digest that tells it from others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

# An input of any dtype but float16, which kernels get as float32.
ANY = "any"


@dataclass(frozen=True)
class UserSource:
    """One custom op's sources.

    `text` is C or Zig, as the ending of `file` says; `file` is what compilers call it in their messages. `takes` is
    the dtype of each input, or "any". `attrs` are the defaults of the attributes. `wgsl` is the shader for WebGPU; an
    op that has none keeps its models on WebAssembly. `covers` says how many invocations of it a call takes along x, y
    and z. `onnx` is the domain and the operator that imports as this op.
    """

    op: str
    file: str
    text: str
    takes: tuple[str, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    wgsl: str | None = None
    onnx: tuple[str, str] | None = None
    covers: Callable[..., Any] | None = field(default=None, compare=False)

    @property
    def language(self) -> str:
        """Return "c" or "zig"."""
        return self.file.rpartition(".")[2]

    @property
    def wide(self) -> bool:
        """Whether attributes reach the kernel in double precision: it may take float64."""
        return any(of in (ANY, "float64") for of in self.takes)

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of what a compiled kernel depends on: bundles name their custom ops by it."""
        parts = [self.op, self.language, self.text, list(self.takes), self.wgsl]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
