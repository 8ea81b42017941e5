"""Asks the package `wgpu` for adapters and devices: what a device must have, and why there is none."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import Any

from neurenix.errors import DeviceError, MissingExtraError
from neurenix.graph.shaders import DEFAULT_LIMITS, HALF_FEATURE

# What wgpu calls the feature "subgroups". Its compiler knows the builtins without the directive, which it refuses.
SUBGROUPS = "subgroup"
FORKED = "a process cannot use the GPU where the one that forked it has: start it with multiprocessing's 'spawn'"


def request_device(limits: Mapping[str, int], place: int | None = None) -> Any:
    """Return a device that has these limits, and otherwise a browser's defaults though its adapter may have more.

    It has float16 and subgroups where its adapter has. What runs here keeps within what every browser gives. Raises
    DeviceError, naming what is missing.
    """
    adapter = find_adapter(place)
    wanted = {**DEFAULT_LIMITS, **limits}
    have = {_hyphenless(name): value for name, value in adapter.limits.items()}
    for name, value in wanted.items():
        if have.get(name.lower(), 0) < value:
            raise DeviceError(
                f"{adapter.info['device']} gives {name} = {have.get(name.lower())}; the model needs {value}: "
                "use device='cpu', or lower the 'max' of its dims"
            )
    try:
        return adapter.request_device_sync(
            required_features=[name for name in (HALF_FEATURE, SUBGROUPS) if name in adapter.features],
            required_limits={_hyphens(n): v for n, v in wanted.items()},
        )
    except RuntimeError as error:
        raise DeviceError(f"{adapter.info['device']} gave no device: {one_line(error)}") from error


@functools.cache
def find_adapter(place: int | None = None) -> Any:
    """Return the adapter at this place in wgpu's list, or the one that wgpu chooses. Raises DeviceError for none."""
    wgpu = import_wgpu("a GPU")
    try:
        if place is not None:
            every = wgpu.gpu.enumerate_adapters_sync()
            if place >= len(every):
                raise DeviceError(f"adapter {place} is gone: there are {len(every)} now")
            return every[place]
        found = wgpu.gpu.request_adapter_sync(power_preference="high-performance")
    except RuntimeError as error:
        raise DeviceError(f"there is no adapter for WebGPU on this host: {one_line(error)}") from error
    if found is None:
        raise DeviceError("there is no adapter for WebGPU on this host: install a Vulkan driver, such as Mesa's")
    return found


def import_wgpu(purpose: str) -> Any:
    """Return the package. Raises MissingExtraError where it is missing, DeviceError in a process that was forked."""
    try:
        import wgpu  # optional: the gpu extra
    except ImportError:
        raise MissingExtraError("wgpu", "gpu", purpose) from None
    if is_forked():
        raise DeviceError(f"{purpose} failed: {FORKED}")
    return wgpu


def is_forked() -> bool:
    """Say whether this process was forked by one that had used wgpu: calls in it would wait for ever."""
    return _first_process() != os.getpid()


@functools.cache
def _first_process() -> int:
    """Return the process in which wgpu was first used."""
    return os.getpid()


def _hyphens(name: str) -> str:
    """Turn maxBufferSize into max-buffer-size, as wgpu spells it."""
    return "".join(f"-{c.lower()}" if c.isupper() else c for c in name)


def _hyphenless(name: str) -> str:
    return name.replace("-", "").replace("_", "").lower()


def one_line(error: BaseException) -> str:
    """Return what wgpu says of an error, on one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines)[:600]
