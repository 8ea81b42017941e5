"""Device and DeviceType: what the user names; the phynexus engine finds out what is really there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from neurenix import phynexus
from neurenix.errors import DeviceError


class DeviceType(Enum):
    """The kinds of device. CUDA and ROCM mean the NVIDIA or AMD adapter reached through WebGPU's native API."""

    CPU = "cpu"
    WEBGPU = "webgpu"
    WASM = "wasm"
    CUDA = "cuda"
    ROCM = "rocm"
    VULKAN = "vulkan"
    METAL = "metal"


@dataclass(frozen=True)
class Device:
    """A place where models can run.

    >>> Device(DeviceType.CPU).is_available()
    True
    """

    type: DeviceType = DeviceType.CPU
    index: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.type, str):
            object.__setattr__(self, "type", as_device(self.type).type)

    @property
    def name(self) -> str:
        """The device's name, as in "cpu" or "cuda:1"."""
        return f"{self.type.value}:{self.index}" if self.index else self.type.value

    def is_available(self) -> bool:
        """Return whether a model can be moved there on this host. A probe, never a guess."""
        return phynexus.missing(self.type.value) is None

    def require(self) -> None:
        """Raise DeviceError, saying why and what to do, unless the device is available."""
        reason = phynexus.missing(self.type.value)
        if reason is not None:
            raise DeviceError(f"device '{self.name}' is not available: {reason}")

    def __str__(self) -> str:
        return self.name


def as_device(spec: Device | DeviceType | str) -> Device:
    """Return the Device that `spec` names, such as "cpu" or "cuda:1". Raises DeviceError for an unknown name."""
    if isinstance(spec, Device):
        return spec
    if isinstance(spec, DeviceType):
        return Device(spec)
    known = {t.value: t for t in DeviceType}
    kind, _, index = spec.partition(":") if isinstance(spec, str) else ("", "", "")
    if kind not in known or (index and not (index.isascii() and index.isdigit())):
        raise DeviceError(f"there is no device '{spec}'; known are {', '.join(known)}")
    return Device(known[kind], int(index or 0))
