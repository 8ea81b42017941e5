"""Device.detect(): what the report says is what other sources say, and a driver that aborts does no harm."""

from __future__ import annotations

import os
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest
from hosts import Pretend, adapter

from neurenix.device import Device
from neurenix.phynexus.detect import Browser, Driver, Host, Processor, adapter_process, adapters, drivers, processor

pytest_plugins = ["pretend_host"]


# The names of NumPy's own detection, which reads CPUID and not /proc.
NUMPY = {"avx": "AVX", "avx2": "AVX2", "fma": "FMA3", "f16c": "F16C", "avx512f": "AVX512F", "sse4_1": "SSE41",
         "asimd": "ASIMD", "asimddp": "ASIMDDP", "sve": "SVE"}  # fmt: skip


# ── the processor ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.skipif(sys.platform != "linux", reason="NumPy's names are compared with Linux's")
def test_the_processor_has_what_numpy_finds_too() -> None:
    from numpy._core._multiarray_umath import __cpu_features__ as theirs

    found = processor.processor()
    mine = {n for n in NUMPY if n in found.features}
    assert {n for n, name in NUMPY.items() if theirs.get(name)} == mine
    assert ("x86-64-v3" in found.levels) == (found.machine == "x86_64" and bool(theirs["AVX2"] and theirs["FMA3"]))


@pytest.mark.parametrize(
    ("machine", "flags", "levels"),
    [("x86_64", "", "x86-64"), ("AMD64", "cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3", "x86-64-v2 x86-64"),
     ("x86_64", "avx avx2 bmi1 bmi2 f16c fma abm movbe xsave", "x86-64"),  # v3's own without v2's
     ("aarch64", "asimd", "armv8-a"), ("arm64", "asimd asimddp", "armv8.2-a+dotprod armv8-a"), ("riscv64", "v", "")],
)  # fmt: skip
def test_a_level_needs_all_below_it(machine: str, flags: str, levels: str) -> None:
    assert levels == " ".join(processor._levels(machine, set(flags.split())))


def test_cores_and_memory_are_what_this_process_may_use() -> None:
    found = processor.processor()
    assert 1 <= found.cores <= (os.cpu_count() or 1)
    assert found.memory is not None
    assert found.memory > 1 << 28


# ── drivers ─────────────────────────────────────────────────────────────────────────────────────────────

VERSIONS = {
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 2024\nGCC version: 12": "535.183.01",
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build\n": "570.86.15",
}


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A system without any driver; what is written into it is there."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr("ctypes.util.find_library", lambda name: None)
    return tmp_path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_system_without_drivers_shows_none(bare: Path) -> None:
    assert () == drivers.drivers(bare)
    write(bare / "sys/module/amdgpu/version", "6.7.0")  # draws pictures, computes nothing
    assert () == drivers.drivers(bare)


@pytest.mark.parametrize("text", VERSIONS)
def test_nvidias_kernel_module_tells_its_version(bare: Path, text: str) -> None:
    write(bare / "proc/driver/nvidia/version", text)
    assert (Driver("cuda", VERSIONS[text], ("/proc/driver/nvidia",)),) == drivers.drivers(bare)


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands for nvidia-smi")
def test_nvidia_smi_names_the_gpus(bare: Path) -> None:
    program = write(
        bare / "bin/nvidia-smi", "#!/bin/sh\necho 'NVIDIA H100 80GB HBM3, 570.86.15'\necho 'NVIDIA L4, 570.86.15'\n"
    )
    program.chmod(0o755)
    (found,) = drivers.drivers(bare)
    assert Driver("cuda", "570.86.15", ("nvidia-smi",), ("NVIDIA H100 80GB HBM3", "NVIDIA L4")) == found
    write(program, "#!/bin/sh\necho 'NVIDIA-SMI has failed'\nexit 9\n")
    assert () == drivers.drivers(bare)


def test_libraries_are_found_and_not_loaded(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.util.find_library", {"cuda": "libcuda.so.1", "amdhip64": "libamdhip64.so.6"}.get)
    monkeypatch.setattr("ctypes.CDLL", None)
    write(bare / "dev/kfd", "")
    write(bare / "opt/rocm/.info/version", "6.2.0\n")
    cuda, rocm = drivers.drivers(bare)
    assert Driver("cuda", None, ("libcuda.so.1",)) == cuda
    assert Driver("rocm", "6.2.0", ("/dev/kfd", "/opt/rocm", "libamdhip64.so.6")) == rocm


# ── adapters, in a process that may die ─────────────────────────────────────────────────────────────────

STAND_IN = """
import json, os, sys, time
def say(**record): print(json.dumps(record), flush=True)
info = {{"device": "one", "vendor_id": 0x10DE, "adapter_type": "DiscreteGPU", "backend_type": "Vulkan"}}
row = {{"info": info, "limits": {{}}, "features": []}}
if {listed}:
    print("error: a driver's chatter")
    say(adapters=[{{**row, "info": {{**info, "device": n}}}} for n in ("one", "two", "three")])
for place in range(int(sys.argv[1]), 3 if {listed} else 0):
    say(asking=place)
    if place == {bad}: {fault}
    say(answer=place, problem=None)
{ending}
"""


def ask(tmp_path: Path, **words: Any) -> Any:
    source = STAND_IN.format(**({"listed": True, "bad": 1, "fault": "pass", "ending": ""} | words))
    return adapters.ask([sys.executable, str(write(tmp_path / "stand_in.py", source))])


FAULTS = {
    "os.abort()": "brings down the process: .*exit status -6" if os.name == "posix" else "brings down the process",
    "sys.exit('panicked at device.rs:7')": "brings down the process: panicked at device.rs:7",
    "time.sleep(60)": "brings down the process: no answer in 3 seconds",
}


@pytest.mark.slow
@pytest.mark.parametrize("bad", [0, 1, 2])
@pytest.mark.parametrize("fault", FAULTS)
def test_an_adapter_that_brings_down_its_process_is_named_and_the_others_are_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: int, fault: str
) -> None:
    monkeypatch.setattr(adapters, "_TIMEOUT", 3)
    found = ask(tmp_path, bad=bad, fault=fault)
    assert ["one", "two", "three"] == [a.name for a in found.found]
    assert [bad] == [a.place for a in found.found if a.problem is not None]
    with pytest.raises(AssertionError, match=FAULTS[fault]):
        raise AssertionError(found.found[bad].problem)


