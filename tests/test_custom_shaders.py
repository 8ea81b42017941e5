"""Shaders that users register: the seed's own, completed, is right in every bundle; a wrong one is in none."""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runtime_page import PAGE, SCRIPT

import neurenix
from neurenix import Tensor, load_model
from neurenix.bundle.reader import read_bundle
from neurenix.compiler.wgsl import parse
from neurenix.compiler.wgsl.custom import fit
from neurenix.dims import Dim
from neurenix.errors import CompileError, DeviceError, InputError, VerificationError
from neurenix.nn import Conv2d, Flatten, Linear, Module, ReLU, Sequential, Softmax
from neurenix.phynexus.webgpu import WebGPUEngine
from neurenix.shader_check import check_shader
from neurenix.wasm import custom_shaders, export_to_wasm, register_custom_shader

pytest_plugins = ["browser", "gpu_browser"]


SNIPPET = (Path(__file__).parent / "seed" / "custom_shader.py").read_text(encoding="utf-8")
SEED = re.search(r'"""(.*?)"""', SNIPPET, re.DOTALL)[1]  # type: ignore[index]
BODY = """
        if (global_id.x >= N || global_id.y >= M) { return; }
        var sum = 0.0;
        for (var k = 0u; k < K; k++) { sum += a[global_id.y * K + k] * b[k * N + global_id.x]; }
        c[global_id.y * N + global_id.x] = sum;
"""
COMMENTS = re.compile(r"// Custom matrix.*?// \.\.\.\n", re.DOTALL)
OVERRIDES = "override M: u32; override N: u32; override K: u32;\n"


def completed(body: str = BODY, declared: str = OVERRIDES) -> str:
    """The seed's snippet with its comments replaced by a body, and with the sizes that it needs."""
    assert COMMENTS.search(SEED)
    return declared + COMMENTS.sub(lambda _: body, SEED)


UNIFORM = "struct Sizes { m: u32, n: u32, k: u32, batch: u32 }\n@group(0) @binding(3) var<uniform> s: Sizes;\n"
UNIFORM_BODY = BODY.replace("N", "s.n").replace("M", "s.m").replace("K", "s.k")
BATCHED = OVERRIDES + "override BATCH: u32 = 1;\n"
BATCHED_BODY = """
        if (global_id.x >= N || global_id.y >= M || global_id.z >= BATCH) { return; }
        var sum = 0.0;
        let first = global_id.z;
        for (var k = 0u; k < K; k++) {
            sum += a[(first * M + global_id.y) * K + k] * b[(first * K + k) * N + global_id.x];
        }
        c[(first * M + global_id.y) * N + global_id.x] = sum;
"""
# In tiles of 4 by 4, with barriers in a loop up to K: in "entries" that is a size of the call's.
TILED = BATCHED + "var<workgroup> ta: array<array<f32, 4>, 4>;\nvar<workgroup> tb: array<array<f32, 4>, 4>;\n"
TILED_BODY = """
        let row = global_id.y; let column = global_id.x; let entry = global_id.z;
        let y = row % 4u; let x = column % 4u;
        var sum = 0.0;
        for (var first = 0u; first < K; first += 4u) {
            ta[y][x] = 0.0;
            tb[y][x] = 0.0;
            if (row < M && first + x < K) { ta[y][x] = a[(entry * M + row) * K + first + x]; }
            if (column < N && first + y < K) { tb[y][x] = b[(entry * K + first + y) * N + column]; }
            workgroupBarrier();
            for (var k = 0u; k < 4u; k++) { sum += ta[y][k] * tb[k][x]; }
            workgroupBarrier();
        }
        if (row < M && column < N && entry < BATCH) { c[(entry * M + row) * N + column] = sum; }
"""
GOOD = {
    "tiles": completed(TILED_BODY, TILED).replace("(8, 8)", "(4, 4)"),
    "overrides": completed(),
    "a uniform": completed(
        BATCHED_BODY.replace("N", "s.n").replace("M", "s.m").replace("K", "s.k").replace("BATCH", "s.batch"), UNIFORM
    ),
    "a batch": completed(BATCHED_BODY, BATCHED),
    "another workgroup": completed().replace("(8, 8)", "(16)"),
    "words in comments": "/* @compute fn main() /* nested */ override X: u32; */\n// var<storage> a\n" + completed(),
    "its own override": "override SCALE: f32 = 2;\n" + completed(BODY.replace("= sum", "= sum * SCALE / 2.0")),
}


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neurenix.wasm._shaders", {})


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.gpu
def test_a_shader_that_is_right_proves_itself(name: str) -> None:
    check_shader(parse("matrix_multiply", GOOD[name]))


