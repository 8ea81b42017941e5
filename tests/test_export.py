"""export_to_wasm: its options, what it refuses, and what is on disk when it fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import load_model
from neurenix.errors import (
    GraphError,
    InputError,
    NeurenixError,
    OutputError,
    ToolchainError,
    UnsupportedError,
    VerificationError,
)
from neurenix.export import ExportOptions, export
from neurenix.graph.builder import GraphBuilder
from neurenix.nn import BatchNorm2d, Conv2d, Flatten, Linear, MaxPool2d, Module, ReLU, Sequential, Softmax
from neurenix.wasm import export_to_wasm

pytestmark = pytest.mark.zig


def mlp(seed: int = 0, wide: int = 5) -> Sequential:
    neurenix.manual_seed(seed)
    return Sequential(Linear(10, 20), ReLU(), Linear(20, wide))


def cnn() -> Sequential:
    neurenix.manual_seed(1)
    model = Sequential(
        Conv2d(1, 4, 3, padding=1), BatchNorm2d(4), ReLU(), MaxPool2d(2), Flatten(), Linear(4 * 36, 3), Softmax()
    )
    model.train()
    model(neurenix.randn((8, 1, 12, 12)))  # the running statistics are no longer 0 and 1
    return model


def manifest(folder: Path, name: str = "model") -> Any:
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def answer(model: Module, x: Any) -> Any:
    with neurenix.no_grad():
        return model.eval()(neurenix.Tensor(x)).numpy()


# ── options ─────────────────────────────────────────────────────────────────────────────────────────


def test_variants_are_listed_from_the_most_demanding_down(tmp_path: Path) -> None:
    export_to_wasm(mlp(), tmp_path)
    assert [v["name"] for v in manifest(tmp_path)["variants"]] == ["relaxed", "simd", "scalar"]


def test_simd_false_leaves_the_scalar_variant_alone(tmp_path: Path) -> None:
    export_to_wasm(mlp(), tmp_path, simd=False)
    assert [p.name for p in tmp_path.glob("*.wasm")] == ["model.scalar.wasm"]
    assert [v["name"] for v in manifest(tmp_path)["variants"]] == ["scalar"]


def test_optimize_false_gives_the_same_answers(tmp_path: Path) -> None:
    model, x = cnn(), np.random.default_rng(0).random((3, 1, 12, 12), dtype=np.float32)
    answers = {}
    for optimize in (True, False):
        folder = tmp_path / str(optimize)
        export_to_wasm(model, folder, optimize=optimize, inputs={"image": "float32[batch, 1, 12, 12]"})
        answers[optimize] = load_model(folder).forward(x)["output"]
    np.testing.assert_allclose(answers[True], answers[False], rtol=0, atol=1e-6)
    np.testing.assert_allclose(answer(model, x), answers[True], rtol=0, atol=1e-6)
    steps = {optimize: len(manifest(tmp_path / str(optimize))["plan"]["steps"]) for optimize in (True, False)}
    assert steps[True] < steps[False]


def test_threads_are_noted_as_asked_for(tmp_path: Path) -> None:
    for threads in (True, False):
        export_to_wasm(mlp(), tmp_path, threads=threads)
        assert threads == manifest(tmp_path)["threads"]["requested"]


def test_labels_are_kept(tmp_path: Path) -> None:
    labels = ("a", "b", "<script>", "é", "")
    export_to_wasm(mlp(), tmp_path, labels=labels)
    assert labels == load_model(tmp_path).labels


def test_a_model_without_inputs_is_refused(tmp_path: Path) -> None:
    builder = GraphBuilder("fixed", {})
    graph = builder.finish({"y": builder.add("exp", [builder.constant(np.ones(3, np.float32))], {})})
    with pytest.raises(InputError, match="'fixed' has no input"):
        export(graph, tmp_path, "fixed")
    assert [] == [*tmp_path.iterdir()]


def test_dims_set_the_range_of_a_symbol(tmp_path: Path) -> None:
    export_to_wasm(mlp(), tmp_path, dims={"batch": (2, 7)})
    assert manifest(tmp_path)["dims"] == [{"name": "batch", "min": 2, "max": 7}]
    assert load_model(tmp_path).forward(np.zeros((7, 10), np.float32))["output"].shape == (7, 5)


@pytest.mark.parametrize(
    ("spec", "shape"),
    [
        ("float32[batch, 10]", ["batch", 10]),
        ("  float32 [ n ,10 ] ", ["n", 10]),
        ("float32[3, 10]", [3, 10]),
        (("rows", 10), ["rows", 10]),
        ([4, 10], [4, 10]),
        (np.zeros((3, 10), np.float32), ["batch", 10]),
        (np.zeros((3, 10), np.float64), ["batch", 10]),
    ],
)
def test_inputs_are_given_as_a_string_a_shape_or_an_example(tmp_path: Path, spec: Any, shape: list[Any]) -> None:
    export_to_wasm(mlp(), tmp_path, inputs={"x": spec}, simd=False, verify=False)
    (port,) = manifest(tmp_path)["inputs"]
    assert ("x", "float32", shape) == (port["name"], port["dtype"], port["shape"])


def test_a_native_library_is_added_for_this_host(tmp_path: Path) -> None:
    report = export(mlp(), tmp_path, "model", ExportOptions(native=("host",)))
    assert len(report.native_targets) == 1
    assert {n["file"] for n in manifest(tmp_path)["native"]} <= {p.name for p in tmp_path.iterdir()}
    assert {"reference", "scalar"} <= set(report.agreement)
    assert max(report.agreement.values()) < 1e-5


# ── what is refused ─────────────────────────────────────────────────────────────────────────────────

REFUSED = [
    ({"inputs": {"X": "float32[batch, 10]"}}, InputError, "must match"),
    ({"inputs": {"__proto__": "float32[batch, 10]"}}, InputError, "must match"),
    ({"inputs": {"x": "float32(batch, 10)"}}, InputError, r"not of the form 'float32\[batch, 4\]'"),
    ({"inputs": {"x": "float32[batch, 0]"}}, GraphError, "inner sizes"),
    ({"inputs": {"x": "float32[batch, -1]"}}, InputError, "is negative"),
    ({"inputs": {"x": "float32[Batch, 10]"}}, InputError, "dimension 'Batch'"),
    ({"inputs": {"x": "float99[batch, 10]"}}, UnsupportedError, "float99"),
    ({"inputs": {"x": "float32[batch, 11]"}}, GraphError, "inner sizes"),
    ({"inputs": {}}, InputError, "at least one input"),
    ({"dims": {"batch": (-1, 4)}}, InputError, "0 <= min <= max"),
    ({"dims": {"batch": (5, 4)}}, InputError, "0 <= min <= max"),
    ({"dims": {"length": (1, 4)}}, InputError, "'length', which no input has"),
    ({"native": ("z80-cpm",)}, UnsupportedError, "z80-cpm"),
    ({"quantize": "int8"}, UnsupportedError, "int8"),
    ({"labels": ("a", "b")}, InputError, "labels: 2 for the 5 entries of .* 'output'"),
    ({"labels": "abcde"}, InputError, "must be a list of texts"),
    ({"labels": (1, 2, 3, 4, 5)}, InputError, "must be a list of texts"),
]


@pytest.mark.parametrize(("options", "kind", "text"), REFUSED, ids=str)
def test_a_wrong_option_is_refused_and_nothing_is_written(
    tmp_path: Path, options: dict[str, Any], kind: type[NeurenixError], text: str
) -> None:
    with pytest.raises(kind, match=text):
        export_to_wasm(mlp(), tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_shape_that_cannot_be_inferred_is_asked_for_with_an_example(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Conv2d: pass inputs=\{'input': 'float32\[batch, 3, 224, 224\]'\}"):
        export_to_wasm(cnn(), tmp_path)


NAMES = [
    "", "..", "../up", "a/b", "a\\b", "/etc/passwd", "C:x", "Model", "1model", "_model", "mo del", "model.js", "modèle",
    "con", "nul", "com1", "a" * 65, "x\n", "x\0", "<script>", "x';alert(1)//", "${x}", "{{ 7 * 7 }}", None, 5, b"model",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_a_hostile_name_is_refused(tmp_path: Path, name: Any) -> None:
    with pytest.raises(InputError, match="the model name"):
        export_to_wasm(mlp(), tmp_path / "out", name)
    assert not (tmp_path / "out").exists()


class Hostile(Module):
    """A model whose own names try to leave the comments and strings that they are printed into."""

    def __init__(self) -> None:
        super().__init__()
        setattr(self, "*/ int evil; /* \\\n#include <x> ??/", Linear(10, 5))

    def forward(self, *inputs: neurenix.Tensor) -> Any:
        (layer,) = self.children()
        return layer(inputs[0])


def test_names_inside_a_model_cannot_break_out_of_the_files(tmp_path: Path) -> None:
    export_to_wasm(Hostile(), tmp_path, inputs={"input": ("batch", 10)})
    loaded = load_model(tmp_path, "wasm")
    assert loaded.self_test() < 1e-6
    assert "int evil" not in [line.strip() for line in (tmp_path / "model.c").read_text().splitlines()]
    for line in (tmp_path / "model.c").read_text(encoding="ascii").splitlines():
        assert not ("evil" in line or "<x>" in line) or line.lstrip().startswith("//"), line
    assert "</script>" not in (tmp_path / "model.d.ts").read_text(encoding="utf-8")


# ── what is on disk ─────────────────────────────────────────────────────────────────────────────────


def test_two_models_live_in_one_folder(tmp_path: Path) -> None:
    one, two = mlp(1), mlp(2, wide=3)
    export_to_wasm(one, tmp_path, "one")
    export_to_wasm(two, tmp_path, "two")
    x = np.ones((1, 10), np.float32)
    for name, model in (("one", one), ("two", two)):
        actual = load_model(tmp_path / f"{name}.json").forward(x)["output"]
        np.testing.assert_allclose(answer(model, x), actual, rtol=0, atol=1e-6)


def test_exporting_again_replaces_the_model(tmp_path: Path) -> None:
    x = np.ones((1, 10), np.float32)
    for seed in (1, 2):
        export_to_wasm(mlp(seed), tmp_path)
        actual = load_model(tmp_path).forward(x)["output"]
        np.testing.assert_allclose(answer(mlp(seed), x), actual, rtol=0, atol=1e-6)
    assert not list(tmp_path.glob(".*")), "nothing of the writing is left over"


def test_a_failed_verification_keeps_the_old_bundle(tmp_path: Path) -> None:
    export_to_wasm(mlp(1), tmp_path)
    before = contents(tmp_path)
    with pytest.raises(VerificationError, match="limit is 1e-12"):
        export_to_wasm(mlp(2), tmp_path, max_error=1e-12)
    assert before == contents(tmp_path)


def test_a_max_error_that_is_given_is_the_limit_and_otherwise_what_rounding_explains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = []

    def held(*arguments: Any) -> dict[str, float]:
        limits.append(arguments[-1])
        return {}

    monkeypatch.setattr("neurenix.export.verify", held)
    for given, tolerance in ((None, 1e-4), (1e-4, 1e-4), (1e-2, 1e-2)):
        export_to_wasm(mlp(1), tmp_path, max_error=given, simd=False)
        (manifest,) = tmp_path.glob("*.json")
        cases = json.loads(manifest.read_text(encoding="utf-8"))["golden"]
        assert {tolerance} == {case["tolerance"] for case in cases}
    assert [1e-5, 1e-4, 1e-2] == limits


def test_without_zig_the_old_bundle_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export_to_wasm(mlp(1), tmp_path)
    before = contents(tmp_path)

    def absent() -> str:
        raise ToolchainError("zig is not installed")

    monkeypatch.setattr("neurenix.toolchain.zig_version", absent)
    with pytest.raises(ToolchainError):
        export_to_wasm(mlp(2), tmp_path)
    assert before == contents(tmp_path)


def test_a_folder_that_cannot_be_written_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(OutputError, match=r"cannot be written to .*file.*choose a folder"):
        export_to_wasm(mlp(), tmp_path / "file" / "out")


def test_a_write_that_fails_halfway_keeps_the_old_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export_to_wasm(mlp(1), tmp_path)
    before = contents(tmp_path)
    real = Path.write_bytes

    def full(self: Path, data: Any) -> int:
        if self.suffix == ".wasm":
            raise OSError(28, "No space left on device", str(self))
        return real(self, data)

    # Compiled before: the cache needs no room now.
    export(mlp(2), tmp_path / "elsewhere", "model")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OutputError, match="No space left"):
            export_to_wasm(mlp(2), tmp_path, verify=False)
    assert before == {n: c for n, c in contents(tmp_path).items() if not n.startswith("elsewhere/")}
    assert not list(tmp_path.glob(".*"))
