"""Devices: their names, what "auto" chooses, and that nothing is said to be there that does not answer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hosts import Pretend, adapter

from neurenix import verification
from neurenix.compiler import passes
from neurenix.compiler.schedule import schedule
from neurenix.compiler.wgsl import print_wgsl
from neurenix.device import (
    Device,
    DeviceType,
    as_device,
    get_available_devices,
    get_device,
    get_device_count,
)
from neurenix.errors import DeviceError, UnsupportedError
from neurenix.golden_inputs import golden_cases
from neurenix.nn import Linear
from neurenix.trace import trace

pytest_plugins = ["pretend_host"]

# Every name that the older API had.
OLDER = {"CPU", "CUDA", "ROCM", "WEBGPU", "TPU", "NPU", "VULKAN", "OPENCL", "ONEAPI", "DIRECTML", "ONEDNN", "MKLDNN",
         "TENSORRT", "QUANTUM", "ARM"}  # fmt: skip
NVIDIA = adapter("NVIDIA L4", "NVIDIA", place=2)
SECOND = adapter("NVIDIA T4", "NVIDIA", place=3)
INTEL = adapter("Intel UHD", "Intel", kind="IntegratedGPU", place=0)
AMD = adapter("Radeon", "AMD", place=4)
SOFTWARE = adapter("llvmpipe", "Mesa", kind="CPU", place=1)
OPENGL = adapter("NVIDIA L4", "NVIDIA", "OpenGL", place=5)


# ── names ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("spec", "kind", "index"),
    [("cpu", "CPU", 0), ("cuda", "CUDA", 0), ("cuda:1", "CUDA", 1), ("webgpu:12", "WEBGPU", 12), ("tpu", "TPU", 0),
     (DeviceType.METAL, "METAL", 0), (Device(DeviceType.ROCM, 2), "ROCM", 2)],
)  # fmt: skip
def test_a_device_is_found_by_its_name(spec: Any, kind: str, index: int) -> None:
    for device in (as_device(spec), get_device(spec)):
        assert (DeviceType[kind], index) == (device.type, device.index)
    assert as_device(spec) == Device(str(as_device(spec)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "spec", ["gpu", "", "cuda:", "cuda:x", "cuda:-1", "cuda:1:2", "CPU", "cpu ", "cuda:٣", 5, None]
)
def test_a_name_that_is_none_is_refused_with_the_known_ones(spec: Any) -> None:
    with pytest.raises(DeviceError, match="known are cpu, webgpu, wasm, cuda, rocm, vulkan, metal and auto"):
        Device(spec)


@pytest.mark.parametrize("index", [-1, 1.5, True, "1"])
def test_a_number_that_is_none_is_refused(index: Any) -> None:
    with pytest.raises(DeviceError, match="number"):
        Device(DeviceType.CUDA, index)


def test_every_name_of_the_older_api_is_kept() -> None:
    assert set() == OLDER - set(DeviceType.__members__)
    assert [t.name.lower() for t in DeviceType] == [t.value for t in DeviceType]


@pytest.mark.parametrize("kind", [t for t in DeviceType if not t.supported])
def test_a_name_with_nothing_behind_it_says_what_to_use(kind: DeviceType) -> None:
    device = Device(kind)
    assert not device.is_available()
    assert 0 == get_device_count(kind)
    with pytest.raises(UnsupportedError, match=rf"'{kind.value}' is not supported; use Device\(DeviceType\.") as found:
        device.require()
    instead = str(found.value).rpartition("DeviceType.")[2].rstrip(")")
    assert DeviceType[instead].supported


def test_repr_says_that_cuda_and_rocm_are_reached_through_vulkan() -> None:
    assert "Device('cpu')" == repr(Device())
    assert "Device('cuda:1': NVIDIA adapter 1 through Vulkan or Direct3D, not CUDA's runtime)" == repr(Device("cuda:1"))
    assert "AMD adapter 0 through Vulkan" in repr(Device(DeviceType.ROCM))


def test_devices_are_values() -> None:
    assert {Device("cuda:1"): 1} == {Device(DeviceType.CUDA, 1): 1}
    assert Device("cuda") != Device("webgpu")
    assert ("cuda:1", "cpu") == (str(Device("cuda:1")), Device().name)


# ── which adapter a name means ──────────────────────────────────────────────────────────────────────────


def test_numbers_count_the_adapters_that_a_name_means(pretend: Pretend) -> None:
    pretend(INTEL, SOFTWARE, NVIDIA, SECOND, AMD, OPENGL)
    means = {
        "cuda": NVIDIA, "cuda:1": SECOND, "rocm": AMD, "webgpu": NVIDIA, "webgpu:3": INTEL, "webgpu:4": SOFTWARE,
        "vulkan:1": SECOND,
    }  # fmt: skip
    assert means == {name: Device(name).adapter() for name in means}
    assert {"cuda": 2, "rocm": 1, "webgpu": 5, "vulkan": 5, "metal": 0, "cpu": 1, "npu": 0} == {
        kind: get_device_count(kind) for kind in ("cuda", "rocm", "webgpu", "vulkan", "metal", "cpu", "npu")
    }
    assert None is Device("cpu").adapter()
    names = [d.name for d in get_available_devices()]
    assert "cpu" == names[0]
    assert {"cuda", "cuda:1", "rocm", "webgpu:4"} <= set(names)
    assert all(d.is_available() for d in get_available_devices())
    with pytest.raises(DeviceError, match="'cuda:2' is not available: there are 2 of its kind, numbered from 0"):
        Device("cuda:2").require()
    with pytest.raises(DeviceError, match="'cpu:1' is not available: there is one 'cpu'"):
        Device("cpu:1").require()


def test_an_adapter_that_does_not_answer_is_no_device_and_says_why(pretend: Pretend) -> None:
    pretend(adapter("NVIDIA L4", "NVIDIA", problem="it answers a small kernel wrongly"), OPENGL, SOFTWARE)
    assert not Device("cuda").is_available()
    with pytest.raises(DeviceError, match=r"NVIDIA L4 through Vulkan: it answers a small kernel wrongly; use Device\("):
        Device("cuda").require()
    assert SOFTWARE == Device("webgpu").adapter()


def test_an_export_leaves_an_adapter_alone_that_brings_down_its_process(
    pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(adapter("NVIDIA L4", "NVIDIA", problem="its driver brings down the process: Aborted"))
    monkeypatch.setattr(verification, "WebGPUEngine", lambda *args: pytest.fail("the driver was asked in this process"))
    graph = trace(Linear(2, 2).eval(), {"x": "float32[1, 2]"})
    plan, weights = schedule(passes.run(graph))
    cases = golden_cases(graph, plan, 1e-4)
    assert {"reference"} == {*verification.verify(plan, weights, [], cases, 0, print_wgsl(plan, weights))}


def test_direct3d_serves_where_there_is_no_vulkan(pretend: Pretend) -> None:
    direct = adapter("NVIDIA L4", "NVIDIA", "D3D12")
    pretend(direct, OPENGL)
    assert direct == Device("cuda").adapter()
    assert not Device("vulkan").is_available()


def test_a_missing_package_names_the_extra(pretend: Pretend) -> None:
    pretend(problem="it needs the package 'wgpu': pip install 'hatch-neurenix[gpu]'")
    with pytest.raises(
        DeviceError, match=r"'webgpu' is not available: it needs .*hatch-neurenix\[gpu\].*DeviceType.CPU"
    ):
        Device("webgpu").require()
    assert Device() == Device("auto")


def test_a_cuda_driver_without_vulkan_is_explained(pretend: Pretend, monkeypatch: pytest.MonkeyPatch) -> None:
    from neurenix.phynexus import availability
    from neurenix.phynexus.detect import Driver

    pretend(SOFTWARE)
    monkeypatch.setattr(availability, "drivers", lambda: (Driver("cuda", "570.1", ("libcuda.so.1",)),))
    with pytest.raises(
        DeviceError, match=r"a cuda driver shows in libcuda\.so\.1: models reach the GPU through Vulkan"
    ):
        Device("cuda").require()


# ── what "auto" chooses ─────────────────────────────────────────────────────────────────────────────────


def test_auto_is_a_real_gpu_or_the_cpu_and_never_a_software_adapter(pretend: Pretend) -> None:
    pretend(SOFTWARE, INTEL)
    assert (Device("webgpu"), INTEL) == (Device("auto"), Device("auto").adapter())  # type: ignore[arg-type]
    pretend(SOFTWARE)
    assert Device() == as_device("auto")
    pretend()
    assert Device() == as_device("auto")


def test_the_variable_chooses(pretend: Pretend, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(NVIDIA, SECOND)
    for value, expected in {
        "cuda:1": "cuda:1",
        " WebGPU ": "webgpu",
        "cpu": "cpu",
        "auto": "webgpu",
        "": "webgpu",
    }.items():
        monkeypatch.setenv("NEURENIX_DEVICE", value)
        assert expected == Device("auto").name  # type: ignore[arg-type]


def test_a_variable_that_asks_for_what_is_not_there_falls_back_and_warns_once(
    pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(SOFTWARE)
    monkeypatch.setenv("NEURENIX_DEVICE", "rocm")
    with pytest.warns(RuntimeWarning, match="NEURENIX_DEVICE=rocm: wgpu sees no AMD adapter.*on the CPU") as warned:
        assert Device() == as_device("auto")
    assert [__file__] == [w.filename for w in warned]
    assert Device() == as_device("auto")


def test_a_variable_that_names_no_device_is_an_error(pretend: Pretend, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend()
    monkeypatch.setenv("NEURENIX_DEVICE", "gpu")
    with pytest.raises(DeviceError, match="the variable NEURENIX_DEVICE: there is no device 'gpu'"):
        Device("auto")  # type: ignore[arg-type]
    assert Device().is_available()


# ── what is imported ────────────────────────────────────────────────────────────────────────────────────

LEAN = """
import sys
import neurenix
from neurenix import nn
from neurenix.device import Device, DeviceType
model = nn.Sequential(nn.Linear(2, 2), nn.ReLU()).to("cpu").eval()
model([[1.0, 2.0]])
assert Device(DeviceType.CPU).is_available()
heavy = ("wgpu", "wasmtime", "subprocess", *(f"neurenix.{m}" for m in ("phynexus", "compiler", "engines", "compiled")))
print([m for m in heavy if m in sys.modules])
"""


def test_only_code_for_the_cpu_is_imported_until_something_else_is_asked_for() -> None:
    done = subprocess.run([sys.executable, "-c", LEAN], capture_output=True, text=True, check=True, timeout=60)
    assert "[]" == done.stdout.strip()


def test_asking_for_adapters_keeps_wgpu_out_of_the_process() -> None:
    source = "import sys; from neurenix.device import Device; Device.detect(); print('wgpu' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True, timeout=120)
    assert "False" == done.stdout.strip()


@pytest.mark.wasm
def test_wasm_is_there_when_a_small_module_answered() -> None:
    from neurenix.phynexus import availability

    availability._wasm.cache_clear()
    assert Device("wasm").is_available()


@pytest.mark.wasm
def test_a_wasm_engine_that_answers_wrongly_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    from neurenix.phynexus import availability

    availability._wasm.cache_clear()
    times_three = availability._TINY.replace(bytes.fromhex("4300000040"), bytes.fromhex("4300004040"))
    monkeypatch.setattr(availability, "_TINY", times_three)
    try:
        with pytest.raises(DeviceError, match=r"wasmtime answers 61\.75 where 41\.5 is right"):
            Device("wasm").require()
    finally:
        availability._wasm.cache_clear()


def test_the_docs_name_every_device_and_the_variable() -> None:
    text = (Path(__file__).parent.parent / "docs/devices.md").read_text(encoding="utf-8")
    assert [] == [t.name for t in DeviceType if f"`{t.name}`" not in text]
    assert "NEURENIX_DEVICE" in text
