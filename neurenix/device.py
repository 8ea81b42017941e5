"""Device and DeviceType: what the user names; the phynexus engine finds out what is really there."""

from __future__ import annotations

import os
import sys
import warnings
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from neurenix.errors import DeviceError, UnsupportedError

# The engine's probes are imported where they are asked for: whoever stays on the CPU never loads them.
if TYPE_CHECKING:
    from neurenix.phynexus.detect import Adapter, Host

VARIABLE = "NEURENIX_DEVICE"


class DeviceType(Enum):
    """The kinds of device.

    CPU, WASM and WEBGPU are backends. CUDA and ROCM mean an NVIDIA or AMD adapter, VULKAN and METAL any adapter behind
    that interface: all of them are reached through WebGPU's native API, and none through the vendor's own runtime. The
    others are names that are kept, with nothing behind them: moving there raises UnsupportedError and names a way out.
    """

    CPU = "cpu"
    WEBGPU = "webgpu"
    WASM = "wasm"
    CUDA = "cuda"
    ROCM = "rocm"
    VULKAN = "vulkan"
    METAL = "metal"
    TPU = "tpu"
    NPU = "npu"
    OPENCL = "opencl"
    ONEAPI = "oneapi"
    DIRECTML = "directml"
    ONEDNN = "onednn"
    MKLDNN = "mkldnn"
    TENSORRT = "tensorrt"
    QUANTUM = "quantum"
    ARM = "arm"

    @property
    def supported(self) -> bool:
        """Whether an engine stands behind the name."""
        return self not in _INSTEAD


# What to use instead of the names that have nothing behind them.
_INSTEAD = {
    DeviceType.TPU: DeviceType.WEBGPU,
    DeviceType.NPU: DeviceType.WEBGPU,
    DeviceType.OPENCL: DeviceType.WEBGPU,
    DeviceType.ONEAPI: DeviceType.WEBGPU,
    DeviceType.DIRECTML: DeviceType.WEBGPU,
    DeviceType.ONEDNN: DeviceType.CPU,
    DeviceType.MKLDNN: DeviceType.CPU,
    DeviceType.TENSORRT: DeviceType.CUDA,
    DeviceType.QUANTUM: DeviceType.CPU,
    DeviceType.ARM: DeviceType.CPU,
}
_MEANS = {
    DeviceType.CUDA: "NVIDIA adapter {} through Vulkan or Direct3D, not CUDA's runtime",
    DeviceType.ROCM: "AMD adapter {} through Vulkan or Direct3D, not ROCm's runtime",
}
_warned: set[str] = set()


@dataclass(frozen=True, repr=False)
class Device:
    """A place where models can run: a DeviceType and a number, a name such as "cuda:1", or "auto".

    "auto" becomes the device that the variable NEURENIX_DEVICE names; without it the first real GPU that answers, else
    the CPU. Raises DeviceError for an unknown name.

    >>> Device(DeviceType.CPU).is_available()
    True
    >>> Device("cuda:1").index
    1
    """

    type: DeviceType = DeviceType.CPU
    index: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.type, str):
            named = best_device() if self.type == "auto" else _read(self.type)
            object.__setattr__(self, "type", named.type)
            object.__setattr__(self, "index", named.index or self.index)
        if not isinstance(self.type, DeviceType):
            raise _unknown(self.type)
        if type(self.index) is not int or self.index < 0:
            raise DeviceError(f"a device's number is 0 or more, got {self.index!r}")

    @property
    def name(self) -> str:
        """The device's name, as in "cpu" or "cuda:1"."""
        return f"{self.type.value}:{self.index}" if self.index else self.type.value

    def is_available(self) -> bool:
        """Return whether a model can be moved there on this host: something small was run there, once, and was right.

        A graphics driver is tried in a process of its own, so that one that aborts does no harm.
        """
        return self.type.supported and self.problem() is None

    def problem(self) -> str | None:
        """Return why no model can be moved there, or None."""
        if not self.type.supported:
            return _not_supported(self.type)
        if self == Device():
            return None
        from neurenix.phynexus import availability

        return availability.reason(self.type.value, self.index)

    def require(self) -> None:
        """Raise DeviceError, saying why and what to do, unless the device is available; UnsupportedError where nothing
        stands behind its name."""
        if not self.type.supported:
            raise UnsupportedError(_not_supported(self.type))
        problem = self.problem()
        if problem is not None:
            raise DeviceError(f"device '{self.name}' is not available: {problem}; use Device(DeviceType.CPU)")

    def adapter(self) -> Adapter | None:
        """Return the graphics adapter that the device is, None where it is none or is not available."""
        from neurenix.phynexus import availability

        return availability.adapter(self.type.value, self.index) if self.type.value in availability.GPU_KINDS else None

    @staticmethod
    def detect() -> Host:
        """Report what this host has: processor, graphics adapters, drivers, and in Pyodide the browser. Print it."""
        from neurenix.phynexus.detect import detect

        return detect()

    @staticmethod
    def device_count(type: DeviceType | str = DeviceType.CPU) -> int:
        """Return how many devices of a kind are available: see `get_device_count`."""
        return get_device_count(type)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        means = _MEANS.get(self.type)
        return f"Device({self.name!r}{'' if means is None else ': ' + means.format(self.index)})"


