"""The engine behind a Device: runs graphs and plans on what this host really has."""

from __future__ import annotations

import importlib.util

_LATER = "this version runs on the CPU and on WebAssembly; GPU devices arrive with WebGPU support"


def missing(kind: str) -> str | None:
    """Return None when a kind of device is there, else the reason why it is not and the way out."""
    if kind == "cpu":
        return None
    if kind == "wasm":
        if importlib.util.find_spec("wasmtime") is None:
            return "it needs the package 'wasmtime': pip install 'hatch-neurenix[wasm]'"
        return None
    return f"{_LATER}; use Device(DeviceType.CPU)"
