"""Claims about the commands that look at a bundle: inspect, verify and bench."""

from __future__ import annotations

import base64
import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from cli_calls import call, call_json
from exported_model import NAME, edit
from onnx_models import model, node

import neurenix
from neurenix.bundle.reader import read_bundle
from neurenix.cli.bench import BenchReport
from neurenix.cli.inspect import BundleReport
from neurenix.cli.onnx_report import OnnxReport
from neurenix.cli.plan_report import report_plan
from neurenix.cli.verify import VerifyReport
from neurenix.nn import Linear, Sequential
from neurenix.session import load_model
from neurenix.toolchain import WASM_VARIANTS
from neurenix.wasm import export_to_wasm

pytest_plugins = ["exported_bundle"]
pytestmark = [pytest.mark.zig, pytest.mark.wasm]

LONG = "a_model_with_a_name_that_is_as_long_as_names_can_possibly_get_64"


@pytest.fixture(scope="session")
def long_names(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("long")
    inputs = {"an_input_with_a_name_that_is_longer_than_a_narrow_terminal_is": "float32[batch, 3]"}
    export_to_wasm(Sequential(Linear(3, 2)), folder, LONG, inputs=inputs)
    return folder


# ── inspect ─────────────────────────────────────────────────────────────────────────────────────────────


def test_inspect_tells_what_a_bundle_holds(exported: Path) -> None:
    data = call_json(BundleReport, "inspect", exported)
    manifest = read_bundle(exported).manifest
    plan = data["plan"]
    assert {name: file["size"] for name, file in manifest["files"].items()} == data["files"]
    assert list(reversed(WASM_VARIANTS)) == data["variants"]
    assert [{"name": "image", "dtype": "float32", "shape": ["batch", 1, 8, 8]}] == plan["inputs"]
    assert {"batch": {"min": 1, "max": 9, "value": 1}} == plan["dims"]
    assert ["conv2d", "max_pool2d", "matmul", "softmax"] == [step["op"] for step in plan["steps"]]
    # The batch norm is folded into the convolution: 9 * 5 + 5 numbers, and 80 * 4 + 4 of the linear layer.
    assert 9 * 5 + 5 + 80 * 4 + 4 == plan["parameters"]
    assert (manifest["memory"]["weights"], manifest["memory"]["arena"]) == (plan["weights"], plan["arena"])


def test_inspect_counts_arithmetic_at_the_dims_that_are_asked_for(exported: Path) -> None:
    for batch in (1, 9):
        plan = call_json(BundleReport, "inspect", exported, "--dim", f"batch={batch}")["plan"]
        convolution = 2 * 9 * 5 * 64 + 3 * 5 * 64  # products and sums; then the bias and, as two operations, relu
        flops = [convolution, 80 * 4, 2 * 80 * 4 + 4, 5 * 4]
        assert [batch * f for f in flops] == [step["flops"] for step in plan["steps"]]
        assert sum(batch * f for f in flops) == plan["flops"]
        assert batch * 4 * 4 == plan["steps"][-1]["written"]


def test_every_step_belongs_to_a_layer_and_buffers_that_live_at_once_lie_apart(exported: Path) -> None:
    plan = call_json(BundleReport, "inspect", exported)["plan"]
    assert len(plan["steps"]) == sum(layer["steps"] for layer in plan["layers"])
    assert ["Conv2d", "MaxPool2d", "Linear", "Softmax"] == [x["type"] for x in plan["layers"] if x["steps"]]
    for a in plan["buffers"]:
        assert 0 <= a["offset"] <= a["offset"] + a["size"] <= plan["arena"]
        for b in plan["buffers"]:
            together = a["first"] <= b["last"] and b["first"] <= a["last"]
            overlap = a["offset"] < b["offset"] + b["size"] and b["offset"] < a["offset"] + a["size"]
            assert a == b or not (together and overlap), (a, b)


@pytest.mark.parametrize("columns", [None, 100, 60])
def test_inspect_reads_well_at_any_width(exported: Path, long_names: Path, columns: int | None) -> None:
    for folder, words in ((exported, ["BatchNorm2d", "conv2d_add_relu", "Arena"]), (long_names, [])):
        text = call("inspect", folder, columns=columns).stdout
        for word in words:
            assert word in text
        charts = [line for line in text.splitlines() if line.endswith("|")]
        assert charts
        assert all(len(line) <= (columns or 100) for line in charts)


def test_no_row_of_a_table_is_lost_or_cut_on_a_narrow_terminal(exported: Path) -> None:
    text = call("inspect", exported, columns=50).stdout
    for step in call_json(BundleReport, "inspect", exported)["plan"]["steps"]:
        assert re.search(rf"^  kernel +{step['kernel'].removeprefix('nx_')}$", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("batch", "write NAME=SIZE"),
        ("batch=x", "write NAME=SIZE"),
        ("bacth=2", "'cnn' has no dim 'bacth'; it has batch"),
    ],
)
def test_a_wrong_dim_is_wrong_usage(exported: Path, option: str, text: str) -> None:
    assert text in call("inspect", exported, "--dim", option, status=2).stderr


