"""The fixture that makes this host another one. A test module takes it with `pytest_plugins`."""

from __future__ import annotations

import pytest
from hosts import Pretend

from neurenix import device
from neurenix.phynexus import availability
from neurenix.phynexus.detect import Adapter, Adapters, adapters, host


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Pretend:
    """Make this host's adapters the given ones, or none for the reason given."""
    monkeypatch.delenv("NEURENIX_DEVICE", raising=False)
    monkeypatch.setattr(device, "_warned", set())

    def give(*found: Adapter, problem: str | None = None) -> None:
        for module in (adapters, availability, host):
            monkeypatch.setattr(module, "adapters", lambda: Adapters(found, problem))

    return give
