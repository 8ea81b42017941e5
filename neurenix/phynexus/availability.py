"""Says whether a kind of device answers on this host: by running something small there, once."""

from __future__ import annotations

import functools
import importlib.util

from neurenix.phynexus.detect.adapters import adapters, usable_adapters
from neurenix.phynexus.detect.browser import in_browser
from neurenix.phynexus.detect.drivers import drivers
from neurenix.phynexus.detect.reports import Adapter

# What each kind of GPU means: a vendor, or one of the ways to reach any.
_VENDORS = {"cuda": "NVIDIA", "rocm": "AMD"}
_BACKENDS = {"vulkan": "Vulkan", "metal": "Metal"}
GPU_KINDS = ("webgpu", *_VENDORS, *_BACKENDS)

# x * 2 + 1 for a float32, exported as "f".
_TINY = bytes.fromhex(
    "0061736d01000000 0106 01 60 01 7d 01 7d 0302 01 00 0705 01 01 66 00 00"
    "0a12 01 10 00 2000 4300000040 94 430000803f 92 0b"
)


def reason(kind: str, index: int = 0) -> str | None:
    """Return None when a model can run on a device, else why not. Everything is tried once in a process's life."""
    if kind in GPU_KINDS:
        return None if adapter(kind, index) is not None else _no_adapter(kind, index)
    if index:
        return f"there is one '{kind}'"
    return _wasm() if kind == "wasm" else None


def adapter(kind: str, index: int) -> Adapter | None:
    """Return the adapter that a kind of GPU and a number mean, if it is there and answers."""
    found = matching(kind)
    return found[index] if index < len(found) else None


def matching(kind: str) -> tuple[Adapter, ...]:
    """Return the adapters of a kind of GPU that answer, in the order of their numbers."""
    return usable_adapters(_VENDORS.get(kind), _BACKENDS.get(kind))


def _no_adapter(kind: str, index: int) -> str:
    known = adapters()
    if known.problem is not None:
        return known.problem
    found = matching(kind)
    if found:
        return f"there {'is' if len(found) == 1 else 'are'} {len(found)} of its kind, numbered from 0"
    what = _VENDORS.get(kind) or _BACKENDS.get(kind) or "graphics"
    silent = [a for a in known.found if a.problem and what in (a.vendor, a.backend, "graphics")]
    if silent:
        return "; ".join(f"{a.name} through {a.backend}: {a.problem}" for a in silent)
    text = f"wgpu sees no {what} adapter"
    driver = next((d for d in drivers() if d.kind == kind), None)
    if driver is not None:
        text += (
            f", though a {kind} driver shows in {', '.join(driver.seen)}: models reach the GPU through Vulkan, whose "
            "driver is a part of its own (in containers NVIDIA_DRIVER_CAPABILITIES=all)"
        )
    return text


@functools.cache
def _wasm() -> str | None:
    if in_browser():
        return "Python runs in WebAssembly itself here and cannot start more of it: give the page the exported bundle"
    if importlib.util.find_spec("wasmtime") is None:
        return "it needs the package 'wasmtime': pip install 'hatch-neurenix[wasm]'"
    import wasmtime  # optional: the wasm extra

    try:
        store = wasmtime.Store()
        instance = wasmtime.Instance(store, wasmtime.Module(store.engine, _TINY), [])
        function: object = instance.exports(store)["f"]
        answer = function(store, 20.25) if callable(function) else None
    except (wasmtime.WasmtimeError, wasmtime.Trap, OSError) as error:
        return f"wasmtime does not run: {error}"
    return None if answer == 41.5 else f"wasmtime answers {answer} where 41.5 is right"