def as_device(spec: Device | DeviceType | str) -> Device:
    """Return the Device that `spec` names, such as "cpu", "cuda:1" or "auto". Raises DeviceError for another name."""
    return spec if isinstance(spec, Device) else Device(spec)  # type: ignore[arg-type]


def get_device(spec: Device | DeviceType | str) -> Device:
    """Return the Device that a name means, whether it is there or not, as `as_device` does."""
    return as_device(spec)


def get_device_count(type: DeviceType | str = DeviceType.CPU) -> int:
    """Return how many devices of a kind are available, 0 for names that have nothing behind them."""
    kind = as_device(type).type
    if not kind.supported:
        return 0
    from neurenix.phynexus import availability

    if kind.value in availability.GPU_KINDS:
        return len(availability.matching(kind.value))
    return int(Device(kind).is_available())


def get_available_devices() -> list[Device]:
    """Return every device that a model can be moved to, the CPU first. One GPU goes by several names."""
    return [Device(kind, i) for kind in DeviceType for i in range(get_device_count(kind))]


def best_device() -> Device:
    """Return what "auto" means: what NEURENIX_DEVICE names, else the first real GPU that answers, else the CPU.

    A software adapter is never chosen: it is slower than the CPU's own kernels.
    """
    chosen = environment_device()
    if chosen is not None:
        return chosen
    from neurenix.phynexus import availability

    found = availability.matching("webgpu")
    return Device(DeviceType.WEBGPU) if found and not found[0].software else Device()


def environment_device() -> Device | None:
    """Return the device that NEURENIX_DEVICE names, the CPU with a warning where that is not available.

    None when it is not set, or is "auto". Raises DeviceError for an unknown name.
    """
    wanted = os.environ.get(VARIABLE, "").strip().lower()
    if wanted in ("", "auto"):
        return None
    try:
        device = _read(wanted)
    except DeviceError as error:
        raise DeviceError(f"the variable {VARIABLE}: {error}") from None
    problem = device.problem()
    if problem is None:
        return device
    warn_once(f"{VARIABLE}={wanted}: {problem}; running on the CPU instead")
    return Device()


def warn(text: str) -> None:
    """Warn with a RuntimeWarning at whoever called the package, not at which of its functions found out."""
    level, frame = 1, sys._getframe(0)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("neurenix"):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, RuntimeWarning, stacklevel=level)


def warn_once(text: str) -> None:
    """Warn the first time that a text is said in this process."""
    if text not in _warned:
        _warned.add(text)
        warn(text)


def _read(spec: str) -> Device:
    kind, _, index = spec.partition(":")
    known = {t.value: t for t in DeviceType}
    if kind not in known or (":" in spec and not (index.isascii() and index.isdigit() and len(index) < 6)):
        raise _unknown(spec)
    return Device(known[kind], int(index or 0))


def _unknown(spec: object) -> DeviceError:
    known = ", ".join(t.value for t in DeviceType if t.supported)
    return DeviceError(f"there is no device '{spec}'; known are {known} and auto")


def _not_supported(kind: DeviceType) -> str:
    return f"device '{kind.value}' is not supported; use Device(DeviceType.{_INSTEAD[kind].name})"
