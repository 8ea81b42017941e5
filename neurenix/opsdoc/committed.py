"""Reads what WebGPU answered back from pages that are there: a machine without an adapter keeps another's figures."""

from __future__ import annotations

import re
from pathlib import Path

from neurenix.opsdoc.measure import WEBGPU, Errors

MEASURED = "- Largest error: "
ADAPTER = "What `webgpu` stands for here: "


def committed_errors(folder: Path) -> Errors:
    """Return the largest errors of WebGPU by row, from docs/ops.md."""
    found: Errors = {}
    section = rf"^### (\w+)$.*?^{re.escape(MEASURED)}(.*?)$"
    for name, figures in re.findall(section, _text(folder, "ops.md"), re.M | re.S):
        own = re.search(rf"\b{WEBGPU} (\S+?)(?:,|$)", figures)
        if own is not None:
            found[name] = {WEBGPU: 0.0 if own[1] == "exact" else float(own[1])}
    return found


def committed_special(folder: Path) -> dict[str, tuple[str, ...]]:
    """Return what WebGPU made of special values, a row of cells for each call, from docs/ops-special.md."""
    found = {}
    for line in _text(folder, "ops-special.md").splitlines():
        call, *cells, backends = [cell.strip() for cell in line.strip("|").split(" | ")] if " | " in line else ["", ""]
        if backends == "all" or WEBGPU in backends.split(", "):
            found[call] = tuple(cells)
    return found


def committed_adapter(folder: Path) -> str:
    """Return the name of the adapter of these answers; an empty text where no page says one."""
    found = re.search(rf"^{re.escape(ADAPTER)}(.*)\.$", _text(folder, "ops-special.md"), re.M)
    return found[1] if found else ""


def _text(folder: Path, name: str) -> str:
    path = folder / name
    return path.read_text(encoding="utf-8") if path.exists() else ""
