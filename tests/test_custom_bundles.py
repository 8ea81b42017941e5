"""Claims about bundles with custom ops: where the op is not registered, only what the bundle ships answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from custom_ops import CLIP_C, clip, no_custom_ops

from neurenix import Tensor, load_model
from neurenix.bundle.reader import read_bundle
from neurenix.custom import register_op, unregister_op
from neurenix.errors import BundleError, NeurenixError, UnsupportedError
from neurenix.graph.cost import step_costs
from neurenix.nn import Custom, Linear, Sequential
from neurenix.wasm import export_to_wasm

__all__ = ["no_custom_ops"]

X = np.array([[-3.0, -0.4, 0.0, 7.0]], np.float32)


def exported(folder: Path, native: bool = False) -> tuple[Path, Any]:
    """Export a model with a custom op; return its manifest and what it must answer for X."""
    register_op("acme.clip", clip, c=CLIP_C)
    model = Sequential(Custom("acme.clip", limit=0.5), Linear(4, 3))
    export_to_wasm(model, folder, "clipped", inputs={"x": "float32[batch, 4]"}, native=native)
    return folder / "clipped.json", model(Tensor(X)).numpy()


def edited(path: Path, change: Any) -> Path:
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


@pytest.mark.zig
def test_the_manifest_names_the_op_and_its_source(tmp_path: Path) -> None:
    data = json.loads(exported(tmp_path)[0].read_text(encoding="utf-8"))
    assert ["acme.clip"] == [each["name"] for each in data["customOps"]]
    assert 64 == len(data["customOps"][0]["sha256"])
    assert ["acme.clip"] == [step["op"] for step in data["plan"]["steps"] if step["op"] not in ("matmul", "map")]


@pytest.mark.zig
def test_a_manifest_without_custom_ops_does_not_mention_them(tmp_path: Path) -> None:
    export_to_wasm(Linear(4, 3), tmp_path, "plain")
    assert "customOps" not in json.loads((tmp_path / "plain.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.zig
def test_where_the_op_is_not_registered_what_was_shipped_answers(native: bool, tmp_path: Path) -> None:
    path, expected = exported(tmp_path, native)
    unregister_op("acme.clip")
    loaded = load_model(path)
    assert ("cpu" if native else "wasm") == loaded.device
    np.testing.assert_allclose(expected, loaded.forward(X)["output"], atol=1e-6)
    assert load_model(path, "wasm").self_test() < 1e-5
    assert len(step_costs(read_bundle(path).plan, {"batch": 2})) > 0


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.zig
def test_what_needs_the_oracle_or_the_source_says_so(device: str, tmp_path: Path) -> None:
    path, _ = exported(tmp_path)
    unregister_op("acme.clip")
    with pytest.raises(UnsupportedError, match=r"'acme.clip' of this model is not registered here: import the module"):
        load_model(path, device)
    register_op("acme.clip", clip, c=CLIP_C + "// changed")
    with pytest.raises(UnsupportedError, match=r"'acme.clip' of this model is registered here with another source"):
        load_model(path, device)


@pytest.mark.gpu
@pytest.mark.zig
def test_a_device_that_nothing_was_shipped_for_is_left_to_the_cpu(tmp_path: Path) -> None:
    path, expected = exported(tmp_path)
    unregister_op("acme.clip")
    with pytest.warns(RuntimeWarning, match="runs on wasm, not on webgpu: the custom op 'acme.clip'.* not registered"):
        loaded = load_model(path, "webgpu")
    np.testing.assert_allclose(expected, loaded.forward(X)["output"], atol=1e-6)


def steps_of(data: Any) -> Any:
    return next(step for step in data["plan"]["steps"] if step["op"] == "acme.clip")


def relist(data: Any, **more: Any) -> None:
    data["customOps"] = [{**data["customOps"][0], **more}]


HOSTILE = {
    "the op is not listed": lambda d: d.pop("customOps"),
    "an op of the table is listed": lambda d: d["customOps"].append({"name": "matmul", "sha256": "0" * 64}),
    "the name is code": lambda d: d["customOps"].append({"name": 'x"); system("', "sha256": "0" * 64}),
    "the digest is none": lambda d: relist(d, sha256="00"),
    "the input is nothing's": lambda d: steps_of(d).update(inputs=["nothing"]),
    "the output is no buffer": lambda d: steps_of(d).update(output="nothing"),
    "the input is larger than its buffer": lambda d: steps_of(d).update(shapes=[["batch", 4096]]),
    "the output is larger than its buffer": lambda d: steps_of(d).update(shape=["batch", 4096]),
    "the kernel's name is code": lambda d: steps_of(d).update(kernel="nx_x(); evil"),
    "a buffer lies outside the arena": lambda d: d["plan"]["buffers"][0].update(offset=1 << 30),
    "it has an epilogue": lambda d: steps_of(d).update(epilogue={"expr": ["x", 0], "inputs": []}),
    "it has strides": lambda d: steps_of(d).update(operands=[{"strides": [0, 0, 0], "walks": True}]),
}
# Where the op is registered, its row tells these too.
KNOWN = {
    "another size": lambda d: steps_of(d)["sizes"].update(n=1 << 20),
    "another attribute": lambda d: steps_of(d)["attrs"].update(limit=[1, 2]),
    "a missing attribute": lambda d: steps_of(d)["attrs"].clear(),
}


@pytest.mark.parametrize("change", list(HOSTILE))
@pytest.mark.parametrize("registered", [True, False])
@pytest.mark.zig
def test_a_hostile_manifest_is_refused(change: str, registered: bool, tmp_path: Path) -> None:
    path = edited(exported(tmp_path)[0], HOSTILE[change])
    if not registered:
        unregister_op("acme.clip")
    with pytest.raises(BundleError):
        load_model(path)


@pytest.mark.parametrize("change", list(KNOWN))
@pytest.mark.zig
def test_a_registered_op_is_computed_again(change: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        load_model(edited(exported(tmp_path)[0], KNOWN[change]))


@pytest.mark.zig
def test_an_edited_plan_never_meets_the_shipped_code(tmp_path: Path) -> None:
    path = edited(exported(tmp_path)[0], KNOWN["another size"])
    unregister_op("acme.clip")
    with pytest.raises(NeurenixError, match=r"abi|plan|another build"):
        load_model(path, "wasm")
