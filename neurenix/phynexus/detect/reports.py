"""What was found, as frozen records; `repr` of a Host is a table for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# PCI's numbers, and those that Khronos and the browsers use for what is no PCI device.
VENDORS = {
    0x10DE: "NVIDIA",
    0x1002: "AMD",
    0x8086: "Intel",
    0x106B: "Apple",
    0x13B5: "Arm",
    0x5143: "Qualcomm",
    0x1010: "Imagination",
    0x1414: "Microsoft",
    0x1AE0: "Google",
    0x10005: "Mesa",
}
_MIB = 1 << 20
# What shaders make use of, by wgpu's names.
_FEATURES = {"shader-f16": "float16", "subgroup": "subgroups"}


@dataclass(frozen=True)
class Processor:
    """The CPU: `levels` are instruction sets that compiled models can use, the best first; `memory` is in bytes.

    `cores` are the ones that this process may use, `memory` what its container leaves it; None: not known.
    """

    name: str
    machine: str
    levels: tuple[str, ...]
    features: tuple[str, ...]
    cores: int
    memory: int | None


@dataclass(frozen=True)
class Adapter:
    """A graphics adapter as wgpu sees it; one GPU may be there once for each `backend`.

    `place` is its place in wgpu's own list. `problem` says why it cannot run models: what it answered, or did not, to
    a small kernel; None when its answer was right.
    """

    place: int
    name: str
    vendor: str
    backend: str
    kind: str
    driver: str
    software: bool
    limits: Mapping[str, int] = field(repr=False)
    features: tuple[str, ...] = field(repr=False)
    problem: str | None


@dataclass(frozen=True)
class Adapters:
    """All adapters, or the reason why none could be asked for."""

    found: tuple[Adapter, ...] = ()
    problem: str | None = None


@dataclass(frozen=True)
class Driver:
    """A vendor's driver: `kind` is "cuda" or "rocm", `version` as the driver says it, `seen` where it was seen."""

    kind: str
    version: str | None
    seen: tuple[str, ...]
    gpus: tuple[str, ...] = ()


@dataclass(frozen=True)
class Browser:
    """The page or worker that Pyodide runs in. `wasm` names the features of its WebAssembly.

    `webgpu` says whether `navigator.gpu` is there, `adapter` what answered when it could be asked without leaving
    Python (it takes an engine with JavaScript promise integration).
    """

    name: str
    wasm: tuple[str, ...]
    webgpu: bool
    adapter: str | None
    isolated: bool
    cores: int | None


@dataclass(frozen=True, repr=False)
class Host:
    """All of it. `browser` is None outside Pyodide."""

    processor: Processor
    adapters: Adapters
    drivers: tuple[Driver, ...]
    browser: Browser | None

    def table(self) -> str:
        """Return the report as lines of two columns."""
        rows = [*_processor_rows(self.processor), *_adapter_rows(self.adapters)]
        rows += [(d.kind, _driver_text(d)) for d in self.drivers]
        rows += _browser_rows(self.browser)
        return "\n".join(f"{left:<9} {right}" for left, right in rows)

    __repr__ = table


def _processor_rows(cpu: Processor) -> list[tuple[str, str]]:
    memory = "" if cpu.memory is None else f", {cpu.memory / (1 << 30):.1f} GiB"
    return [
        ("cpu", f"{cpu.name} ({cpu.machine}), {cpu.cores} core{'s' * (cpu.cores != 1)}{memory}"),
        ("", f"levels {' '.join(cpu.levels) or 'none known'}; has {' '.join(cpu.features) or 'nothing known'}"),
    ]


def _adapter_rows(adapters: Adapters) -> list[tuple[str, str]]:
    if adapters.problem is not None:
        return [("webgpu", adapters.problem)]
    rows = []
    for a in adapters.found:
        what = f"{a.name}: {a.vendor} through {a.backend}, {'software' if a.software else a.kind}"
        rows.append(("webgpu", f"{what}; {'answers' if a.problem is None else a.problem}"))
        binding, buffer = (a.limits.get(n, 0) // _MIB for n in ("max-storage-buffer-binding-size", "max-buffer-size"))
        more = "".join(f", {what}" for name, what in _FEATURES.items() if name in a.features)
        rows.append(("", f"binding {binding} MiB, buffer {buffer} MiB{more}; driver {a.driver or 'unnamed'}"))
    return rows or [("webgpu", "no adapter")]


def _driver_text(driver: Driver) -> str:
    gpus = f"; {', '.join(driver.gpus)}" if driver.gpus else ""
    return f"driver {driver.version or 'of unknown version'} seen in {', '.join(driver.seen)}{gpus}"


def _browser_rows(browser: Browser | None) -> list[tuple[str, str]]:
    if browser is None:
        return []
    gpu = f"yes, {browser.adapter or 'its adapter was not asked'}" if browser.webgpu else "no"
    return [
        ("browser", f"{browser.name}, {'isolated' if browser.isolated else 'not isolated: one thread'}"),
        ("wasm", " ".join(browser.wasm) or "none"),
        ("webgpu", gpu),
    ]