def test_a_dim_out_of_its_range_is_an_error_with_its_code(exported: Path) -> None:
    assert "neurenix: bad_dims: 'batch' is 10;" in call("inspect", exported, "--dim", "batch=10", status=1).stderr


def test_a_plan_that_contradicts_itself_is_no_crash(bundle: Path) -> None:
    edit(bundle, lambda data: data["plan"]["steps"][0].update(shapes=[[1], [1]]))
    assert "neurenix: bad_bundle: " in call("inspect", bundle, status=1).stderr


# ── inspect, of an .onnx file ───────────────────────────────────────────────────────────────────────────


@pytest.fixture
def onnx_file(tmp_path: Path) -> Path:
    weight = np.ones((4, 3), np.float32)
    nodes = [node("MatMul", "x w", "a"), node("Relu", "a", "b"), node("Mish", "b", "y")]
    path = tmp_path / "My Model.onnx"
    onnx.save(model(nodes, {"x": ["n", 4]}, ["y"], {"w": weight}), path)
    return path


def test_inspect_tells_what_an_onnx_file_becomes(onnx_file: Path) -> None:
    data = call_json(OnnxReport, "inspect", onnx_file, "--dim", "n=2")
    assert {"": 20} == data["opsets"]
    assert {"MatMul": 1, "Relu": 1, "Mish": 1} == {o["name"]: o["count"] for o in data["operators"]}
    assert "unsupported" not in {o["status"] for o in data["operators"]}
    assert data["problem"] is None
    assert "my_model" == data["compiled"]["name"]
    assert ["n", 4] == data["compiled"]["inputs"][0]["shape"]
    assert data["compiled"]["flops"] >= 2 * 2 * 4 * 3
    text = call("inspect", onnx_file).stdout
    assert "What would be compiled" in text
    assert re.search(r"^MatMul +1 +supported$", text, re.MULTILINE)


def test_inspect_names_what_of_an_onnx_file_is_not_supported(tmp_path: Path) -> None:
    path = tmp_path / "strange.onnx"
    made = model([node("Relu", "x", "a"), node("Strange", "a", "y", domain="my.own")], {"x": [2]}, ["y"])
    made.opset_import.append(onnx.helper.make_opsetid("my.own", 1))
    onnx.save(made, path)
    data = call_json(OnnxReport, "inspect", path, status=1)
    statuses = [(o["domain"], o["name"], o["status"]) for o in data["operators"]]
    assert [("my.own", "Strange", "unsupported"), ("", "Relu", "supported")] == statuses
    assert data["compiled"] is None
    assert data["problem"].startswith("unsupported: ")
    assert f"neurenix: {data['problem']}\n" == call("inspect", path, status=1).stderr


def test_what_is_no_onnx_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"\x08\xff not a model")
    assert "neurenix: bad_model: " in call("inspect", tmp_path / "x.onnx", status=1).stderr
    assert "neurenix: bad_model: " in call("inspect", tmp_path / "none.onnx", status=1).stderr


# ── verify ──────────────────────────────────────────────────────────────────────────────────────────────


