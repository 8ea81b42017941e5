"""The graphics adapters that wgpu sees, each asked once by `adapter_process` to run a small kernel."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neurenix.phynexus.detect.browser import in_browser
from neurenix.phynexus.detect.reports import VENDORS, Adapter, Adapters

_PROCESS = Path(__file__).with_name("adapter_process.py")
_TIMEOUT = 60  # seconds for all adapters; a cold GPU driver takes several
_MISSING = "it needs the package 'wgpu': pip install 'hatch-neurenix[gpu]'"
# Real GPUs before the CPU that plays one.
_ORDER = {"DiscreteGPU": 0, "IntegratedGPU": 1, "VirtualGPU": 2, "unknown": 3, "CPU": 4}
# A GPU is listed once for each of these that its driver has; models use the first, and never OpenGL.
_BACKENDS = ("Metal", "Vulkan", "D3D12")


@functools.cache
def adapters() -> Adapters:
    """Return every adapter with its answer to a small kernel. Asked once in a process's life."""
    if in_browser():
        return Adapters(problem="in a browser the page has the GPU: see the report's browser")
    if importlib.util.find_spec("wgpu") is None:
        return Adapters(problem=_MISSING)
    if getattr(sys, "frozen", False) or not sys.executable:
        return Adapters(problem="a frozen program has no Python to ask its adapters with, in a process of their own")
    return ask([sys.executable, str(_PROCESS)])


def ask(command: list[str]) -> Adapters:
    """Run the asking process, again behind every adapter that brings it down, until all have been asked."""
    listed: list[Mapping[str, Any]] = []
    problems: dict[int, str | None] = {}
    while True:
        ending, records = _run([*command, str(len(problems))])
        listed = next((r["adapters"] for r in records if "adapters" in r), listed)
        asked = [r["asking"] for r in records if "asking" in r]
        problems |= {r["answer"]: r["problem"] for r in records if "answer" in r}
        if len(problems) >= len(listed) and (listed or ending is None):
            return Adapters(tuple(_adapter(i, row, problems[i]) for i, row in enumerate(listed)))
        if not asked:
            return Adapters(problem=f"the adapters cannot be listed: {ending or 'no answer'}")
        problems.setdefault(asked[-1], f"its driver brings down the process: {ending or 'no answer'}")


def usable_adapters(vendor: str | None = None, backend: str | None = None) -> tuple[Adapter, ...]:
    """Return the adapters that answered rightly, real GPUs first, each GPU once; of one vendor or backend only."""
    right = [a for a in adapters().found if a.problem is None and vendor in (None, a.vendor)]
    for wanted in (backend,) if backend is not None else _BACKENDS:
        found = [a for a in right if a.backend == wanted]
        if found:
            return tuple(sorted(found, key=lambda a: (_ORDER.get(a.kind, 3), a.place)))
    return ()


def _run(command: list[str]) -> tuple[str | None, list[dict[str, Any]]]:
    """Return how a process ended badly, None when it did not, and the records that it wrote until then."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    try:
        # Its error stream is the driver's chatter, and the reason where there is no other.
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, env=environment, check=False)
    except subprocess.TimeoutExpired as error:
        written = error.stdout if isinstance(error.stdout, str) else (error.stdout or b"").decode("utf-8", "replace")
        return f"no answer in {_TIMEOUT} seconds", _records(written)
    except OSError as error:
        return str(error), []
    said = done.stderr.strip().splitlines()
    ending = None if done.returncode == 0 else f"{said[-1] if said else 'no reason'} (exit status {done.returncode})"
    return ending, _records(done.stdout)


def _records(text: str) -> list[dict[str, Any]]:
    found = []
    for line in text.splitlines():
        try:
            record = json.loads(line)
        except ValueError:  # the driver's chatter, or a line that was cut off
            continue
        if isinstance(record, dict):
            found.append(record)
    return found


def _adapter(place: int, row: Mapping[str, Any], problem: str | None) -> Adapter:
    info = row["info"]
    kind = str(info.get("adapter_type", "unknown"))
    vendor = VENDORS.get(info.get("vendor_id"), info.get("vendor") or "unknown")
    # Microsoft's and Google's only adapters are their software ones, WARP and SwiftShader.
    software = kind == "CPU" or vendor in ("Microsoft", "Google")
    return Adapter(
        place=place,
        name=str(info.get("device", "unnamed")),
        vendor=str(vendor),
        backend=str(info.get("backend_type", "unknown")),
        kind=kind,
        driver=str(info.get("description", "")),
        software=software,
        limits={str(k): int(v) for k, v in row["limits"].items()},
        features=tuple(map(str, row["features"])),
        problem=problem,
    )