WRONG = {
    "no body": (COMMENTS.sub("", SEED), r"15 of 15|1 of 1 numbers differ.*c\[0, 0\] is nan and not"),
    "transposed": (completed(BODY.replace("k * N + global_id.x", "global_id.x * K + k")), r"numbers differ, as c\["),
    "one column short": (completed(BODY.replace(">= N", ">= N - 1")), "numbers differ"),
    "no guard": (completed(BODY.replace("if (global_id.x >= N || global_id.y >= M) { return; }", "")), "differ"),
    "one element too many": (completed(BODY.replace("k < K", "k <= K")), "numbers differ"),
    "behind the end": (
        completed(BODY.replace("M) { return; }", "M + 1) { return; }")),
        "behind the end of its output, to 1 elements",
    ),
    "no end": (completed(BODY.replace("k < K; k++", "k < K; k += 0u")), "numbers differ|failed on"),
    "another batch": (completed(BATCHED_BODY.replace("(first * K + k)", "k"), BATCHED), r"\[3, 5, 6\].*numbers differ"),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.gpu
def test_a_shader_that_is_wrong_is_refused_with_its_numbers(name: str) -> None:
    source, words = WRONG[name]
    with pytest.raises(VerificationError, match=words):
        check_shader(parse("matrix_multiply", source))


@pytest.mark.gpu
def test_a_shader_that_does_not_compile_is_refused_with_the_compilers_words() -> None:
    with pytest.raises(CompileError, match=r"matrix_multiply.*summ"):
        check_shader(parse("matrix_multiply", completed(BODY.replace("sum += a", "summ += a"))))


def test_a_shader_that_cannot_be_proved_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neurenix.phynexus.availability.reason", lambda kind: "no adapter")
    with pytest.raises(DeviceError, match="cannot be proved here: no adapter"):
        check_shader(parse("matrix_multiply", completed()))


CONTRACT = {
    "another op": ("relu", completed(), "known are matrix_multiply"),
    "no text": ("matrix_multiply", None, "text of a WGSL module"),
    "no entry": ("matrix_multiply", completed().replace("@compute", ""), "one entry point"),
    "another entry": ("matrix_multiply", completed().replace("fn main", "fn start"), "one entry point"),
    "two entries": ("matrix_multiply", completed() + "@compute @workgroup_size(1) fn other() {}", "one entry point"),
    "another stage": ("matrix_multiply", completed() + "@fragment fn other() {}", "one entry point"),
    "a texture": ("matrix_multiply", "@group(0) @binding(5) var t: texture_2d<f32>;\n" + completed(), "binding 5"),
    "a NUL": ("matrix_multiply", completed() + "\0", "NUL character"),
    "no workgroup": ("matrix_multiply", completed().replace("@workgroup_size(8, 8)", ""), "@workgroup_size"),
    "a workgroup of names": ("matrix_multiply", completed().replace("(8, 8)", "(W, 8)"), "whole numbers"),
    "a large workgroup": ("matrix_multiply", completed().replace("(8, 8)", "(32, 32)"), "every GPU has 256"),
    "a deep workgroup": ("matrix_multiply", completed().replace("(8, 8)", "(1, 1, 128)"), "every GPU has 64"),
    "much shared memory": (
        "matrix_multiply", "const T = 64u;\nvar<workgroup> t: array<array<vec2f, T>, T + 1>;\n" + completed(),
        "33280 bytes of var<workgroup>; every GPU has 16384",
    ),
    "an extension": ("matrix_multiply", "enable f16;\n" + completed(), "without extensions"),
    "an open brace": ("matrix_multiply", completed().rstrip()[:-1], "has 3 '{' and 2 '}'"),
    "a missing binding": ("matrix_multiply", completed().replace("@binding(1)", "@binding(3)"), "binding"),
    "a binding twice": ("matrix_multiply", completed().replace("@binding(1)", "@binding(0)"), "binding 0"),
    "another group": ("matrix_multiply", completed().replace("(0) @binding(1)", "(1) @binding(1)"), "group 1"),
    "a writable input": ("matrix_multiply", completed().replace("read> a", "read_write> a"), "read"),
    "another element": ("matrix_multiply", completed().replace("b: array<f32>", "b: array<f16>"), "array<f32>"),
    "an unknown override": ("matrix_multiply", "override W: u32;\n" + completed(), "which nobody sets"),
    "an override of floats": ("matrix_multiply", completed().replace("M: u32", "M: f32"), "it is a u32"),
    "a uniform of two": (
        "matrix_multiply", completed(UNIFORM_BODY, UNIFORM.replace("k: u32, batch: u32", "")), "m, n, k and batch",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("op", "source", "words"), CONTRACT.values(), ids=CONTRACT)
def test_what_breaks_the_contract_is_refused_when_it_is_registered(op: str, source: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        register_custom_shader(op, source)
    assert {} == custom_shaders()


def test_sizes_that_are_known_become_constants_and_others_are_read_from_a_uniform() -> None:
    shader = parse("matrix_multiply", completed())
    text, params = fit(shader, (3, 5, 7, 1))
    assert not params
    assert "const M: u32 = 3u; const N: u32 = 5u; const K: u32 = 7u;" in text
    text, params = fit(shader, (Dim.symbol("n"), 5, 7, 1))
    assert params
    assert "override M" not in text
    assert "|| global_id.y >= u32(nx_sizes.s0)) { return; }" in text
    assert "@group(0) @binding(3) var<uniform> nx_sizes: NxSizes;" in text


def test_a_size_whose_name_means_something_else_as_well_becomes_a_variable() -> None:
    shadowed = completed(BODY.replace("var sum", "{ let M = 1u; } var sum"))
    text, _ = fit(parse("matrix_multiply", shadowed), (Dim.symbol("n"), 5, 7, 1))
    assert re.search(r"var<private> M: u32; const N: u32 = 5u;.*\{ M = u32\(nx_sizes\.s0\);", text, re.DOTALL)
    assert "{ let M = 1u; }" in text


@pytest.mark.gpu
def test_the_example_of_the_documentation_is_right(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = (Path(__file__).parent.parent / "docs" / "custom-shaders.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exported: list[str] = []
    monkeypatch.setattr("neurenix.wasm.export_to_wasm", lambda model, folder, name: exported.append(name))
    (tmp_path / "example.py").write_text(code, encoding="utf-8")
    runpy.run_path(str(tmp_path / "example.py"))
    assert ["my_model"] == exported
    check_shader(parse("matrix_multiply", custom_shaders()["matrix_multiply"]))


# ── in bundles ──────────────────────────────────────────────────────────────────────────────────────────


def _perceptron() -> Module:
    return Sequential(Linear(12, 9), ReLU(), Linear(9, 4), Softmax())


def _pictures() -> Module:
    return Sequential(Conv2d(1, 5, 1), ReLU(), Flatten(), Linear(320, 4))


class _Mixed(Module):
    """Two products of several entries, the second over as many as there are: attention without a softmax."""

    def forward(self, *inputs: Any) -> Any:
        return (inputs[0] @ inputs[0].transpose(-1, -2) / 8).tanh() @ inputs[0]


class Products(Module):
    """Products of two tensors, the second as long as the call's sequence: K is a size of the call's."""

    def forward(self, x: Tensor) -> Tensor:
        return (x @ x.transpose(1, 2)) @ x / 16


MODELS: dict[str, tuple[Callable[[], Module], str, dict[str, Any]]] = {
    "perceptron": (_perceptron, "float32[n, 12]", {"n": (1, 40)}),
    "pictures": (_pictures, "float32[n, 1, 8, 8]", {"n": (1, 4)}),
    "entries": (lambda: Sequential(_Mixed(), Linear(16, 8)), "float32[n, t, 16]", {"n": (1, 2), "t": (1, 9)}),
}  # fmt: skip


def _export(folder: Path, name: str) -> Path:
    neurenix.manual_seed(3)
    build, spec, dims = MODELS[name]
    export_to_wasm(build().eval(), folder, name, inputs={"x": spec}, dims=dims, simd=False, threads=False, webgpu=True)
    return folder / f"{name}.json"


@pytest.fixture(params=["overrides", "a uniform", "tiles"])
def registered(request: pytest.FixtureRequest) -> Iterator[str]:
    register_custom_shader("matrix_multiply", GOOD[request.param])
    yield request.param


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.gpu
@pytest.mark.zig
def test_a_registered_shader_answers_as_the_reference(tmp_path: Path, registered: str, name: str) -> None:
    found = read_bundle(_export(tmp_path, name))
    assert re.search(r"sum \+= t?a\[", (tmp_path / f"{name}.wgsl").read_text(encoding="utf-8"))
    engine = WebGPUEngine(found.plan, found.weights(), found.shaders())
    oracle = load_model(found.path, device="reference")
    rng = np.random.default_rng(1)
    for dims in ({"n": 1, "t": 9}, {"n": 2, "t": 4}):
        dims = {n: dims[n] for n in found.plan.dims}
        (port,) = found.manifest["inputs"]
        x = rng.standard_normal([dims.get(s, s) for s in port["shape"]]).astype(np.float32)
        for key, wanted in oracle.forward({"x": x}).items():
            np.testing.assert_allclose(engine.run({"x": x}, dims)[key], wanted, atol=2e-5)


@pytest.mark.gpu
@pytest.mark.zig
def test_a_wrong_shader_fails_the_build_and_leaves_no_bundle(tmp_path: Path) -> None:
    register_custom_shader("matrix_multiply", COMMENTS.sub("", SEED))
    with pytest.raises(VerificationError, match=r"registered for 'matrix_multiply'.*numbers differ, as"):
        _export(tmp_path / "out", "perceptron")
    assert not (tmp_path / "out").exists()


@pytest.mark.browser
@pytest.mark.gpu
@pytest.mark.zig
def test_a_registered_shader_runs_in_chromium(gpu_chromium: Any, serve: Any, tmp_path: Path) -> None:
    register_custom_shader("matrix_multiply", GOOD["tiles"])
    path = _export(tmp_path / "webassembly_model", "entries")
    (tmp_path / "index.html").write_text(PAGE, encoding="utf-8")
    (tmp_path / "page.js").write_text(SCRIPT.replace("my_model", "entries"), encoding="utf-8")
    page = gpu_chromium.new_page()
    page.goto(serve(tmp_path).url)
    page.wait_for_selector("html[data-state]", timeout=60_000)
    x = np.random.default_rng(2).standard_normal((2, 7, 16)).astype(np.float32)
    device, answer, passed = page.evaluate(
        """async (x) => {
            const model = await loadModel(undefined, { device: 'webgpu' });
            const answer = (await model.forward({ x })).output.toArray();
            return [model.device, answer, (await model.selfTest()).passed];
        }""",
        x.tolist(),
    )
    page.close()
    assert ("webgpu", True) == (device, passed)
    np.testing.assert_allclose(answer, load_model(path, device="reference").forward({"x": x})["output"], atol=2e-5)