def test_a_process_that_dies_behind_its_last_answer_has_answered(tmp_path: Path) -> None:
    found = ask(tmp_path, ending="os.abort()")
    assert [None, None, None] == [a.problem for a in found.found]


def test_a_process_that_dies_before_its_list_says_why(tmp_path: Path) -> None:
    found = ask(tmp_path, listed=False, ending="sys.exit('no libvulkan.so.1')")
    assert ((), "the adapters cannot be listed: no libvulkan.so.1 (exit status 1)") == (found.found, found.problem)


def test_without_the_package_the_report_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    find = adapters.importlib.util.find_spec
    monkeypatch.setattr(adapters.importlib.util, "find_spec", lambda name: None if name == "wgpu" else find(name))
    assert "pip install 'hatch-neurenix[gpu]'" in str(adapters.adapters.__wrapped__().problem)


def test_a_frozen_program_starts_no_copy_of_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(adapters, "ask", None)
    monkeypatch.setattr(adapters.importlib.util, "find_spec", lambda name: sys)
    assert "frozen program" in str(adapters.adapters.__wrapped__().problem)


class TestReal:
    """What is there, asked for real."""

    pytestmark = pytest.mark.gpu

    def test_the_report_has_what_wgpu_says(self) -> None:
        import wgpu

        theirs = wgpu.gpu.enumerate_adapters_sync()
        mine = Device.detect().adapters
        assert (None, [a.info["device"] for a in theirs]) == (mine.problem, [a.name for a in mine.found])
        for their, my in zip(theirs, mine.found):
            assert (dict(their.limits), set(their.features)) == (dict(my.limits), set(my.features))
            assert (their.info["backend_type"], their.info["adapter_type"]) == (my.backend, my.kind)

    def test_some_adapter_answered_a_small_kernel(self) -> None:
        assert Device("webgpu").is_available()
        assert adapters.usable_adapters()

    @pytest.mark.parametrize(
        ("change", "problem"),
        [(("2.0", "2.5"), "answers a small kernel wrongly"), (("id.x <", "9999u <"), "answers a small kernel wrongly"),
         (("* 2.0", "* nothing"), "gave up on a small kernel: .*nothing"), (("64", "6400"), "gave up on a small")],
    )  # fmt: skip
    def test_a_wrong_answer_and_zeros_are_seen(
        self, monkeypatch: pytest.MonkeyPatch, change: tuple[str, str], problem: str
    ) -> None:
        import wgpu

        monkeypatch.setattr(adapter_process, "SHADER", adapter_process.SHADER.replace(*change))
        with pytest.raises(AssertionError, match=problem):
            raise AssertionError(adapter_process.problem(wgpu.gpu.request_adapter_sync()))


# ── the table ───────────────────────────────────────────────────────────────────────────────────────────


def test_the_report_is_a_table_and_is_frozen(pretend: Pretend) -> None:
    features = ("shader-f16", "subgroup")
    pretend(adapter("NVIDIA L4", "NVIDIA", driver="570", limits={"max-buffer-size": 1 << 30}, features=features))
    report = Device.detect()
    text = repr(report)
    assert "webgpu    NVIDIA L4: NVIDIA through Vulkan, DiscreteGPU; answers" in text
    assert "buffer 1024 MiB, float16, subgroups; driver 570" in text
    assert f"{report.processor.cores} core" in text
    with pytest.raises(FrozenInstanceError):
        report.browser = None  # type: ignore[misc]


def test_a_browser_and_its_drivers_have_lines_of_their_own(pretend: Pretend) -> None:
    pretend(problem="it needs the package 'wgpu'")
    browser = Browser("Firefox", ("wasm", "simd"), True, None, False, 4)
    host = Host(Processor("P", "wasm32", ("wasm32",), (), 1, None), Device.detect().adapters, (), browser)
    lines = host.table().splitlines()
    assert "browser   Firefox, not isolated: one thread" in lines
    assert "wasm      wasm simd" in lines
    assert "webgpu    yes, its adapter was not asked" in lines
    cuda = Host(host.processor, host.adapters, (Driver("cuda", "570", ("nvidia-smi",), ("L4",)),), None)
    assert "cuda      driver 570 seen in nvidia-smi; L4" in cuda.table().splitlines()
