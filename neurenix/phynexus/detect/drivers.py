"""NVIDIA's and AMD's drivers, by the files that they leave and by nvidia-smi: nothing of theirs is loaded."""

from __future__ import annotations

import ctypes.util
import shutil
import subprocess
import sys
from pathlib import Path

from neurenix.phynexus.detect.reports import Driver

_TIMEOUT = 15  # seconds; nvidia-smi may wake up a GPU


def drivers(root: Path = Path("/")) -> tuple[Driver, ...]:
    """Return the drivers that this host shows, CUDA's and ROCm's. `root` is where the system's files are."""
    return tuple(d for d in (_cuda(root), _rocm(root)) if d is not None)


def _cuda(root: Path) -> Driver | None:
    seen: list[str] = []
    version: str | None = None
    gpus: tuple[str, ...] = ()
    kernel = root / "proc/driver/nvidia/version"
    if (text := _text(kernel)) is not None:
        seen.append("/proc/driver/nvidia")
        # "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 …", or with "Open … for x86_64"
        version = next((w for w in text.split() if w[:1].isdigit() and w.count(".") >= 1), None)
    told = _nvidia_smi()
    if told:
        seen.append("nvidia-smi")
        version, gpus = told[0][1], tuple(name for name, _ in told)
    library = (
        ctypes.util.find_library("nvcuda" if sys.platform == "win32" else "cuda") if sys.platform != "darwin" else None
    )
    if library is not None:
        seen.append(library)
    return Driver("cuda", version, tuple(seen), gpus) if seen else None


def _nvidia_smi() -> list[tuple[str, str]]:
    """Return name and driver version of each GPU that nvidia-smi lists."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=True)
    except (OSError, subprocess.SubprocessError):  # there, and without a GPU or a driver that answers
        return []
    rows = [line.rpartition(",") for line in found.stdout.splitlines() if "," in line]
    return [(name.strip(), version.strip()) for name, _, version in rows]


def _rocm(root: Path) -> Driver | None:
    seen = [f"/{path}" for path in ("dev/kfd", "sys/module/amdgpu", "opt/rocm") if (root / path).exists()]
    library = ctypes.util.find_library("amdhip64")
    if library is not None:
        seen.append(library)
    # A kernel module alone draws pictures: computing takes /dev/kfd or ROCm's own files.
    if not set(seen) - {"/sys/module/amdgpu"}:
        return None
    version = _text(root / "sys/module/amdgpu/version") or _text(root / "opt/rocm/.info/version")
    return Driver("rocm", version.strip() if version else None, tuple(seen))


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
