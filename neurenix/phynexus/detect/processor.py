"""The CPU: its name, instruction sets, cores and memory, from what each system tells without a package."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from neurenix.phynexus.detect.browser import in_browser
from neurenix.phynexus.detect.reports import Processor

# The levels of the x86-64 psABI, the best first, and what each adds, as Linux spells it.
_X86_LEVELS = (
    ("x86-64-v4", {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}),
    ("x86-64-v3", {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"}),
    ("x86-64-v2", {"cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3"}),
)
# What speeds up the kernels, x86's and Arm's.
_TELLING = (
    "sse4_1", "avx", "f16c", "fma", "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16",
    "amx_int8", "neon", "asimd", "fphp", "asimdhp", "asimddp", "bf16", "i8mm", "sve", "sve2", "sme",
)  # fmt: skip
# Windows' IsProcessorFeaturePresent numbers.
_WINDOWS = {"ssse3": 36, "sse4_1": 37, "sse4_2": 38, "avx": 39, "avx2": 40, "avx512f": 41, "neon": 19, "asimddp": 43}
_UNLIMITED = 1 << 60  # cgroup v1 writes about 2^63 for "no limit"


def processor() -> Processor:
    """Return what is known of the CPU. What a system does not tell is left out, never guessed."""
    machine = platform.machine() or "unknown"
    name, flags = _SYSTEMS.get(sys.platform, _nothing)()
    features = tuple(f for f in _TELLING if f in flags)
    return Processor(
        name or platform.processor() or machine, machine, _levels(machine, flags), features, _cores(), _memory()
    )


def _levels(machine: str, flags: set[str]) -> tuple[str, ...]:
    if machine.lower() in ("x86_64", "amd64"):
        levels, held = ["x86-64"], True
        for name, needed in reversed(_X86_LEVELS):
            held = held and needed <= flags
            levels = [name, *levels] if held else levels
        return tuple(levels)
    if machine.lower() in ("arm64", "aarch64"):
        dot = flags & {"asimddp", "i8mm"}
        return ("armv8.2-a+dotprod", "armv8-a") if dot else ("armv8-a",)
    return ("wasm32",) if in_browser() else ()


def _linux() -> tuple[str, set[str]]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "", set()
    rows = [(k.strip(), v.strip()) for k, _, v in (line.partition(":") for line in text.splitlines())]
    flags = next((v for k, v in rows if k in ("flags", "Features")), "")
    return next((v for k, v in rows if k in ("model name", "Model", "Hardware")), ""), set(flags.split())


def _macos() -> tuple[str, set[str]]:
    try:
        found = subprocess.run(["/usr/sbin/sysctl", "-a"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return "", set()
    rows = {k: v.strip() for k, _, v in (line.partition(":") for line in found.stdout.splitlines())}
    flags = set(
        " ".join(v for k, v in rows.items() if k.startswith("machdep.cpu.") and "features" in k).lower().split()
    )
    flags |= {mine for apple, mine in _APPLE.items() if rows.get(f"hw.optional.{apple}") == "1"}
    return rows.get("machdep.cpu.brand_string", ""), {_SPELLED.get(f, f) for f in flags}


# macOS' names of what Linux calls otherwise.
_APPLE = {"arm.FEAT_DotProd": "asimddp", "arm.FEAT_FP16": "asimdhp", "arm.FEAT_BF16": "bf16", "arm.FEAT_I8MM": "i8mm",
          "neon": "neon"}  # fmt: skip
_SPELLED = {"sse4.1": "sse4_1", "sse4.2": "sse4_2", "avx1.0": "avx", "lzcnt": "abm", "lahf": "lahf_lm"}


def _windows() -> tuple[str, set[str]]:
    library = getattr(ctypes, "windll", None)
    if library is None:
        return "", set()
    return platform.processor(), {n for n, i in _WINDOWS.items() if library.kernel32.IsProcessorFeaturePresent(i)}


def _nothing() -> tuple[str, set[str]]:
    return "", set()


_SYSTEMS: dict[str, Callable[[], tuple[str, set[str]]]] = {"linux": _linux, "darwin": _macos, "win32": _windows}


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory() -> int | None:
    """Return the bytes of memory that there are, or that a container leaves."""
    sizes = [n for n in _container_limits() if 0 < n < _UNLIMITED]
    if hasattr(os, "sysconf") and {"SC_PAGE_SIZE", "SC_PHYS_PAGES"} <= set(os.sysconf_names):
        sizes.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return min((n for n in sizes if n > 0), default=None)


def _container_limits() -> Iterable[int]:
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(path).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            continue
        if text.isdecimal():
            yield int(text)
