"""Traces plain functions of tensors, as if they were models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from neurenix.graph.graph import Graph
from neurenix.nn import Module
from neurenix.trace import trace


class Function(Module):
    """A model whose forward() is a function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs)


def traced(
    function: Callable[..., Any], inputs: Mapping[str, str], dims: Mapping[str, tuple[int, int]] | None = None
) -> Graph:
    """Return the graph that a function of tensors draws."""
    return trace(Function(function), inputs, dims)
