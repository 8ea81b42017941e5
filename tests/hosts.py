"""Hosts that are not this one: adapters that a test makes up. The fixture that installs them is in pretend_host.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from neurenix.phynexus.detect import Adapter

Pretend = Callable[..., None]


def adapter(name: str, vendor: str, backend: str = "Vulkan", kind: str = "DiscreteGPU", **given: Any) -> Adapter:
    fields: dict[str, Any] = {"place": 0, "driver": "", "software": kind == "CPU", "limits": {}, "features": ()}
    return Adapter(name=name, vendor=vendor, backend=backend, kind=kind, **(fields | {"problem": None} | given))
