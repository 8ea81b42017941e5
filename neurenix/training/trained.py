"""What a training function hands back to the build."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from neurenix.nn.module import Module


@dataclass(frozen=True)
class Trained:
    """A model and what was measured of it, such as `{"test accuracy": 0.985}`; a bare Module will do as well.

    `examples` are inputs as the model will meet them: an array with the samples along its first axis, a tuple of them
    in the order of the arguments, or a dict by input name. The build proves the model on inputs of that kind: it takes
    their rounded ranges, and keeps no sample. `fit` notes as much by itself; pass them where something else trains.
    """

    model: Module
    metrics: Mapping[str, float] = field(default_factory=dict)
    examples: Any = None
