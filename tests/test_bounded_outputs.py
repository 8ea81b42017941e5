"""Outputs whose size depends on data, in a bundle: every form gives what counts of them, in Python and JavaScript."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from manifest_checker import Checker
from playwright.sync_api import Page
from test_runtime_js import node, run

from neurenix import Tensor, load_model, verification
from neurenix.bundle import description
from neurenix.bundle.writer import plan_number
from neurenix.errors import BundleError, DimensionError, NeurenixError, VerificationError
from neurenix.graph.renaming import rename_outputs
from neurenix.graph.store import load_graph, save_graph
from neurenix.nn import Module
from neurenix.phynexus.reference import run_graph, unpack_tensors
from neurenix.tensor.selecting import compress, nonzero, with_length
from neurenix.trace import trace
from neurenix.wasm import export_to_wasm

pytest_plugins = ["browser"]
pytestmark = pytest.mark.zig

Array = np.ndarray[Any, Any]
DEVICES = ["reference", "cpu", pytest.param("wasm", marks=pytest.mark.wasm)]
INPUTS = {"x": "float32[n, 4]", "k": "int64[]"}


class Selecting(Module):
    """What is above 0, in several ways: the last axis, the first one, one in the middle, two at once, and none."""

    def forward(self, *inputs: Tensor) -> Any:
        x, k = inputs
        whole = x * 2 - 1
        columns = compress(whole.unsqueeze(2).expand((*whole.shape, 3)), whole[0] > 0, 1)
        return {
            "places": nonzero(whole > 0),
            "rows": compress(whole, whole[:, 0] > 0, 0),
            "columns": columns,
            "both": compress(columns, whole[:, 1] > 0, 0),
            "whole": whole,
            "chosen": with_length(whole, 1, k.apply("minimum", 4)),
        }


def answer(x: Array, k: int) -> dict[str, Array]:
    whole = x * 2 - 1
    columns = np.repeat(whole[:, :, None], 3, 2)[:, whole[0] > 0]
    return {
        "places": np.stack(np.nonzero(whole > 0)),
        "rows": whole[whole[:, 0] > 0],
        "columns": columns,
        "both": columns[whole[:, 1] > 0],
        "whole": whole,
        "chosen": whole[:, :k],
    }


def inputs(seed: int, n: int, k: int = 2) -> dict[str, Array]:
    return {"x": np.random.default_rng(seed).random((n, 4), dtype=np.float32), "k": np.asarray(k)}


@pytest.fixture(scope="module")
def selecting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("selecting") / "bundle"
    export_to_wasm(Selecting(), folder, "selecting", inputs=INPUTS, dims={"n": (1, 6)}, native=True)
    return folder


@pytest.fixture
def bundle(selecting: Path, tmp_path: Path) -> Path:
    for path in selecting.glob("selecting.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


@pytest.mark.parametrize("device", DEVICES)
def test_every_device_gives_what_counts(selecting: Path, device: str) -> None:
    model = load_model(selecting, device)
    for seed, n in enumerate((1, 2, 5, 6)):
        given = inputs(seed, n, seed)
        expected = answer(given["x"], seed)
        actual = model.forward(given)
        assert list(expected) == list(actual)
        for name, wanted in expected.items():
            assert wanted.shape == actual[name].shape, name
            np.testing.assert_allclose(actual[name], wanted, rtol=1e-6, err_msg=name)
    nothing = model.forward({"x": np.zeros((3, 4), np.float32), "k": 0})
    assert [(2, 0), (0, 4), (3, 0, 3), (0, 0, 3), (3, 4), (3, 0)] == [a.shape for a in nothing.values()]


@pytest.mark.parametrize("device", DEVICES)
def test_the_golden_values_are_met_in_size_too(selecting: Path, device: str) -> None:
    assert load_model(selecting, device).self_test() < 1e-6


@pytest.mark.parametrize("device", DEVICES)
def test_more_than_was_planned_for_is_an_error(selecting: Path, device: str) -> None:
    model = load_model(selecting, device)
    with pytest.raises(DimensionError, match=r"'chosen' has -3 along axis 1, and was planned for 4 at most"):
        model.forward(inputs(0, 2, -3))
    assert 2 == model.forward(inputs(0, 2, 2))["chosen"].shape[1]


def test_the_manifest_follows_its_format(selecting: Path) -> None:
    manifest = json.loads((selecting / "selecting.json").read_text(encoding="utf-8"))
    Checker(manifest, selecting).check()
    ports = {port["name"]: port for port in manifest["outputs"]}
    assert "lengths" not in ports["whole"]
    assert [2, 1] == [len(ports[name]["lengths"]) for name in ("both", "places")]
    assert [2, ["*", 4, "n"]] == ports["places"]["shape"]


def test_a_stored_graph_keeps_its_lengths(tmp_path: Path) -> None:
    graph = trace(Selecting(), INPUTS)
    save_graph(graph, tmp_path / "graph.npz")
    assert graph.lengths == load_graph(tmp_path / "graph.npz").lengths


def test_renamed_outputs_keep_their_lengths() -> None:
    graph = trace(Selecting(), INPUTS)
    names = ["sum", *graph.outputs[1:]]  # what a length is called
    renamed = rename_outputs(graph, names)
    given = inputs(3, 5)
    expected = answer(given["x"], 2)
    for name, found in zip(expected, run_graph(renamed, given, {"n": 5}).values()):
        np.testing.assert_allclose(found, expected[name], rtol=1e-6)


class Threshold(Module):
    def forward(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return compress(x, x > Tensor(np.linspace(0, 1, 9, dtype=np.float32)))


def test_a_form_that_selects_something_else_fails_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def shifted(plan: Any, weights: bytes) -> dict[str, Array]:
        return {name: array + 5 for name, array in unpack_tensors(plan, weights).items()}

    monkeypatch.setattr(verification, "unpack_tensors", shifted)
    with pytest.raises(VerificationError, match="the reference form of 'selecting' is off by inf"):
        export_to_wasm(Threshold(), tmp_path, "selecting", inputs={"x": "float32[9]"}, simd=False)


# ── hostile manifests ───────────────────────────────────────────────────────────────────────────────


def output(manifest: Any, name: str) -> Any:
    return next(port for port in manifest["outputs"] if port["name"] == name)


def length(manifest: Any, name: str = "rows") -> Any:
    return output(manifest, name)["lengths"][0]


HOSTILE: dict[str, tuple[Callable[[Any], Any], str]] = {
    "an axis that is not there": (lambda m: length(m).update(axis=2), "not those of an output"),
    "an axis twice": (lambda m: output(m, "rows")["lengths"].append(length(m)), "not those of an output"),
    "an axis before the first": (lambda m: length(m).update(axis=-1), "no size"),
    "an offset of its own": (lambda m: length(m).update(offset=8), "not what the plan says"),
    "an unknown buffer": (lambda m: length(m).update(name="ghost"), "ghost"),
    "a buffer that is no scalar": (
        lambda m: length(m).update(name="whole", offset=output(m, "whole")["offset"]), "no int64 scalar",
    ),
    "a length that is none": (lambda m: output(m, "rows").update(lengths=[5]), "malformed"),
    "lengths that are no list": (lambda m: output(m, "rows").update(lengths=5), "should be a list"),
    "an answer without lengths": (lambda m: m["golden"][0].pop("lengths"), "golden case"),
    "an answer that is too long": (lambda m: m["golden"][0]["lengths"].update(rows=[99]), "golden case"),
    "an answer of a negative length": (lambda m: m["golden"][0]["lengths"].update(rows=[-1]), "golden case"),
    "an answer of two lengths": (lambda m: m["golden"][0]["lengths"].update(rows=[1, 1]), "golden case"),
    "an answer of another length": (lambda m: m["golden"][0]["lengths"].update(both=[1, 2]), "golden case"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_length_is_refused(bundle: Path, change: Callable[[Any], Any], message: str) -> None:
    path = bundle / "selecting.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    change(manifest)
    with contextlib.suppress(NeurenixError), description.malformed("it"):  # what cannot be read has no number
        manifest["abi"] = plan_number(description._read(manifest), manifest.get("webgpu"))
    path.write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(BundleError, match=message):
        load_model(bundle, "reference")


# ── JavaScript ──────────────────────────────────────────────────────────────────────────────────────

CALLS = """
const model = await loadModel(undefined, { threads: 1 });
const results = [];
for (const { x, k, n } of calls) {
  const data = model.createTensor([n, 4], Float32Array.from(x));
  const outputs = await model.forward({ x: data, k: BigInt64Array.of(BigInt(k)) });
  results.push(Object.entries(outputs).map(([name, { shape, data }]) => [name, shape, Array.from(data, Number)]));
}
const wrong = model.forward({ x: new Float32Array(8), k: BigInt64Array.of(-3n) });
const failed = await wrong.catch(({ code, message }) => [code, message]);
const again = (await model.forward({ x: new Float32Array(8), k: BigInt64Array.of(1n) })).chosen.shape;
const { passed, maxError } = await model.selfTest();
const bounded = model.outputs.map((output) => output.bounded ?? null);
"""
IMPORT = "const { loadModel } = await import('./selecting.js')"
RESULT = "{ results, failed, again, passed, maxError, bounded }"


def calls() -> list[dict[str, Any]]:
    every = [inputs(seed, n, seed) for seed, n in enumerate((1, 2, 5, 6))] + [inputs(0, 3, 0)]
    every[-1]["x"] = np.zeros((3, 4), np.float32)
    return [{"x": c["x"].ravel().tolist(), "k": int(c["k"]), "n": len(c["x"])} for c in every]


def hold(found: Any) -> None:
    for call, outputs in zip(calls(), found["results"]):
        expected = answer(np.asarray(call["x"], np.float32).reshape(call["n"], 4), call["k"])
        assert list(expected) == [name for name, *_ in outputs]
        for name, shape, data in outputs:
            assert list(expected[name].shape) == shape, name
            np.testing.assert_allclose(data, expected[name].ravel(), rtol=1e-6, err_msg=name)
    assert ["bad_dims", "The output 'chosen' has -3 along axis 1; the model was planned for 4 at most."] == found[
        "failed"
    ]
    assert [2, 1] == found["again"]
    assert found["passed"] and found["maxError"] < 1e-6
    assert [[1], [0], [1], [1, 0], None, [1]] == found["bounded"]


@pytest.mark.node
def test_the_loader_gives_what_counts_in_node(selecting: Path, tmp_path: Path) -> None:
    script = tmp_path / "main.mjs"
    script.write_text(
        f"import {{ loadModel }} from {json.dumps((selecting / 'selecting.js').as_uri())};\n"
        f"const calls = {json.dumps(calls())};\n{CALLS}\nconsole.log(JSON.stringify({RESULT}));\n",
        encoding="utf-8",
    )
    hold(json.loads(run(node(), str(script))))


@pytest.mark.browser
def test_the_loader_gives_what_counts_in_a_browser(
    selecting: Path, serve: Any, open_tab: Callable[[], AbstractContextManager[Page]]
) -> None:
    site = serve(selecting)
    (selecting / "index.html").write_text('<!doctype html><meta charset="utf-8"><title>Test</title>', encoding="utf-8")
    with open_tab() as page:
        page.goto(site.url)
        found = page.evaluate(
            f"async (calls) => {{ {IMPORT}; {CALLS}; return {RESULT}; }}",
            calls(),
        )
        hold(found)


def test_the_types_say_that_a_shape_is_the_most(selecting: Path) -> None:
    types = (selecting / "selecting.d.ts").read_text(encoding="utf-8")
    assert '  // shape [2, ["*", 4, "n"]], at most\n  "places": Tensor<"int64">;' in types
    assert '  // shape ["n", 4]\n  "whole": Tensor<"float32">;' in types
