"""The browser around Pyodide: which WebAssembly it runs and whether it has WebGPU, asked through `js`."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from neurenix.phynexus.detect.reports import Browser

_HEADER = (0, 0x61, 0x73, 0x6D, 1, 0, 0, 0)
_V128 = 0x7B


def _function(parameters: int, *code: int) -> bytes:
    """Return a module of one function from so many vectors to one, which gets them all and runs `code`."""
    body = (0, *(b for i in range(parameters) for b in (0x20, i)), *code, 0x0B)
    kind = (1, 0x60, parameters, *[_V128] * parameters, 1, _V128)
    return bytes(
        (*_HEADER, 1, len(kind), *kind, 3, 2, 1, 0, 10, len(body) + 2, 1, len(body), *body)
    )  # fmt: skip


# The smallest module that uses each feature.
PROBES = {
    "simd": _function(2, 0xFD, 0xE6, 0x01),  # f32x4.mul
    "relaxed-simd": _function(3, 0xFD, 0x85, 0x02),  # f32x4.relaxed_madd
    "threads": bytes((*_HEADER, 5, 4, 1, 3, 1, 1)),  # a shared memory
    "memory64": bytes((*_HEADER, 5, 3, 1, 4, 1)),  # a memory with 64-bit addresses
    "tail-call": bytes((*_HEADER, 1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 10, 6, 1, 4, 0, 0x12, 0, 0x0B)),  # return_call 0
}


def in_browser() -> bool:
    """Say whether Python runs in WebAssembly: in Pyodide, in a page or in Node.js."""
    return sys.platform == "emscripten"


def browser() -> Browser | None:
    """Return what the browser has, or None where Python does not run in one. Node.js counts as one without a page."""
    if not in_browser():
        return None
    js: Any = importlib.import_module("js")  # Pyodide's
    navigator = getattr(js, "navigator", None)
    wasm = tuple(name for name, module in PROBES.items() if js.WebAssembly.validate(_buffer(module)))
    gpu = getattr(navigator, "gpu", None)
    cores = getattr(navigator, "hardwareConcurrency", None)
    return Browser(
        name=str(getattr(navigator, "userAgent", None) or "unknown"),
        wasm=("wasm", *wasm),
        webgpu=gpu is not None,
        adapter=None if gpu is None else _adapter(gpu),
        isolated=bool(getattr(js, "crossOriginIsolated", False)),
        cores=None if cores is None else int(cores),
    )


def _buffer(content: bytes) -> Any:
    return importlib.import_module("pyodide.ffi").to_js(content)


def _adapter(gpu: Any) -> str | None:
    """Return the name of the adapter, None where waiting for it would have to leave Python."""
    ffi = importlib.import_module("pyodide.ffi")
    if not getattr(ffi, "can_run_sync", lambda: False)():
        return None
    adapter = ffi.run_sync(gpu.requestAdapter())
    if adapter is None:
        return "no adapter"
    info = adapter.info
    return " ".join(t for t in (str(info.vendor), str(info.architecture), str(info.description)) if t) or "unnamed"
