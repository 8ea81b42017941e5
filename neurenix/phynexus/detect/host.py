"""The report on all of a host."""

from __future__ import annotations

from neurenix.phynexus.detect.adapters import adapters
from neurenix.phynexus.detect.browser import browser
from neurenix.phynexus.detect.drivers import drivers
from neurenix.phynexus.detect.processor import processor
from neurenix.phynexus.detect.reports import Host


def detect() -> Host:
    """Return what this host has. Adapters are asked once in a process's life, everything else each time."""
    found = browser()
    return Host(processor(), adapters(), () if found is not None else drivers(), found)
