"""Compiles many layers as one module with an output each, and compares every form with the oracle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from op_cases import assert_close, reference, run_forms

from neurenix.nn import Module, ModuleList
from neurenix.tensor import Tensor
from neurenix.tensor.input_spec import read_spec
from neurenix.trace import trace


class _Side(Module):
    """Layers side by side: each one's answer is an output."""

    def __init__(self, layers: Sequence[Module]) -> None:
        super().__init__()
        self.layers = ModuleList(layers)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {f"y{i}": layer(x) for i, layer in enumerate(self.layers)}


def compiled_layers_equal_the_oracle(
    layers: Sequence[Module], spec: str, shapes: Sequence[Sequence[int]], forms: Sequence[str], tolerance: float = 1e-5
) -> None:
    """Compile for the input `spec` with symbols of 1 to 16 and run inputs of these shapes."""
    rng = np.random.default_rng(0)
    symbols = [s for s in read_spec("x", spec)[1] if not isinstance(s, int)]
    least = 1 if len(symbols) == 1 else 4  # a window fits
    ranges = {str(s): (1 if str(s) == "batch" else least, 16) for s in symbols}
    graph = trace(_Side(layers), {"x": spec}, ranges)
    feeds = []
    for shape in shapes:
        named = {str(s): n for s, n in zip(read_spec("x", spec)[1], shape) if not isinstance(s, int)}
        feeds.append(({"x": rng.standard_normal(shape).astype(np.float32)}, named))
    expected = [reference(graph, *feed) for feed in feeds]
    ran = 0
    for form, answers in run_forms(graph, feeds, forms):
        ran += 1
        for (_, dims), wanted, got in zip(feeds, expected, answers):
            for i, layer in enumerate(layers):
                assert_close(wanted[f"y{i}"], got[f"y{i}"], tolerance, f"{layer!r} at {dims} on {form}")
    assert ran
