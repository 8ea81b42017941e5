"""What a training function hands back to the build."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from neurenix.nn.module import Module


@dataclass(frozen=True)
class Trained:
    """A model and what was measured of it, such as `{"test accuracy": 0.985}`; a bare Module will do as well."""

    model: Module
    metrics: Mapping[str, float] = field(default_factory=dict)