def test_verify_holds_every_shipped_form_to_the_golden_values(exported: Path) -> None:
    data = call_json(VerifyReport, "verify", exported)
    forms = {(r["backend"], r["form"]) for r in data["results"]}
    shipped = read_bundle(exported).manifest
    assert {("wasm", v["name"]) for v in shipped["variants"]} | {("reference", "numpy")} <= forms
    assert load_model(exported, "cpu").variant in {form for device, form in forms if device == "cpu"}
    assert len(forms) == len(data["results"])
    assert data["ok"] and all(r["ok"] and r["error"] < 1e-6 for r in data["results"])
    assert [{"batch": 1}, {"batch": 3}] == [case["dims"] for case in data["results"][0]["cases"]]


def test_verify_fails_where_answers_differ(bundle: Path) -> None:
    def other_values(data: Any) -> None:
        case = data["golden"][0]
        case["inputs"]["image"]["seed"] += 1

    edit(bundle, other_values)
    data = call_json(VerifyReport, "verify", bundle, status=1)
    assert not data["ok"] and not any(r["ok"] for r in data["results"])
    result = call("verify", bundle, status=1)
    assert "FAILED" in result.stdout
    assert result.stderr.startswith(f"neurenix: verification_failed: '{NAME}' is not what it should be on reference")


def test_verify_of_one_backend_runs_that_one_alone(exported: Path) -> None:
    data = call_json(VerifyReport, "verify", exported, "--backend", "wasm")
    assert {"wasm"} == {r["backend"] for r in data["results"]}


def test_a_backend_that_is_asked_for_and_not_here_is_an_error(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wasmtime", None)
    message = call("verify", exported, "--backend", "wasm", status=1).stderr
    assert message.startswith("neurenix: device_unavailable: backend 'wasm': ")
    data = call_json(VerifyReport, "verify", exported)
    assert "wasmtime" in data["absent"]["wasm"]
    assert "not here: wasm: " in call("verify", exported).stdout


def test_a_damaged_bundle_is_no_backends_fault(bundle: Path) -> None:
    (bundle / f"{NAME}.bin").write_bytes(b"\0" * (bundle / f"{NAME}.bin").stat().st_size)
    assert "neurenix: bad_integrity: " in call("verify", bundle, status=1).stderr


@pytest.mark.parametrize("columns", [None, 100, 60])
def test_verify_and_bench_read_well_at_any_width(long_names: Path, columns: int | None) -> None:
    for command in (["verify"], ["bench", "--seconds", "0"]):
        text = call(*command, long_names, columns=columns).stdout
        assert LONG in text.replace("\n", "")
        assert "reference" in text
        assert "relaxed" in text
        assert re.search(r"\d (µ|m)s\b", text)


# ── bench ───────────────────────────────────────────────────────────────────────────────────────────────


def test_bench_times_every_backend_at_the_dims_that_are_asked_for(exported: Path) -> None:
    data = call_json(BenchReport, "bench", exported, "--seconds", "0.02", "--dim", "batch=4")
    assert {"batch": 4} == data["dims"]
    plan = read_bundle(exported).plan
    assert report_plan(plan, {"batch": 4}).flops == data["flops"]
    assert ["reference", "cpu", "wasm"] == [t["backend"] for t in data["timings"]][:3]
    for t in data["timings"]:
        assert t["runs"] >= 5
        assert 0 < t["p10"] <= t["median"] <= t["p90"]
        assert math.isclose(data["flops"] / t["median"], t["flops_per_second"])


def test_bench_draws_a_bar_for_each_backend(exported: Path) -> None:
    text = call("bench", exported, "--seconds", "0", "--backend", "reference", "--backend", "cpu").stdout
    bars = re.findall(r"^(reference|cpu) .* (█+) ", text, re.MULTILINE)
    assert ["reference", "cpu"] == [name for name, _ in bars]
    assert len(bars[0][1]) > len(bars[1][1])


def test_bench_feeds_stored_inputs_of_other_dims_too(tmp_path: Path) -> None:
    neurenix.manual_seed(0)
    export_to_wasm(Sequential(Linear(3, 2)), tmp_path, "tiny", inputs={"x": "float32[n, 3]"})
    path = tmp_path / "tiny.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    values = np.arange(3, dtype="<f4")
    data["golden"][0]["inputs"]["x"] = {"data": base64.b64encode(values.tobytes()).decode()}
    path.write_text(json.dumps(data), encoding="utf-8")
    report = call_json(BenchReport, "bench", tmp_path, "--dim", "n=7", "--seconds", "0", "--backend", "reference")
    assert {"n": 7} == report["dims"]
