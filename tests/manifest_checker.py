"""Holds a manifest to FORMAT.md: written from that page, and from none of the code that writes bundles."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np

from neurenix import ops
from neurenix.dtypes import DTYPES
from neurenix.expr import PRIMITIVES
from neurenix.toolchain import TARGETS


class Checker:
    """Holds a manifest to FORMAT.md. Everything documented must be there, and nothing else may be."""

    def __init__(self, manifest: Any, folder: Path) -> None:
        self.manifest, self.folder = manifest, folder
        self.dims = {d["name"]: d for d in manifest["dims"]}

    def check(self) -> None:
        m = self.manifest
        self.keys(m, "format generator name abi device inputs outputs dims layers memory threads tensors weights plan "
                     "variants native files golden", optional="labels customOps webgpu")  # fmt: skip
        assert m["format"] == 1
        assert re.fullmatch(r"neurenix \d+\.\d+\.\d+", m["generator"])
        assert 0 <= m["abi"] < 2**32
        assert m["device"] in ("auto", "wasm", "webgpu")
        assert all(isinstance(label, str) for label in m.get("labels", []))
        for dim in m["dims"]:
            self.keys(dim, "name min max")
            assert 1 <= dim["min"] <= dim["max"]
        for layer in m["layers"]:
            self.keys(layer, "name type config parameters")
        self.keys(m["threads"], "requested")
        assert isinstance(m["threads"]["requested"], bool)
        self.check_memory()
        self.check_tensors()
        self.check_plan()
        self.check_files()
        for case in m["golden"]:
            self.check_golden(case)
        if "webgpu" in m:
            self.check_shaders(m["webgpu"])

    def keys(self, table: Any, required: str, optional: str = "") -> None:
        assert set(required.split()) <= set(table) <= {*required.split(), *optional.split()}, table

    def size(self, size: Any, largest: bool = True) -> int:
        """The value of a size at the largest dims."""
        if isinstance(size, int):
            return size
        if isinstance(size, str):
            return int(self.dims[size]["max" if largest else "min"])
        function, a, b = size
        a, b = self.size(a), self.size(b)
        return int({"+": a + b, "*": a * b, "//": a // max(b, 1), "max": max(a, b), "min": min(a, b)}[function])

    def bytes(self, port: Any) -> int:
        return int(np.prod([self.size(s) for s in port["shape"]])) * DTYPES[port["dtype"]].size

    def check_memory(self) -> None:
        memory = self.manifest["memory"]
        self.keys(memory, "base weights arena pages")
        arena = memory["base"] + -(-memory["weights"] // 64) * 64
        assert -(-(arena + memory["arena"]) // 65536) == memory["pages"]
        files = self.manifest["files"]
        assert sum(files[f]["size"] for f in self.manifest["weights"]) == memory["weights"]

    def check_tensors(self) -> None:
        end = 0
        for tensor in self.manifest["tensors"]:
            self.keys(tensor, "name dtype shape layout offset size")
            assert tensor["offset"] % 64 == 0
            assert tensor["offset"] >= end, "parameters do not overlap"
            end = tensor["offset"] + tensor["size"]
            rows, columns = int(np.prod(tensor["shape"][:-1])), tensor["shape"][-1]
            padded = {
                "rows": rows * columns,
                "pad8": -(-rows * columns // 8) * 8,
                "panel8": rows * -(-columns // 8) * 8,
            }
            assert padded[tensor["layout"]] * DTYPES[tensor["dtype"]].size == tensor["size"]
        assert end <= self.manifest["memory"]["weights"]

    def check_plan(self) -> None:
        m, plan = self.manifest, self.manifest["plan"]
        self.keys(plan, "buffers steps")
        buffers = {b["name"]: b for b in plan["buffers"]}
        for buffer in plan["buffers"]:
            self.keys(buffer, "name dtype shape offset size")
            assert buffer["offset"] % 64 == 0
            assert self.bytes(buffer) <= buffer["size"] <= m["memory"]["arena"] - buffer["offset"]
        for port in (*m["inputs"], *m["outputs"]):
            self.keys(port, "name dtype shape offset", optional="lengths" if port in m["outputs"] else "")
            assert all(buffers[port["name"]][key] == port[key] for key in ("name", "dtype", "shape", "offset"))
            for length in port.get("lengths", []):
                self.keys(length, "axis name offset")
                held = buffers[length["name"]]
                assert (held["dtype"], held["shape"], held["offset"]) == ("int64", [], length["offset"])
                assert 0 <= length["axis"] < len(port["shape"])
        known = {*buffers, *(t["name"] for t in m["tensors"])}
        for step in plan["steps"]:
            self.keys(step, "kernel op attrs inputs output shapes shape sizes scope", "operands epilogue scratch")
            assert re.fullmatch(r"nx_[a-z0-9_]+", step["kernel"])
            assert step["op"] in ops.OPS
            assert {*step["inputs"], step["output"], step.get("scratch", step["output"])} <= known
            reads = [*step["inputs"]]
            if "epilogue" in step:
                self.keys(step["epilogue"], "expr inputs")
                reads += step["epilogue"]["inputs"]
                self.check_expression(step["epilogue"]["expr"], 1 + len(step["epilogue"]["inputs"]))
            assert len(reads) == len(step["shapes"])

    def check_expression(self, expression: Any, operands: int) -> None:
        if isinstance(expression, list):
            if expression[0] == "x":
                assert expression[1] < operands
            else:
                assert PRIMITIVES[expression[0]].arity == len(expression) - 1
                for argument in expression[1:]:
                    self.check_expression(argument, operands)
        else:
            assert isinstance(expression, (int, float))

    def check_shaders(self, table: Any) -> None:
        keys = "file limits buffers regions paramsSize shaders dispatches flops auto"
        self.keys(table, keys, optional="special half tolerance inputs")
        whole = {p["name"] for p in self.manifest["inputs"] if DTYPES[p["dtype"]].numpy.kind in "iu"}
        for name, (least, most) in table.get("inputs", {}).items():
            assert name in whole
            assert -(2**31) <= least <= most < 2**31
        if "half" in table:
            self.check_shaders(table["half"])
        assert ("tolerance" in table) == table["file"].endswith(".f16.wgsl")
        text = (self.folder / table["file"]).read_bytes()
        assert table["auto"] == (table["flops"] >= 100_000_000)
        for region in table["regions"].values():
            self.keys(region, "buffer offset size type")
            assert region["offset"] % 256 == 0
            assert region["offset"] + region["size"] <= table["buffers"][region["buffer"]]["size"]
        for port in (*self.manifest["inputs"], *self.manifest["outputs"]):
            assert self.bytes(port) // DTYPES[port["dtype"]].size * 4 <= table["regions"][port["name"]]["size"]
        for tensor in self.manifest["tensors"]:
            region = table["regions"][tensor["name"]]
            width = 2 if region["type"] == "f16" else 4
            assert tensor["size"] // DTYPES[tensor["dtype"]].size * width <= region["size"]
        end = 0
        for shader in table["shaders"]:
            self.keys(shader, "name from to bindings params", optional="subgroups")
            wide = shader.get("subgroups")
            assert wide is None or {"from", "to"} == set(wide)
            for at in (shader, wide) if wide else (shader,):
                assert end == at["from"]
                end = at["to"]
                source = text[at["from"] : end].decode()
                assert source.startswith("enable subgroups;") == (at is wide)
                for i, access in enumerate(shader["bindings"]):
                    declared = "read_write" if access == "write" else "read"
                    assert f"@binding({i}) var<storage, {declared}>" in source
                assert source.count("@binding(") == len(shader["bindings"]) + bool(shader["params"])
                assert "fn main(" in source
        assert len(text) == end
        for dispatch in table["dispatches"]:
            self.keys(dispatch, "shader bindings params at groups op scope")
            shader = table["shaders"][dispatch["shader"]]
            assert len(shader["bindings"]) == len(dispatch["bindings"])
            assert shader["params"] == len(dispatch["params"])
            assert {*dispatch["bindings"]} <= {*table["regions"]}
            assert dispatch["at"] % 256 == 0
            assert dispatch["at"] + 4 * shader["params"] <= table["paramsSize"]
            assert self.size(dispatch["groups"]) >= 0

    def check_files(self) -> None:
        m = self.manifest
        for name, file in m["files"].items():
            self.keys(file, "size sha256")
            content = (self.folder / name).read_bytes()
            assert (len(content), hashlib.sha256(content).hexdigest()) == (file["size"], file["sha256"])
        named = {*m["weights"], *(v["file"] for v in (*m["variants"], *m["native"]))}
        assert named <= set(m["files"])
        for variant in m["variants"]:
            self.keys(variant, "name file")
        for library in m["native"]:
            self.keys(library, "target level file")
            assert library["target"] in TARGETS

    def check_golden(self, case: Any) -> None:
        m = self.manifest
        bounded = {port["name"] for port in m["outputs"] if "lengths" in port}
        self.keys(case, "dims inputs outputs tolerance" + " lengths" * bool(bounded))
        assert bounded == set(case.get("lengths", {}))
        assert set(self.dims) == set(case["dims"])
        for dim, value in case["dims"].items():
            assert self.dims[dim]["min"] <= value <= self.dims[dim]["max"]
        assert {port["name"] for port in m["inputs"]} == set(case["inputs"])
        for source in case["inputs"].values():
            self.keys(source, "seed low high")
        for port in m["outputs"]:
            shape = [s if isinstance(s, list) else case["dims"].get(s, s) for s in port["shape"]]
            for length, size in zip(port.get("lengths", []), case.get("lengths", {}).get(port["name"], [])):
                shape[length["axis"]] = size
            expected = int(np.prod(shape)) * DTYPES[port["dtype"]].size
            assert expected == len(base64.b64decode(case["outputs"][port["name"]], validate=True))
        assert 0 < case["tolerance"] < 1
