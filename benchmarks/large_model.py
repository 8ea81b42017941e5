"""Seconds and memory that a 100 MB ONNX model costs: read, compiled, packed into a bundle; then proved as well."""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
MEGABYTE = 1e6

# (channels inside, blocks, stride of the first): the four stages of ResNet-50, 25.5 million parameters.
STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))


class Network:
    """Writes an ONNX graph of convolutions, each with its batch norm."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.nodes: list[Any] = []
        self.parameters: dict[str, Array] = {}

    def add(self, op: str, inputs: list[str], **attributes: Any) -> str:
        from onnx import helper

        name = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def parameter(self, values: Array) -> str:
        name = f"parameter_{len(self.parameters)}"
        self.parameters[name] = values.astype(np.float32)
        return name

    def conv(self, x: str, c: int, o: int, kernel: int, stride: int = 1, act: bool = True, gain: float = 1.0) -> str:
        weight = self.rng.standard_normal((o, c, kernel, kernel), np.float32) * np.sqrt(2 / (c * kernel * kernel))
        y = self.add("Conv", [x, self.parameter(weight)], kernel_shape=[kernel] * 2, strides=[stride] * 2,
                     pads=[kernel // 2] * 4)  # fmt: skip
        near = [gain + 0.05 * self.rng.standard_normal(o), 0.05 * self.rng.standard_normal(o)]
        norm = [*near, 0.05 * self.rng.standard_normal(o), 1 + 0.05 * self.rng.random(o)]
        y = self.add("BatchNormalization", [y, *map(self.parameter, norm)])
        return self.add("Relu", [y]) if act else y

    def resnet50(self, classes: int = 1000) -> str:
        x, c = self.add("MaxPool", [self.conv("image", 3, 64, 7, 2)], kernel_shape=[3, 3], strides=[2, 2],
                        pads=[1, 1, 1, 1]), 64  # fmt: skip
        for inner, blocks, first in STAGES:
            for block in range(blocks):
                stride = first if block == 0 else 1
                y = self.conv(self.conv(x, c, inner, 1), inner, inner, 3, stride)
                y = self.conv(y, inner, 4 * inner, 1, act=False, gain=0.3)
                skip = x if block else self.conv(x, c, 4 * inner, 1, stride, act=False)
                x, c = self.add("Relu", [self.add("Add", [y, skip])]), 4 * inner
        pooled = self.add("Flatten", [self.add("GlobalAveragePool", [x])])
        weight = self.rng.standard_normal((classes, c), np.float32) * np.sqrt(1 / c)
        inputs = [pooled, self.parameter(weight), self.parameter(np.zeros(classes))]
        return self.add("Gemm", inputs, transB=1)


def write_model(path: Path, side: int) -> None:
    """Write ResNet-50 with random weights, its batch symbolic."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    network = Network()
    result = network.resnet50()
    graph = helper.make_graph(
        network.nodes, "resnet50",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, side, side])],
        [helper.make_tensor_value_info(result, TensorProto.FLOAT, ["batch", 1000])],
        [numpy_helper.from_array(array, name) for name, array in network.parameters.items()],
    )  # fmt: skip
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString())
    onnx.checker.check_model(path)


def peak() -> float:
    """Return the largest resident size of this process so far, in MB."""
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / MEGABYTE


def measure(path: Path, verify: bool) -> dict[str, Any]:
    """Export the model here, in a process of its own, and say what each stage cost."""
    import onnx  # noqa: F401  (its own size is no cost of the model)

    from neurenix.frontends import load
    from neurenix.wasm import export_to_wasm

    start, before = time.perf_counter(), peak()
    graph = load(path, dims={"batch": (1, 4)})
    loaded, after_load = time.perf_counter(), peak()
    with tempfile.TemporaryDirectory() as folder:
        export_to_wasm(graph, folder, "resnet50", native=True, verify=verify)
        size = sum(f.stat().st_size for f in Path(folder).rglob("*") if f.is_file())
    return {
        "load": loaded - start, "all": time.perf_counter() - start, "before": before, "loaded": after_load,
        "peak": peak(), "bundle": size / MEGABYTE,
    }  # fmt: skip


def in_subprocess(*arguments: str) -> str:
    """Run this file again. A process inherits the peak of the one that it comes from: this one stays small."""
    return subprocess.run([sys.executable, __file__, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=224, help="pixels of the image's sides")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--no-verify", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.measure, not given.no_verify)))
        return
    if given.write:
        write_model(given.write, given.side)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "resnet50.onnx"
        in_subprocess("--write", str(path), "--side", str(given.side))
        size = path.stat().st_size / MEGABYTE
        print(f"{path.name}: {size:.1f} MB at {given.side} x {given.side}")
        for title, more in (("packed", ["--no-verify"]), ("packed and proved", [])):
            found = json.loads(in_subprocess("--measure", str(path), *more))
            own = found["peak"] - found["before"]
            print(
                f"{title}: {found['all']:.1f} s (load {found['load']:.1f} s), peak {found['peak']:.0f} MB, of it "
                f"{own:.0f} MB for the model: {own / size:.1f} times its size; bundle {found['bundle']:.1f} MB"
            )


if __name__ == "__main__":
    main()
